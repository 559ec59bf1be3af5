"""What `oneshot-vos adapt` gains where videos are unlike those that the network was trained on.

    python benchmarks/adapt.py --work FOLDER [--data ../shared/data] [--budget 20m] [--clips N]
                               [--raw | --others | --davis [--stride N]]

Twelve real clips, mixed folders of frames and video files, one mask each, one of them in the middle, several with
several objects. The network that ships has been trained on the first masks of these very clips, dogs-jump apart, so
each is made unlike them by one corruption (after DAVIS-C: grey and noise, blur, low contrast, JPEG, darkness, large
pixels; seeded); the true masks stay, and all but the given one are hidden from `adapt`. --raw: without corruptions.
--others: twelve others, of at most 20 frames; what decides which weights a video takes was not chosen on them.
--davis: instead of the clips, the sequences of DAVIS 2016 that are at hand, first masks alone, as they are, or every
N-th frame of them; no network was trained on them.

Per clip J&F is measured over every frame that has a true mask but the given one, mean over the objects of the given
mask: with the network as it was (`start`), with the weights that most clips take everywhere (`adapted`), and with what
`adapt` chose for each (`kept`). Writes adapt.json and adapt.md below results/benchmarks (adapt_raw, adapt_others,
adapt_davis). Rerun to resume.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos import shipped
from oneshot_vos.evaluation.measures import contour_accuracy, region_similarity
from oneshot_vos.files import read_json, sha256_of, write_json, write_text
from oneshot_vos.reporting.overlay_video import write_video
from oneshot_vos.reporting.text import markdown_table
from oneshot_vos.stages import adapt, segment
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import object_ids, read_mask, write_mask

Picture = NDArray[np.uint8]
MOST, MOST_OTHERS = 40, 20  # frames per clip
RATE = 12.0
# Set, clip, corruption, kind of file, which of its frames has the mask (a share of its length), in an order in which
# the first ones are mixed as well.
CLIPS = (
    ("davis17-mini", "dogs-jump", "grey-noise", "mp4", 0.0),
    ("train-clips2", "davis-dance-jump", "contrast", "frames", 0.5),
    ("train-clips2", "segtrack-cheetah", "dark", "frames", 0.0),
    ("train-clips2", "davis-car-turn", "blur", "mp4", 0.0),
    ("train-clips", "schoolgirls", "jpeg", "frames", 0.0),
    ("train-clips2", "videograin-two-men", "pixels", "mp4", 0.0),
    ("train-clips2", "genomnimatte-boys-beach", "grey-noise", "frames", 0.0),
    ("train-clips2", "davis-horsejump-low", "dark", "mp4", 0.0),
    ("train-clips2", "ytvos-003234408d", "contrast", "frames", 0.0),
    ("train-clips2", "davis-rhino", "pixels", "frames", 0.0),
    ("train-clips2", "davis-scooter-gray", "jpeg", "mp4", 0.0),
    ("train-clips", "xmem2-chair", "blur", "frames", 0.0),
)
OTHERS = (
    ("train-clips2", "segtrack-birdfall", "dark", "frames", 0.0),
    ("train-clips2", "ucsd-surf", "contrast", "frames", 0.0),
    ("train-clips2", "segtrack-monkeydog", "grey-noise", "frames", 0.0),
    ("train-clips2", "segtrack-parachute", "blur", "frames", 0.0),
    ("train-clips2", "davis-bmx-bumps", "grey-noise", "frames", 0.0),
    ("train-clips2", "davis-kite-walk", "jpeg", "frames", 0.0),
    ("train-clips2", "davis-lucia", "dark", "frames", 0.0),
    ("train-clips", "tennis", "pixels", "frames", 0.0),
    ("train-clips2", "davis-hockey", "contrast", "frames", 0.0),
    ("train-clips2", "sbi-caviar1", "grey-noise", "frames", 0.0),
    ("train-clips2", "ucsd-cyclists", "jpeg", "frames", 0.0),
    ("train-clips2", "davis-swing", "blur", "frames", 0.0),
)
FIRST_SEED, FIRST_SEED_OTHERS = 0, 500  # of the corruptions


TAKEN = {shipped.WEIGHTS.stem: "start", "adapted-0.5": "mean", "adapted-1": "trained"}


def corrupt(picture: Picture, how: str, rng: np.random.Generator) -> Picture:
    """One frame, made worse. grey-noise: sigma 30 of 255; contrast: a fifth of it; dark: a sixth of the light, and shot
    noise; blur: sigma of 1.5 % of the shorter side; jpeg: quality 6; pixels: of 1/60 of the shorter side.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    if how == "grey-noise":
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2).astype(np.float32)
        return _levels(grey + rng.normal(0, 30, (height, width, 1)))
    if how == "contrast":
        mean = picture.mean(axis=(0, 1), keepdims=True)
        return _levels(mean + (picture - mean) / 5 + rng.normal(0, 3, picture.shape))
    if how == "dark":
        return _levels(rng.poisson(picture.astype(np.float32) / 6 / 4) * 4)
    if how == "blur":
        return cv2.GaussianBlur(picture, (0, 0), 0.015 * short).astype(np.uint8)
    if how == "jpeg":
        _, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 6])
        return cv2.imdecode(content, cv2.IMREAD_COLOR).astype(np.uint8)
    if how == "pixels":
        side = max(2, round(short / 60))
        small = cv2.resize(picture, (width // side, height // side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return picture


def _levels(values: NDArray[Any]) -> Picture:
    return np.clip(values, 0, 255).round().astype(np.uint8)


class Clip:
    """Frames and true masks of one clip, and the frame whose mask is given."""

    def __init__(self, images: Path, masks: Path, share: float = 0.0, *, most: int = MOST, stride: int = 0) -> None:
        """stride: of a sequence of DAVIS 2016, all of it and one object; 0: the first `most` frames of another clip."""
        self.name, self.single = images.name, stride > 0
        self.frames = frame_files(images)[::stride] if stride else frame_files(images)[:most]
        self.masks = {t: masks / f"{file.stem}.png" for t, file in enumerate(self.frames)}
        self.masks = {t: mask for t, mask in self.masks.items() if mask.is_file()}
        wanted = round(share * (len(self.frames) - 1))
        self.given = min(self.masks, key=lambda t: abs(t - wanted))

    def ids(self, t: int) -> NDArray[Any]:
        """The true mask."""
        ids = read_mask(self.masks[t])
        return (ids > 0).astype(np.uint8) if self.single else ids

    def write(self, recordings: Path, how: str, kind: str, seed: int) -> None:
        """Put frames and the one mask where `adapt` looks for them."""
        rng = np.random.default_rng(seed)
        pictures = (corrupt(read_frame(file), how, rng) for file in self.frames)
        if kind == "mp4":
            write_video(recordings / f"videos/{self.name}.mp4", pictures, RATE)
        else:
            folder = recordings / "videos" / self.name
            folder.mkdir(parents=True)
            for t, picture in enumerate(pictures):
                Image.fromarray(picture).save(folder / f"{t:05}.png")
        (recordings / "masks" / self.name).mkdir(parents=True)
        write_mask(recordings / "masks" / self.name / f"{self.given:05}.png", self.ids(self.given))

    def score(self, results: Path) -> float:
        """J&F, 0 to 100."""
        objects = object_ids(self.ids(self.given))
        values = []
        for t in self.masks:
            if t == self.given:
                continue
            found, truth = read_mask(results / self.name / "masks" / f"{t:05}.png"), self.ids(t)
            for number in objects:
                pair = found == number, truth == number
                values.append((region_similarity(*pair) + contour_accuracy(*pair)) / 2)
        return 100 * float(np.mean(values))


def clips_of(arguments: argparse.Namespace) -> list[tuple[Clip, str, str]]:
    """Clips, each with its corruption and its kind of file."""
    data: Path = arguments.data
    if arguments.davis:
        names = (data / "davis16/ImageSets/2016/val.txt").read_text(encoding="utf-8").split()
        parts = [data / f"davis16/{part}/480p" for part in ("JPEGImages", "Annotations")]
        return [(Clip(*(part / name for part in parts), stride=arguments.stride), "none", "frames") for name in names]
    found = []
    most = MOST_OTHERS if arguments.others else MOST
    for source, name, how, kind, share in OTHERS if arguments.others else CLIPS:
        images, masks = (data / source / part / "480p" / name for part in ("JPEGImages", "Annotations"))
        found.append((Clip(images, masks, share, most=most), "none" if arguments.raw else how, kind))
    return found


def main() -> None:
    """Make the recordings, segment them with and without adaptation, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--davis", action="store_true")
    parser.add_argument("--stride", type=int, default=1)
    arguments = parser.parse_args()
    work: Path = arguments.work
    clips = clips_of(arguments)[: arguments.clips]
    for seed, (clip, how, kind) in enumerate(clips, FIRST_SEED_OTHERS if arguments.others else FIRST_SEED):
        if not (work / "recordings/masks" / clip.name).exists():
            clip.write(work / "recordings", how, kind, seed)
    took = work / "seconds.json"
    before = read_json(took, "seconds") if took.exists() else 0.0
    start = time.monotonic()
    adapt.run(work / "recordings", work / "adapted", budget=arguments.budget, iterations=arguments.iterations)
    write_json(took, before + time.monotonic() - start)
    options = segment.Options(overlay=False, short_side=shipped.SHORT_SIDE, overwrite=True)
    for weights, out in ((None, work / "start"), (work / "adapted/weights.safetensors", work / "everywhere")):
        segment.run_all(work / "adapted/videos", "JPEGImages", "Annotations", weights, None, out, options)
    report(arguments, clips, json.loads((work / "adapted/adapt.json").read_text(encoding="utf-8")))


def report(arguments: argparse.Namespace, clips: list[tuple[Clip, str, str]], told: dict[str, Any]) -> None:
    """Score, print, write."""
    work: Path = arguments.work
    rows = []
    rounds = work / "adapted/.state/round-1"
    taken = {sha256_of(file): TAKEN[file.stem] for file in (shipped.WEIGHTS, *rounds.glob("*.safetensors"))}
    for clip, how, kind in clips:
        places = {"start": work / "start", "adapted": work / "everywhere", "kept": work / "adapted/segmented"}
        scores = {name: round(clip.score(place), 2) for name, place in places.items()}
        video = told["videos"][clip.name]
        stamp = json.loads((places["kept"] / clip.name / "segment.json").read_text(encoding="utf-8"))
        takes = taken[stamp["sha256"]["weights"]]
        about = {"clip": clip.name, "corruption": how, "kind": kind, "frames": len(clip.frames)}
        agreement = {f"agreement_{when}": video[f"agreement_{when}"] for when in ("before", "after")}
        rows.append({**about, "objects": len(video["objects"]), **scores, "takes": takes, **agreement})
    means = {name: round(float(np.mean([row[name] for row in rows])), 2) for name in ("start", "adapted", "kept")}
    minutes = round(read_json(work / "seconds.json", "seconds") / 60, 1)
    name = "adapt" + (
        "_davis" if arguments.davis else "_others" if arguments.others else "_raw" if arguments.raw else ""
    )
    content = {
        "budget": arguments.budget,
        **({"stride": arguments.stride} if arguments.davis else {}),
        "minutes": minutes,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "iterations": [each["iterations"] for each in told["rounds"]],
        "kept": told["kept"],
        "why": told["why"],
        "mean": means,
        "clips": rows,
    }
    numbers = ("start", "adapted", "kept")
    columns = {
        key: [str(row[key]) for row in rows] + [""] for key in ("clip", "corruption", "objects", *numbers, "takes")
    }
    columns["clip"][-1] = "**mean**"
    for key in numbers:
        columns[key][-1] = f"{means[key]}"
    table = markdown_table(columns, left=2)
    text = f"{table}\n\n{minutes} minutes of `oneshot-vos adapt --budget {arguments.budget}`; {told['why']}.\n"
    print(text)
    out = Path("results/benchmarks") if arguments.clips is None else work
    write_json(out / f"{name}.json", content)
    write_text(out / f"{name}.md", text)


if __name__ == "__main__":
    main()
