"""Sizes: resizing to the network's resolution and back, and padding to its stride."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def padding_for(height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    """Zeros to add (left, right, top, bottom) so that both sides become multiples of `multiple`.

    The odd pixel goes to the right or the bottom.
    """
    extra_width, extra_height = -width % multiple, -height % multiple
    left, top = extra_width // 2, extra_height // 2
    return left, extra_width - left, top, extra_height - top


def crop(tensor: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Undo `torch.nn.functional.pad(tensor, padding)`: a view of [..., H, W] without the border."""
    left, right, top, bottom = padding
    height, width = tensor.shape[-2:]
    return tensor[..., top : height - bottom, left : width - right]


def short_side_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width after bringing the shorter side to `short_side`; the longer one is rounded down."""
    if short_side is None:
        return height, width
    longer = int(short_side * max(height, width) / min(height, width))
    return (short_side, longer) if height <= width else (longer, short_side)


def limited_size(height: int, width: int, limit: int | None) -> tuple[int, int]:
    """Height and width after bringing a shorter side above `limit` to it; both are rounded down."""
    shorter = min(height, width)
    if limit is None or shorter <= limit:
        return height, width
    return int(height / shorter * limit), int(width / shorter * limit)


def pad_image(image: Tensor, padding: tuple[int, int, int, int], colour: Tensor | None = None) -> Tensor:
    """An image [3, H, W] with a border of a colour [3], or of zeros."""
    if colour is None or not any(padding):
        return F.pad(image, padding)
    left, right, top, bottom = padding
    padded = colour.to(image)[:, None, None].expand(-1, image.shape[1] + top + bottom, image.shape[2] + left + right)
    padded = padded.contiguous()
    crop(padded, padding).copy_(image)
    return padded


def resize_maps(maps: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Maps [C, H, W] at another size, without antialiasing; mode: as `torch.nn.functional.interpolate` knows it."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps[None], size=size, mode=mode)[0]


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resize of a normalised image [3, H, W], without antialiasing."""
    return resize_maps(image, size, "bicubic")


def resize_ids(ids: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of object ids [H, W] to an int32 tensor."""
    tensor = torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int32))
    if tensor.shape == size:
        return tensor
    # float32 holds every 16-bit id exactly
    return F.interpolate(tensor[None, None].float(), size=size, mode="nearest")[0, 0].int()


def most_probable(probabilities: Tensor, size: tuple[int, int], *, chunk: int = 16) -> Tensor:
    """The most probable channel (int64 [H, W]) after a bilinear resize of `probabilities` [C, h, w] to `size`.

    At most `chunk` channels are held at full resolution at a time; of equal channels the lowest wins.
    """
    if probabilities.shape[-2:] == size:
        return probabilities.argmax(0)
    best = winner = None
    for start in range(0, len(probabilities), chunk):
        value, index = resize_maps(probabilities[start : start + chunk], size).max(0)
        index += start
        if best is None or winner is None:
            best, winner = value, index
        else:
            winner = torch.where(value > best, index, winner)
            best = torch.maximum(value, best)
    if winner is None:
        raise ValueError("probabilities have no channel")
    return winner
