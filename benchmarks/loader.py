"""CPU time per frame of the training loader: the one-matrix transforms beside the step-by-step ones of the paper.

    python benchmarks/loader.py --data DAVIS [--palette] [--clips 40] [--repeat 3]

DAVIS is a folder with `JPEGImages/480p` and `Annotations/480p`, every frame labelled; without it, noisy moving squares
of the same size are made for the occasion. With `--palette` its masks are first saved as palette PNG, as those of DAVIS
2017 and YouTube-VOS are; those of DAVIS 2016 are filtered grey PNG, which take longer to decode.

For each network's clips (STCN 3 frames, XMem and Cutie 8, crop 384, its own augmentation) four loaders take turns,
each in a process and on a thread of its own:

- exact: `transforms: exact` with every label, the operations of the official programs one after the other;
- exact-kept: the same in a process that keeps freed memory, as the workers of training do;
- composed: `transforms: composed` with every label, in such a process;
- one-shot: `transforms: composed`, one label per clip, as one-shot training reads them, in such a process.

The official programs themselves took 19 to 26 ms per frame on another machine (their dataset classes, one thread,
palette masks).
"""

import argparse
import contextlib
import itertools
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from oneshot_vos.clips.dataset import ClipDataset, ClipSource
from oneshot_vos.clips.sampling import FULL_SAMPLERS, ClipSampler, OneShotSampler
from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.files import write_json
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.training.batches import keep_freed_memory
from oneshot_vos.videos.masks import read_small_mask, write_mask
from oneshot_vos.videos.video import Video

CROP, MAX_SKIP = 384, 10
CLIPS = {"stcn": (3, "steps"), "xmem": (8, "nearby"), "cutie": (8, "nearby")}  # frames, sampler


def make_videos(root: Path, count: int = 4, frames: int = 20) -> None:
    """Write videos of 854 x 480: a square that moves over a smooth random background, JPEG of about 100 KB."""
    rng = np.random.default_rng(0)
    for video in range(count):
        images, masks = root / f"JPEGImages/480p/{video}", root / f"Annotations/480p/{video}"
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        ground = cv2.resize(rng.integers(0, 256, (60, 107, 3), np.uint8), (854, 480), interpolation=cv2.INTER_CUBIC)
        ground = np.clip(ground + rng.normal(0, 8, ground.shape), 0, 255).astype(np.uint8)
        for t in range(frames):
            ids = np.zeros((480, 854), np.int32)
            ids[100 + 5 * t : 250 + 5 * t, 100 + 20 * t : 300 + 20 * t] = 1
            Image.fromarray(np.where(ids[..., None] > 0, 255 - ground, ground)).save(images / f"{t:05}.jpg", quality=90)
            write_mask(masks / f"{t:05}.png", ids)


def with_palette(data: Path, folder: Path) -> Path:
    """The same frames, with masks of one object saved as palette PNG in `folder`."""
    (folder / "JPEGImages").symlink_to((data / "JPEGImages").resolve())
    for mask in (data / "Annotations").rglob("*.png"):
        copy = folder / mask.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_mask(copy, (read_small_mask(mask) > 0).astype(np.uint8))
    return folder


def build_loader(videos: list[Video], network: str, kind: str) -> ClipDataset:
    """The data set that training would make for `network`."""
    frames, every = CLIPS[network]
    sampler: ClipSampler = OneShotSampler() if kind == "one-shot" else FULL_SAMPLERS[every]()
    transform = CLIP_RECIPES[network](CROP, exact=kind.startswith("exact"))
    source = ClipSource("benchmark", videos)
    return ClipDataset([source], sampler, transform, objects=3, frames=frames, seed=0, max_skip=lambda _: MAX_SKIP)


def cpu_per_frame(data: Path, network: str, kind: str, positions: range) -> float:
    """Milliseconds of CPU per frame over some clips."""
    torch.set_num_threads(1)
    loader = build_loader(labelled_videos(data), network, kind)
    start = time.process_time()
    for position in positions:
        loader[position]
    return 1000 * (time.process_time() - start) / (len(positions) * CLIPS[network][0])


def labelled_videos(data: Path) -> list[Video]:
    """The videos that full supervision can use."""
    return [video for video in read_davis(data) if len(video.masks) > 1]


def measure(data: Path, clips: int, repeat: int) -> dict[str, dict[str, float]]:
    """Of each network: the median of each loader's milliseconds per frame, in turns, and the first over the others."""
    kinds = ("exact", "exact-kept", "composed", "one-shot")
    times: dict[str, dict[str, list[float]]] = {network: {kind: [] for kind in kinds} for network in CLIPS}
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        processes = {
            kind: stack.enter_context(
                ProcessPoolExecutor(1, spawn, initializer=None if kind == "exact" else keep_freed_memory)
            )
            for kind in kinds
        }
        for turn, network, kind in itertools.product(range(repeat + 1), CLIPS, kinds):
            positions = range(turn * clips, (turn + 1) * clips)
            taken = processes[kind].submit(cpu_per_frame, data, network, kind, positions).result()
            if turn:  # the first turn warms the caches up
                times[network][kind].append(taken)
    return {network: summarise(each) for network, each in times.items()}


def summarise(times: dict[str, list[float]]) -> dict[str, float]:
    """Medians in milliseconds, and ratios of the first loader to the others."""
    medians = {kind: statistics.median(each) for kind, each in times.items()}
    ratios = {f"exact/{kind}": medians["exact"] / medians[kind] for kind in list(medians)[1:]}
    return {**{f"{kind} ms per frame": value for kind, value in medians.items()}, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--palette", action="store_true")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/loader.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            make_videos(Path(folder))
        data = arguments.data or Path(folder)
        if arguments.data and arguments.palette:
            data = with_palette(arguments.data, Path(folder))
        if not labelled_videos(data):
            sys.exit(f"{data}: no video with two masks or more")
        results = measure(data, arguments.clips, arguments.repeat)
    for network, figures in results.items():
        print(f"{network:6}", "  ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    machine = {"machine": platform.processor() or platform.machine(), "opencv": cv2.__version__}
    name = "generated" if arguments.data is None else arguments.data.name
    write_json(
        arguments.out,
        {**machine, "data": name, "palette": arguments.palette, "clips": arguments.clips, "results": results},
    )


if __name__ == "__main__":
    main()
