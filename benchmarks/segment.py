"""Two promises of `oneshot-vos segment`: memory that does not grow with the video, and video files as good as frames.

    python benchmarks/segment.py growth [--frames 300 3000]
    python benchmarks/segment.py codec --weights W [W ...] --sequence FRAMES --masks MASKS [--at 0]

growth: videos of two lengths with two moving discs, as a folder of frames and as a video file, by a tiny network of
each kind with the settings that `segment` chooses; the mask stands in the middle. Each run is a process of its own,
and `peak_mb` is its largest resident size (Linux).

codec: a sequence is segmented from its frames and from an MPEG-4 file made of them, from the mask of frame `at`. What
is reported per network: the share of pixels with the same id, the mean IoU of the two results over all frames but the
given one, and the mean IoU of each with the masks of the sequence.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from oneshot_vos.files import write_json
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.stages import segment
from oneshot_vos.videos.masks import read_mask, write_mask

SIZE, RATE = (120, 160), 12.0  # of the generated videos: height and width, frames per second
KEY = {"key_widths": [8, 8, 16], "key_depths": [1, 1, 1], "value_widths": [8, 8, 16], "value_depths": [1, 1, 1]}
PIXEL = {"pixel_widths": [8, 8, 16], "pixel_depths": [1, 1, 1], "mask_widths": [8, 8, 16], "mask_depths": [1, 1, 1]}
WIDTHS = {"key_dim": 16, "value_dim": 64, "decoder_dims": [32, 16, 16], "norm": "group"}
QUERIES = {"queries": 4, "transformer_blocks": 1, "heads": 2, "feedforward": 32}
TINY: dict[str, dict[str, Any]] = {
    "stcn": {"key_block": "basic", **KEY, **WIDTHS},
    "xmem": {"key_block": "basic", "hidden_dim": 8, **KEY, **WIDTHS},
    "cutie": {"pixel_block": "basic", **PIXEL, **WIDTHS, **QUERIES, "decoder_dims": [64, 16, 16]},
}

# --- growth ---------------------------------------------------------------------------------------------------------


def discs(t: int) -> NDArray[np.int32]:
    """Object ids of frame `t`."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    ids = np.zeros(SIZE, np.int32)
    for number in range(2):
        row, column = SIZE[0] * (0.3 + 0.4 * number), SIZE[1] * (0.5 + 0.3 * np.sin(t / 20 + number))
        ids[(rows - row) ** 2 + (columns - column) ** 2 < 300] = number + 1
    return ids


def picture(t: int) -> NDArray[np.uint8]:
    """Frame `t`: coloured discs on a slope, BGR."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    ground = np.stack([np.full(SIZE, 60), 30 + columns // 2, 40 + rows], 2).astype(np.uint8)
    colours = np.array([[0, 0, 0], [40, 60, 230], [240, 220, 40]], np.uint8)
    ids = discs(t)
    return np.where(ids[..., None] > 0, colours[ids], ground)


def write_video(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """Write BGR frames as MPEG-4."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), RATE, (width, height))
    if not writer.isOpened():
        sys.exit(f"{path}: OpenCV cannot write MPEG-4 here")
    for frame in frames:
        writer.write(frame)
    writer.release()


def peak_of(video: Path, mask: str, weights: Path, out: Path) -> float:
    """Segment in a process of its own; its largest resident size in MB."""
    command = [sys.executable, __file__, "child", str(video), mask, str(weights), str(out)]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(child.stdout.splitlines()[-1])


def peak_size() -> float:
    """Largest resident size of this process in MB; `getrusage` would count that of its parent as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def measure_growth(lengths: list[int]) -> list[dict[str, Any]]:
    """Peak memory over lengths for every network, from frames and from a file."""
    results: dict[tuple[str, str], dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for length in lengths:
            (folder / f"{length}").mkdir()
            frames = [picture(t) for t in range(length)]
            for t, frame in enumerate(frames):
                cv2.imwrite(str(folder / f"{length}/{t:05}.jpg"), frame)
            write_video(folder / f"{length}.mp4", frames)
            write_mask(folder / f"{length}.png", discs(length // 2))
        for model, settings in TINY.items():
            torch.manual_seed(0)
            weights = folder / f"{model}.safetensors"
            save_weights(weights, build_network(model, settings), {"model": model, "settings": settings})
            for length in lengths:
                for source, video in (("frames", folder / f"{length}"), ("file", folder / f"{length}.mp4")):
                    mask = f"{length // 2:05}={folder / f'{length}.png'}"
                    peak = peak_of(video, mask, weights, folder / f"{model}-{source}-{length}")
                    results.setdefault((model, source), {})[length] = peak
                    print(f"{model} {source} {length} frames: {peak:.0f} MB", flush=True)
    return [
        {"model": model, "source": source, "peak_mb": peaks, "ratio": round(peaks[max(peaks)] / peaks[min(peaks)], 3)}
        for (model, source), peaks in results.items()
    ]


# --- codec ----------------------------------------------------------------------------------------------------------


def iou(one: NDArray[np.int32], other: NDArray[np.int32], ids: list[int]) -> float:
    """Mean over objects of intersection over union; 1 where both are empty."""
    values = []
    for object_id in ids:
        a, b = one == object_id, other == object_id
        union = np.count_nonzero(a | b)
        values.append(np.count_nonzero(a & b) / union if union else 1.0)
    return float(np.mean(values))


def compare_codec(weights: Path, sequence: Path, masks: Path, at: int) -> dict[str, Any]:
    """Results from frames beside results from a video file made of them."""
    source = segment.open_frames(sequence)
    stems = list(source.names)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in source.read(range(len(stems)))]
        write_video(folder / "video.mp4", frames)
        given = masks / f"{stems[at]}.png"
        segmenter = segment.Segmenter(weights, None, segment.Options(overlay=False))
        for name, video, frame in (("frames", sequence, stems[at]), ("file", folder / "video.mp4", f"{at:05}")):
            opened = segment.open_frames(video)
            chosen = segment.find_masks([f"{frame}={given}"], opened, folder)
            segmenter.segment(segmenter.output(opened, chosen, folder / name))
        from_frames = [read_mask(path) for path in sorted((folder / "frames/masks").iterdir())]
        from_file = [read_mask(path) for path in sorted((folder / "file/masks").iterdir())]
    ids = [object_id for object_id in np.unique(read_mask(given)).tolist() if object_id]
    others = [t for t in range(len(stems)) if t != at]
    labelled = [t for t in others if (masks / f"{stems[t]}.png").exists()]
    truth = {t: read_mask(masks / f"{stems[t]}.png") for t in labelled}
    return {
        "weights": weights.parent.name,
        "model": segmenter.network,
        "sequence": sequence.name,
        "frames": len(stems),
        "same_pixels": float(np.mean([(from_frames[t] == from_file[t]).mean() for t in others])),
        "iou_of_both": float(np.mean([iou(from_frames[t], from_file[t], ids) for t in others])),
        "iou_with_truth": {
            "frames": float(np.mean([iou(from_frames[t], truth[t], ids) for t in labelled])),
            "file": float(np.mean([iou(from_file[t], truth[t], ids) for t in labelled])),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    kinds = parser.add_subparsers(dest="kind", required=True)
    growth = kinds.add_parser("growth")
    growth.add_argument("--frames", type=int, nargs=2, default=[300, 3000])
    codec = kinds.add_parser("codec")
    codec.add_argument("--weights", type=Path, nargs="+", required=True)
    codec.add_argument("--sequence", type=Path, nargs="+", required=True)
    codec.add_argument("--masks", type=Path, nargs="+", required=True, help="the folder of each sequence")
    codec.add_argument("--at", type=int, default=0)
    child = kinds.add_parser("child")
    child.add_argument("given", nargs=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.kind == "child":
        video, mask, weights, out = arguments.given
        segment.run(Path(video), [mask], Path(weights), None, Path(out), segment.Options(overlay=False))
        print(peak_size())
        return
    if arguments.kind == "growth":
        results = measure_growth(arguments.frames)
    else:
        pairs = list(zip(arguments.sequence, arguments.masks, strict=True))
        results = [
            compare_codec(w, sequence, masks, arguments.at) for w in arguments.weights for sequence, masks in pairs
        ]
    print(json.dumps(results, indent=2))
    machine = {"machine": platform.machine(), "torch": torch.__version__, "opencv": cv2.__version__}
    out = arguments.out or Path(f"results/benchmarks/segment_{arguments.kind}.json")
    write_json(out, {**machine, "results": results})


if __name__ == "__main__":
    main()
