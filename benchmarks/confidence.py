"""How well the confidence of masks, and each signal that it is made of, tells their true J.

    python benchmarks/confidence.py [--data ../shared/data/davis16] [--videos NAME ...] [--stride 1] [--short-side 384]
                                    [--work FOLDER] [--out results/benchmarks/confidence.json]

The network that ships segments every sequence from its first mask, and `confidence.csv` is written as `segment
--confidence` does. Reported over all frames and objects but the given ones: Spearman's correlation of each signal with
J, the chance that a mask of J >= 0.5 has a higher value than one below (AUROC), and the mean correlation within a
sequence. `--stride 3` takes every third frame. Rerun to resume: masks stay in FOLDER.

The combination was chosen on 17 clips of `../shared/data/train-clips2` at a short side of 112, never on DAVIS 2016.
"""

import argparse
import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from oneshot_vos.files import write_json
from oneshot_vos.inference.confidence import WHOLE, iou
from oneshot_vos.reporting.own_results import CONFIDENCE, CONFIDENCE_COLUMNS, MASKS, read_confidence
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages import segment
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import read_mask
from oneshot_vos.videos.video import Video

SIGNALS = CONFIDENCE_COLUMNS[2:]
POOR = 0.5  # J
Table = dict[str, NDArray[np.float64]]  # J and the signals, one value per frame and object


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return result


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Correlation of ranks; None where one of them is constant."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def auroc(values: NDArray[np.float64], good: NDArray[np.bool_]) -> float | None:
    """The chance that a good one has the higher value; None if all are good, or none."""
    positive, negative = np.count_nonzero(good), np.count_nonzero(~good)
    if not positive or not negative:
        return None
    return float((ranks(values)[good].sum() - positive * (positive + 1) / 2) / (positive * negative))


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def measure(segmenter: segment.Segmenter, video: Video, stride: int, work: Path) -> Table:
    """Segment a sequence; J and signals of its masks."""
    source = FrameFiles(video.frames[::stride])
    first = video.masks[source.names[0]]
    with TemporaryDirectory() as scratch:
        given = find_masks([str(first)], source, Path(scratch))
        output = segmenter.output(source, given, work / video.name)
        segmenter.segment(output)
    rows = []
    for name, number, values in read_confidence(output.path / CONFIDENCE):
        if number == WHOLE or name == source.names[0] or name not in video.masks:
            continue
        found, true = (read_mask(path) == number for path in (output.path / MASKS / f"{name}.png", video.masks[name]))
        sure = None if values["entropy"] is None else 1 - values["entropy"]
        rows.append([iou(found, true), *({**values, "entropy": sure}[signal] for signal in SIGNALS)])
    return dict(zip(("J", *SIGNALS), np.array(rows, np.float64).T, strict=True))


def judge(tables: dict[str, Table], signal: str) -> dict[str, float | int | None]:
    """How well a signal tells J, over all and within sequences."""
    pairs = []
    for table in tables.values():
        known = ~np.isnan(table[signal])
        pairs.append((table[signal][known], table["J"][known]))
    values, true = (np.concatenate(each) for each in zip(*pairs, strict=True))
    within = [value for pair in pairs if (value := spearman(*pair)) is not None]
    return {
        "masks": len(true),
        "spearman": rounded(spearman(values, true)),
        "auroc": rounded(auroc(values, true >= POOR)),
        "spearman_within": rounded(float(np.mean(within)) if within else None),
    }


def main() -> None:
    """Segment, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/davis16"))
    parser.add_argument("--videos", nargs="+")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--short-side", type=int)
    parser.add_argument("--work", type=Path, default=Path("segmented/confidence"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/confidence.json"))
    arguments = parser.parse_args()
    options = segment.Options(overlay=False, confidence=True, short_side=arguments.short_side)
    segmenter = segment.Segmenter(None, None, options)
    tables = {
        video.name: measure(segmenter, video, arguments.stride, arguments.work)
        for video in read_davis(arguments.data)
        if arguments.videos is None or video.name in arguments.videos
    }
    signals = {signal: judge(tables, signal) for signal in SIGNALS}
    sequences: dict[str, dict[str, float | int | None]] = {
        name: {key: rounded(float(np.nanmean(table[key]))) for key in ("J", "confidence")}
        | {"spearman": rounded(spearman(table["confidence"], table["J"]))}
        for name, table in tables.items()
    }
    print(
        tabulate([(name, *entry.values()) for name, entry in sequences.items()], ["sequence", "J", "confidence", "rho"])
    )
    print(tabulate([(name, *entry.values()) for name, entry in signals.items()], ["signal", *signals["confidence"]]))
    setting = {"data": arguments.data.name, "stride": arguments.stride, "short_side": arguments.short_side}
    machine = {"machine": platform.machine(), "torch": torch.__version__}
    write_json(arguments.out, {**setting, **machine, "signals": signals, "sequences": sequences})


if __name__ == "__main__":
    main()
