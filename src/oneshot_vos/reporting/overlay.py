"""Masks laid over frames: tinted areas with a contour of full colour.

Letters: H, W: height and width in pixels; K: number of colours.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.reporting.canvas import Colour, Pixels
from oneshot_vos.videos.masks import DAVIS_PALETTE

Ids = NDArray[np.integer]
_TINT = 0.45  # share of the mask's colour inside the contour


def fit_height(frame: Pixels, height: int) -> Pixels:
    """`frame` [H, W, 3] scaled to `height` rows, its shape kept."""
    size = _scaled_size(frame, height)
    # Enlarged pixels stay pixels: a blurred frame would look like detail that is not there.
    method = Image.Resampling.NEAREST if frame.shape[0] < height else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(frame).resize(size, method))


def fit_ids(ids: Ids, height: int) -> NDArray[np.int32]:
    """Object ids [H, W] scaled like their frame, each pixel from its nearest."""
    image = Image.fromarray(np.ascontiguousarray(ids, np.int32))
    return np.asarray(image.resize(_scaled_size(ids, height), Image.Resampling.NEAREST))


def _scaled_size(pixels: NDArray[np.generic], height: int) -> tuple[int, int]:
    """(width, height) for Pillow."""
    return max(1, round(pixels.shape[1] * height / pixels.shape[0])), height


def contour(ids: Ids) -> NDArray[np.bool_]:
    """Pixels [H, W] of objects with a pixel of another id, or the picture's edge, above, below or beside them."""
    padded = np.pad(ids, 1, constant_values=0)
    middle = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (middle != 0) & np.any([middle != other for other in neighbours], axis=0)


def overlay(frame: Pixels, ids: Ids, colours: NDArray[np.uint8] | None = None) -> Pixels:
    """Frame [H, W, 3] with the objects of `ids` [H, W] in their colours [K, 3], by default those of DAVIS.

    Ids beyond the colours begin again with the first object's.
    """
    palette = DAVIS_PALETTE if colours is None else colours
    index = np.where(ids > 0, (ids - 1) % (len(palette) - 1) + 1, 0)
    colour = palette[index].astype(np.float32)  # [H, W, 3]
    mixed = (1 - _TINT) * frame + _TINT * colour
    edge = contour(ids)[..., None]
    result = np.where((ids > 0)[..., None], np.where(edge, colour, mixed), frame)
    return np.asarray(np.rint(result), np.uint8)


def overlay_one(frame: Pixels, mask: Ids, colour: Colour) -> Pixels:
    """Frame [H, W, 3] with all objects of `mask` [H, W] as one, in one colour."""
    return overlay(frame, (mask > 0).astype(np.int32), np.array([(0, 0, 0), colour], np.uint8))


def intersection_over_union(first: Ids, second: Ids) -> float:
    """Of the foregrounds [H, W] of two masks, all objects as one; 1 for two empty ones."""
    one, other = first > 0, second > 0
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 1.0
