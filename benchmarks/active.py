"""Whether a second mask where the ranking asks for it helps more than one at random.

    python benchmarks/active.py [--data ../shared/data/train-clips2] [--videos NAME ...] [--stride 1] [--short-side 384]
                                [--total N] [--work FOLDER] [--out results/benchmarks/active.json]

The network that ships segments every video from its first mask, with `confidence.csv`. Then masks of further frames are
taken from the data set and every video is segmented again from all of its masks, without training: those that the
ranking asks for, one per video or the N best of all videos, against as many at random, three times. A frame that shows
no object there is asked for in vain. Reported is the mean J&F over frames, objects and videos; a frame whose mask was
given to any of them counts for none. Only videos with a mask for every frame. Rerun to resume: masks stay in FOLDER.
"""

import argparse
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tabulate import tabulate

from oneshot_vos.evaluation.measures import contour_accuracy, region_similarity
from oneshot_vos.files import write_json
from oneshot_vos.inference.ranking import rank_frames
from oneshot_vos.reporting.own_results import MASKS
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages import segment
from oneshot_vos.stages.confidence import read_results
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import object_ids, read_mask
from oneshot_vos.videos.video import Video

DRAWS = 3
ASKED = "asked for"
Chosen = Mapping[str, list[str]]  # frames of each video


def frames_of(video: Video, stride: int) -> list[str]:
    return [video.stem(t) for t in range(0, len(video), stride)]


def choose_at_random(videos: list[Video], stride: int, total: int | None, seed: int) -> Chosen:
    """One frame of each video, or `total` of all; never the first."""
    generator = np.random.default_rng(seed)
    names = {video.name: frames_of(video, stride)[1:] for video in videos}
    if total is None:
        return {name: [str(generator.choice(frames))] for name, frames in names.items()}
    pairs = [(name, frame) for name, frames in names.items() for frame in frames]
    drawn = [pairs[place] for place in generator.permutation(len(pairs))[:total]]
    return {name: [frame for own, frame in drawn if own == name] for name in names}


def choose_by_ranking(first: Path, videos: list[Video], total: int | None) -> Chosen:
    """The best frame of each video, or the `total` best of all."""
    found = rank_frames(read_results(first), per_video=1 if total is None else 3)[:total]
    return {video.name: [each.frame for each in found if each.video == video.name] for video in videos}


def segment_from(
    segmenter: segment.Segmenter, video: Video, stride: int, further: list[str], out: Path, options: segment.Options
) -> Path:
    """Segment a video from its first mask and further ones, those that show an object; the folder of masks."""
    source = FrameFiles(video.frames[::stride])
    masks = [video.masks[name] for name in [source.names[0], *further]]
    shown = [str(mask) for mask in masks if object_ids(read_mask(mask))]
    with TemporaryDirectory() as scratch:
        given = find_masks(shown, source, Path(scratch))
        folder = segmenter.output(source, given, out / video.name, options)
        segmenter.segment(source, given, folder, options)
    return folder.path / MASKS


def score(video: Video, frames: list[str], masks: Path) -> float:
    """Mean J&F of some frames."""
    ids = object_ids(read_mask(video.masks[video.stem(0)]))
    values = []
    for frame in frames:
        found, true = read_mask(masks / f"{frame}.png"), read_mask(video.masks[frame])
        for number in ids:
            pair = found == number, true == number
            values.append((region_similarity(*pair) + contour_accuracy(*pair)) / 2)
    return float(np.mean(values))


def main() -> None:
    """First round, second rounds, scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/train-clips2"))
    parser.add_argument("--videos", nargs="+")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--short-side", type=int)
    parser.add_argument("--total", type=int, help="masks over all videos; default: one per video")
    parser.add_argument("--work", type=Path, default=Path("segmented/active"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/active.json"))
    arguments = parser.parse_args()
    stride, work = arguments.stride, arguments.work
    videos = [
        video
        for video in read_davis(arguments.data)
        if arguments.videos is None or video.name in arguments.videos
        if set(frames_of(video, stride)) <= set(video.masks) and object_ids(read_mask(video.masks[video.stem(0)]))
    ]
    plain = segment.Options(overlay=False, overwrite=True, short_side=arguments.short_side)
    segmenter = segment.Segmenter(None, None)
    for video in videos:
        segment_from(segmenter, video, stride, [], work / "first", replace(plain, confidence=True))
    choices = {ASKED: choose_by_ranking(work / "first", videos, arguments.total)}
    for seed in range(DRAWS):
        choices[f"random {seed}"] = choose_at_random(videos, stride, arguments.total, seed)
    rows: dict[str, dict[str, float]] = {}
    for video in videos:
        given = {frame for choice in choices.values() for frame in choice[video.name]}
        scored = [frame for frame in frames_of(video, stride)[1:] if frame not in given]
        entry = {"first mask": score(video, scored, work / "first" / video.name / MASKS)}
        for name, choice in choices.items():
            further = choice[video.name]
            out = work / (name if further else "first")
            options = plain if further else replace(plain, confidence=True)
            entry[name] = score(video, scored, segment_from(segmenter, video, stride, further, out, options))
        rows[video.name] = {name: round(value, 4) for name, value in entry.items()}
    mean = {name: round(float(np.mean([row[name] for row in rows.values()])), 4) for name in next(iter(rows.values()))}
    randoms = [value for name, value in mean.items() if name.startswith("random")]
    table = [(name, *row.values()) for name, row in [*rows.items(), ("all", mean)]]
    print(tabulate(table, ["video", *mean], floatfmt=".3f"))
    low, high = min(randoms), max(randoms)
    print(f"asked for {mean[ASKED]:.4f}, at random {np.mean(randoms):.4f} ({low:.4f} to {high:.4f})")
    setting = {"data": arguments.data.name, "stride": stride, "short_side": arguments.short_side}
    machine = {"machine": platform.machine(), "torch": torch.__version__}
    masks = {"total": arguments.total, "chosen": choices}
    write_json(arguments.out, {**setting, **machine, **masks, "mean": mean, "videos": rows})


if __name__ == "__main__":
    main()
