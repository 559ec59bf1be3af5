"""What `gpu.py` measures with: random weights, frames of one video, the time, and the memory of one card."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Params
from oneshot_vos.sets.davis import read_davis

FRAMES = 60


@dataclass(frozen=True)
class Bench:
    """What is measured, and on what."""

    params: Params
    device: torch.device
    seconds: float
    processes: int
    folder: Path  # of temporary files
    davis: Path | None
    small: bool

    def weights(self, network: str) -> Path:
        """Random weights, the same every time."""
        path = self.folder / f"{network}.safetensors"
        if not path.exists():
            settings = self.params.profile.networks[network]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                built = build_network(network, settings)
            save_weights(path, built, {"model": network, "settings": settings})
        return path

    def frames(self) -> list[Path]:
        """Frames of one video: the first of the tree that has enough of them, or made ones."""
        if self.davis is not None:
            videos = read_davis(self.davis)
            return list(max(videos, key=lambda video: min(len(video), FRAMES)).frames[:FRAMES])
        folder = self.folder / "frames"
        if not folder.exists():
            folder.mkdir()
            make_frames(folder, *((4, (48, 64)) if self.small else (FRAMES, (480, 854))))
        return sorted(folder.iterdir())

    def timed(self, run: Callable[[], object]) -> tuple[int, float]:
        """How often `run` was called within the budget, at least once, and the seconds, the card's work included."""
        self.wait()
        calls, start = 0, time.perf_counter()
        while not calls or time.perf_counter() - start < self.seconds:
            run()
            calls += 1
        self.wait()
        return calls, time.perf_counter() - start

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gib(self) -> float:
        """Most memory in use since `forget_peak`: of the card, or of this process since it started."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def make_frames(folder: Path, number: int, size: tuple[int, int]) -> None:
    """JPEG files of about 100 KB at 480p: a view that moves over smooth noise, with grain."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 8, width // 4, 3), np.uint8))
    ground = np.asarray(coarse.resize((2 * width, height), Image.Resampling.BICUBIC), np.float32)
    for t in range(number):
        view = ground[:, 4 * t : 4 * t + width] + rng.normal(0, 8, (height, width, 3))
        Image.fromarray(view.clip(0, 255).astype(np.uint8)).save(folder / f"{t:05}.jpg", quality=90)
