"""A tiny network and small videos on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stages.clips import TINY

from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

MakeVideo = Callable[..., Video]


@pytest.fixture(scope="session")
def tiny() -> STCN:
    """Random weights: its masks mean nothing, but they depend on everything that goes in."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return STCN(**TINY["stcn"]).eval()


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Write a video of random frames; `masks` maps frame numbers to ids."""

    def make(
        name: str,
        frames: int,
        size: tuple[int, int],
        masks: Mapping[int, np.ndarray],
        *,
        single_object: bool = False,
        seed: int = 0,
    ) -> Video:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        paths = []
        for t in range(frames):
            path = folder / f"{t:05}.png"
            coarse = generator.integers(0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BILINEAR).save(path)
            paths.append(path)
        files = {}
        for t, ids in masks.items():
            files[f"{t:05}"] = folder / f"{t:05}_mask.png"
            write_mask(files[f"{t:05}"], ids)
        return Video(name, tuple(paths), files, single_object)

    return make


@pytest.fixture
def squares() -> Callable[..., np.ndarray]:
    """Ids of one square per object, side by side."""

    def draw(size: tuple[int, int], *ids: int) -> np.ndarray:
        mask = np.zeros(size, np.int32)
        width = size[1] // max(1, len(ids))
        for place, number in enumerate(ids):
            mask[2 : size[0] - 4, place * width + 1 : (place + 1) * width - 1] = number
        return mask

    return draw
