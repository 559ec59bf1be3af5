"""CPU time per frame of the training loader: the one-matrix transforms beside the step-by-step ones of the paper.

    python benchmarks/loader.py --data DAVIS [--clips 40] [--repeat 3]

DAVIS is a folder with `JPEGImages/480p` and `Annotations/480p`, every frame labelled; without it, noisy moving squares
of the same size are made for the occasion. For each network's clips (STCN 3 frames, XMem and Cutie 8, crop 384, its
own augmentation) three loaders take turns on one thread:

- exact: `transforms: exact` with every label, the operations of the official programs one after the other;
- composed: `transforms: composed` with every label;
- one-shot: `transforms: composed`, one label per clip, as one-shot training reads them.

The official programs themselves took 19 to 26 ms per frame on another machine (their dataset classes, one thread).
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from oneshot_vos.datasets.clips import ClipDataset, ClipSource
from oneshot_vos.datasets.davis import read_davis
from oneshot_vos.datasets.masks import write_mask
from oneshot_vos.datasets.sampling import FULL_SAMPLERS, ClipSampler, OneShotSampler
from oneshot_vos.datasets.transforms import CLIP_RECIPES
from oneshot_vos.datasets.video import Video
from oneshot_vos.files import write_json

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


def build_loader(videos: list[Video], network: str, *, exact: bool, sampler: ClipSampler) -> ClipDataset:
    """The data set that training would make for `network`."""
    transform = CLIP_RECIPES[network](CROP, exact=exact)
    frames = CLIPS[network][0]
    source = ClipSource("benchmark", videos)
    return ClipDataset([source], sampler, transform, objects=3, frames=frames, seed=0, max_skip=lambda _: MAX_SKIP)


def cpu_per_frame(loader: ClipDataset, positions: range, frames: int) -> float:
    """Milliseconds of CPU per frame over some clips."""
    start = time.process_time()
    for position in positions:
        loader[position]
    return 1000 * (time.process_time() - start) / (len(positions) * frames)


def measure(videos: list[Video], network: str, clips: int, repeat: int) -> dict[str, float]:
    """The median of each loader's milliseconds per frame, in turns, and what the first takes over the others."""
    frames, sampler = CLIPS[network]
    every = FULL_SAMPLERS[sampler]()
    loaders = {
        "exact": build_loader(videos, network, exact=True, sampler=every),
        "composed": build_loader(videos, network, exact=False, sampler=every),
        "one-shot": build_loader(videos, network, exact=False, sampler=OneShotSampler()),
    }
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(repeat + 1):
        for name, loader in loaders.items():
            taken = cpu_per_frame(loader, range(turn * clips, (turn + 1) * clips), frames)
            if turn:  # the first turn warms the caches up
                times[name].append(taken)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {f"exact/{name}": medians["exact"] / medians[name] for name in ("composed", "one-shot")}
    return {**{f"{name} ms per frame": value for name, value in medians.items()}, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/loader.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            make_videos(Path(folder))
        videos = [video for video in read_davis(arguments.data or Path(folder)) if len(video.masks) > 1]
        if not videos:
            sys.exit(f"{arguments.data}: no video with two masks or more")
        results = {network: measure(videos, network, arguments.clips, arguments.repeat) for network in CLIPS}
    for network, figures in results.items():
        print(f"{network:6}", "  ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    machine = {"machine": platform.processor() or platform.machine(), "opencv": cv2.__version__}
    data = "generated" if arguments.data is None else arguments.data.name
    write_json(arguments.out, {**machine, "data": data, "clips": arguments.clips, "results": results})


if __name__ == "__main__":
    main()
