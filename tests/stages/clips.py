"""Small clips of moving discs, as frames and as video files, and the weights of a tiny network."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.videos.masks import write_mask

SIZE = (48, 64)
FRAMES = 9
_KEYS = {"key_block": "basic", "key_widths": [8, 8, 16], "key_depths": [1, 1, 1], "key_dim": 8}
_VALUES = {"value_widths": [8, 8, 16], "value_depths": [1, 1, 1], "value_dim": 32, "norm": "group"}
_PIXELS = {"pixel_block": "basic", "pixel_widths": [8, 8, 16], "pixel_depths": [1, 1, 1], "key_dim": 8}
_MASKS = {"mask_widths": [8, 8, 16], "mask_depths": [1, 1, 1], "value_dim": 32, "norm": "group"}
_TRANSFORMER = {"queries": 4, "transformer_blocks": 1, "heads": 2, "feedforward": 32}
TINY: dict[str, dict[str, Any]] = {
    "stcn": {**_KEYS, **_VALUES, "decoder_dims": [16, 16, 16]},
    "xmem": {**_KEYS, **_VALUES, "hidden_dim": 8, "decoder_dims": [32, 16, 16]},
    "cutie": {**_PIXELS, **_MASKS, **_TRANSFORMER, "decoder_dims": [32, 16, 16]},
}


def disc(t: int, number: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Where disc `number` is in frame `t`: bool [H, W]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    row = size[0] * (0.3 + 0.4 * number) + 3 * np.sin(t / 5)
    column = size[1] * (0.5 + 0.25 * np.sin(t / 12 + number))
    return (rows - row) ** 2 + (columns - column) ** 2 < (size[0] / 6) ** 2


def picture(t: int, objects: int = 1, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Bright discs on a smooth background: RGB [H, W, 3]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    frame = np.stack([40 + rows, 30 + columns // 2, np.full(size, 60)], 2).astype(np.uint8)
    for number in range(objects):
        frame[disc(t, number, size)] = [(230, 60, 40), (40, 220, 240)][number]
    return frame


def ids(t: int, objects: int = 1, size: tuple[int, int] = SIZE, values: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """The mask of frame `t`: int32 [H, W]."""
    mask = np.zeros(size, np.int32)
    for number in range(objects):
        mask[disc(t, number, size)] = values[number]
    return mask


def write_folder(folder: Path, frames: int, objects: int = 1, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(parents=True)
    for t in range(frames):
        Image.fromarray(picture(t, objects, size)).save(folder / f"{t:05}.png")
    return folder


def write_two_scenes(folder: Path, first: int, second: int) -> Path:
    """A folder of frames whose scene changes after the first ones: other colours and another layout."""
    write_folder(folder, first)
    for t in range(first, first + second):
        Image.fromarray(255 - picture(t)).save(folder / f"{t:05}.png")
    return folder


def write_video(path: Path, frames: int, objects: int = 1, size: tuple[int, int] = SIZE, rate: float = 12.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (size[1], size[0]))
    assert writer.isOpened()
    for t in range(frames):
        writer.write(cv2.cvtColor(picture(t, objects, size), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_masks(folder: Path, *frames: int, objects: int = 1, **rest: Any) -> list[str]:
    """Masks named like their frames; their paths."""
    paths = [folder / f"{t:05}.png" for t in frames]
    for t, path in zip(frames, paths, strict=True):
        write_mask(path, ids(t, objects, **rest))
    return [str(path) for path in paths]


def tiny_weights(path: Path, network: str = "stcn") -> Path:
    """Weights of a tiny random network, which say what they are."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_network(network, TINY[network])
    save_weights(path, built, {"model": network, "settings": TINY[network]})
    return path
