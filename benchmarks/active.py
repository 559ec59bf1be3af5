"""Whether a second mask where the ranking asks for it helps more than one at random.

    python benchmarks/active.py [--data ../shared/data/train-clips2] [--videos NAME ...] [--stride 1] [--short-side 384]
                                [--total N] [--work FOLDER] [--out results/benchmarks/active.json]
    python benchmarks/active.py --recordings FOLDER [--data ../shared/data] [...]

The network that ships segments every video from its one mask, with `confidence.csv`. Then masks of further frames are
taken from the data set and every video is segmented again from all of its masks, without training: those that the
ranking asks for, one per video or the N best of all videos, against as many at random, three times. A frame that shows
no object there is asked for in vain. Reported is the mean J&F over frames, objects and videos; a frame whose mask was
given to any of them counts for none. By default the videos of a data set that have a mask for every frame, from
their first one. --recordings: the twelve clips of benchmarks/adapt.py as its `--work FOLDER` has imported them,
corrupted, from the mask that each has there. Not all of their frames have a true mask: in the place of a frame without
one the nearest with one is asked for. Rerun to resume: masks stay in FOLDER.
"""

import argparse
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from adapt import CLIPS, MOST, Clip
from tabulate import tabulate

from oneshot_vos.evaluation.measures import contour_accuracy, region_similarity
from oneshot_vos.files import write_json
from oneshot_vos.inference.ranking import rank_frames
from oneshot_vos.reporting.own_results import MASKS
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages import segment
from oneshot_vos.stages.confidence import read_results
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import object_ids, read_mask
from oneshot_vos.videos.video import Video

DRAWS = 3
ASKED = "asked for"
Chosen = Mapping[str, list[str]]  # frames of each video


@dataclass(frozen=True)
class Labelled:
    """A video of which the mask of frame `given` is known, and masks of `others` can be had."""

    video: Video
    given: str
    others: list[str]

    @property
    def name(self) -> str:
        return self.video.name

    def nearest(self, frame: str) -> str:
        """The frame closest to `frame` whose mask can be had."""
        order = {self.video.stem(t): t for t in range(len(self.video))}
        return min(self.others, key=lambda other: abs(order[other] - order[frame]))


def of_set(data: Path, names: list[str] | None, stride: int) -> list[Labelled]:
    """Every `stride`-th frame of those videos of a set that have a mask for each of them and an object in the first."""
    found = []
    for video in read_davis(data):
        kept = replace(video, frames=video.frames[::stride])
        stems = [kept.stem(t) for t in range(len(kept))]
        wanted = names is None or video.name in names
        if wanted and set(stems) <= set(video.masks) and object_ids(read_mask(video.masks[stems[0]])):
            found.append(Labelled(kept, stems[0], stems[1:]))
    return found


def of_recordings(work: Path, data: Path, names: list[str] | None) -> list[Labelled]:
    """The clips of benchmarks/adapt.py, with their true masks."""
    found = []
    for source, name, _, _, share in CLIPS:
        if names is None or name in names:
            images, masks = (data / source / part / "480p" / name for part in ("JPEGImages", "Annotations"))
            clip = Clip(images, masks, share, most=MOST)
            frames = tuple(frame_files(work / "adapted/videos/JPEGImages" / name))
            truths = {f"{t:05}": mask for t, mask in clip.masks.items()}
            given = f"{clip.given:05}"
            found.append(Labelled(Video(name, frames, truths), given, [stem for stem in truths if stem != given]))
    return found


def choose_at_random(videos: list[Labelled], total: int | None, seed: int) -> Chosen:
    """One frame of each video, or `total` of all; never the one whose mask is known."""
    generator = np.random.default_rng(seed)
    names = {video.name: video.others for video in videos}
    if total is None:
        return {name: [str(generator.choice(frames))] for name, frames in names.items()}
    pairs = [(name, frame) for name, frames in names.items() for frame in frames]
    drawn = [pairs[place] for place in generator.permutation(len(pairs))[:total]]
    return {name: [frame for own, frame in drawn if own == name] for name in names}


def choose_by_ranking(first: Path, videos: list[Labelled], total: int | None) -> Chosen:
    """The best frame of each video, or the `total` best of all."""
    found = rank_frames(read_results(first), per_video=1 if total is None else 3)[:total]
    return {video.name: [video.nearest(each.frame) for each in found if each.video == video.name] for video in videos}


def segment_from(segmenter: segment.Segmenter, labelled: Labelled, further: list[str], out: Path) -> Path:
    """Segment a video from the mask that is known and further ones, those that show an object; the folder of masks."""
    source = FrameFiles(labelled.video.frames)
    masks = [(name, labelled.video.masks[name]) for name in [labelled.given, *further]]
    shown = [f"{name}={mask}" for name, mask in masks if object_ids(read_mask(mask))]
    with TemporaryDirectory() as scratch:
        given = find_masks(shown, source, Path(scratch))
        output = segmenter.output(source, given, out / labelled.name)
        segmenter.segment(output)
    return output.path / MASKS


def score(labelled: Labelled, frames: list[str], masks: Path) -> float:
    """Mean J&F of some frames, over the objects of the mask that is known."""
    truths = labelled.video.masks
    ids = object_ids(read_mask(truths[labelled.given]))
    values = []
    for frame in frames:
        found, true = read_mask(masks / f"{frame}.png"), read_mask(truths[frame])
        for number in ids:
            pair = found == number, true == number
            values.append((region_similarity(*pair) + contour_accuracy(*pair)) / 2)
    return float(np.mean(values))


def main() -> None:
    """First round, second rounds, scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recordings", type=Path, metavar="FOLDER")
    parser.add_argument("--videos", nargs="+")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--short-side", type=int)
    parser.add_argument("--total", type=int, help="masks over all videos; default: one per video")
    parser.add_argument("--work", type=Path, default=Path("segmented/active"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/active.json"))
    arguments = parser.parse_args()
    work: Path = arguments.work
    data: Path = arguments.data or Path("../shared/data" if arguments.recordings else "../shared/data/train-clips2")
    if arguments.recordings:
        videos = of_recordings(arguments.recordings, data, arguments.videos)
    else:
        videos = of_set(data, arguments.videos, arguments.stride)
    options = segment.Options(overlay=False, overwrite=True, short_side=arguments.short_side)
    plain, sure = (segment.Segmenter(None, None, replace(options, confidence=each)) for each in (False, True))
    for video in videos:
        segment_from(sure, video, [], work / "first")
    choices = {ASKED: choose_by_ranking(work / "first", videos, arguments.total)}
    for seed in range(DRAWS):
        choices[f"random {seed}"] = choose_at_random(videos, arguments.total, seed)
    rows: dict[str, dict[str, float]] = {}
    for video in videos:
        given = {frame for choice in choices.values() for frame in choice[video.name]}
        scored = [frame for frame in video.others if frame not in given]
        entry = {"first mask": score(video, scored, work / "first" / video.name / MASKS)}
        for name, choice in choices.items():
            further = choice[video.name]
            out, segmenter = (work / name, plain) if further else (work / "first", sure)
            entry[name] = score(video, scored, segment_from(segmenter, video, further, out))
        rows[video.name] = {name: round(value, 4) for name, value in entry.items()}
    mean = {name: round(float(np.mean([row[name] for row in rows.values()])), 4) for name in next(iter(rows.values()))}
    randoms = [value for name, value in mean.items() if name.startswith("random")]
    table = [(name, *row.values()) for name, row in [*rows.items(), ("all", mean)]]
    print(tabulate(table, ["video", *mean], floatfmt=".3f"))
    low, high = min(randoms), max(randoms)
    print(f"asked for {mean[ASKED]:.4f}, at random {np.mean(randoms):.4f} ({low:.4f} to {high:.4f})")
    setting = {
        "data": "adapt.py" if arguments.recordings else data.name,
        "stride": arguments.stride,
        "short_side": arguments.short_side,
    }
    machine = {"machine": platform.machine(), "torch": torch.__version__}
    masks = {"total": arguments.total, "chosen": choices}
    write_json(arguments.out, {**setting, **machine, **masks, "mean": mean, "videos": rows})


if __name__ == "__main__":
    main()
