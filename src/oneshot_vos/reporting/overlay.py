"""Masks laid over frames: tinted areas with a contour of full colour, and the ids of objects.

Letters: H, W: height and width in pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from oneshot_vos.reporting.canvas import BLACK, WHITE, Colour, Pixels, font
from oneshot_vos.videos.masks import object_ids

Ids = NDArray[np.integer]

# Of objects in their order. Vivid, none like another, and none that skin, fur, grass or asphalt has; masks on disk keep
# the palette of DAVIS, whose colours are half as bright and leave id 255 a pale beige.
COLOURS: tuple[Colour, ...] = (
    (255, 40, 90),  # red
    (0, 195, 255),  # sky
    (255, 215, 0),  # yellow
    (170, 80, 255),  # violet
    (70, 230, 60),  # green
    (255, 125, 0),  # orange
    (40, 90, 255),  # blue
    (255, 120, 235),  # pink
    (0, 225, 170),  # turquoise
    (190, 0, 130),  # purple
    (205, 240, 60),  # lime
    (0, 130, 110),  # teal
)
_TINT = 0.4  # share of the object's colour inside the contour
_SHADE = 0.35  # share of its light that a pixel beside an object keeps: a yellow contour shows on white, too


def draw_masks(
    frame: Pixels,
    ids: Ids,
    objects: Sequence[int] | None = None,
    *,
    colours: Sequence[Colour] = COLOURS,
    label: bool | None = None,
) -> Pixels:
    """Frame [H, W, 3] with the objects of `ids` [H, W] (0: none): translucent, outlined, each in its own colour.

    objects: the ids of the whole video, which keep their colours then while some are out of sight; None: those of
    `ids`. They take the colours in rising order, and begin again after the last. label: write the id at the upper left
    corner of each object; None: if there are several. Raises `ValueError` where sizes differ or `ids` has others.
    """
    if frame.shape[:2] != ids.shape:
        raise ValueError(f"a frame of {frame.shape[:2]} pixels and ids of {ids.shape}")
    known = np.unique(ids if objects is None else np.asarray(objects, np.int64)).astype(np.int64)
    known = known[known > 0]
    order = _order(ids, known)
    palette = np.array([colours[place % len(colours)] for place in range(len(known))], np.uint8).reshape(-1, 3)
    result, inside = frame.copy(), order > 0
    # The pixels next to an object that are no object's.
    beside = (cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~inside
    result[beside] = (frame[beside] * _SHADE).astype(np.uint8)
    colour = palette[order[inside] - 1]
    result[inside] = np.rint((1 - _TINT) * frame[inside] + _TINT * colour).astype(np.uint8)
    # Three pixels of a frame of DAVIS, as much of any other.
    edge = contour(order, max(1, round(min(frame.shape[:2]) / 180)))
    result[edge] = palette[order[edge] - 1]
    if label if label is not None else len(known) > 1:
        result = _labelled(result, order, known, palette)
    return result


def draw_mask(frame: Pixels, mask: Ids, colour: Colour) -> Pixels:
    """Frame [H, W, 3] with all objects of `mask` [H, W] as one, in one colour."""
    return draw_masks(frame, (mask > 0).astype(np.uint8), colours=[colour])


def drawn(frame: Pixels, ids: Ids, objects: Sequence[int], height: int) -> Pixels:
    """Frame [H, W, 3] with `ids` [H, W] laid over, both first reduced to at most `height` rows.

    objects: those of the whole video, which have the same colours in all its frames.
    """
    rows = min(height, frame.shape[0])
    return draw_masks(fit_height(frame, rows), fit_ids(ids, rows), sorted({*objects, *object_ids(ids)}))


def contour(ids: Ids, width: int = 1) -> NDArray[np.bool_]:
    """Pixels [H, W] of objects with another id, or what lies beyond the picture, at most `width` pixels away."""
    small = ids.astype(np.uint16)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS if width == 1 else cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
    least, most = (
        change(small, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)) for change in (cv2.erode, cv2.dilate)
    )
    return np.asarray((small != 0) & ((least != small) | (most != small)))


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


def _order(ids: Ids, known: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The place of each pixel's object among `known`, from 1; 0: none."""
    if not len(known):
        if (ids > 0).any():
            raise ValueError("ids of objects that are not named")
        return np.zeros(ids.shape, np.uint16)
    places = np.searchsorted(known, ids).clip(max=len(known) - 1)
    if not np.array_equal(known[places] == ids, ids > 0):
        raise ValueError(f"ids of objects that are not among {known.tolist()}")
    return np.where(ids > 0, places + 1, 0).astype(np.uint16)


def _labelled(picture: Pixels, order: NDArray[np.uint16], known: NDArray[np.int64], palette: Pixels) -> Pixels:
    """`picture` with the id of each object that is seen, on a plate of its colour, above its upper left corner."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    height, width = order.shape
    size = max(9, round(min(height, width) / 22))
    for place, number in enumerate(known.tolist(), 1):
        rows, columns = (np.flatnonzero((order == place).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        text, colour = str(number), tuple(int(value) for value in palette[place - 1])
        left, top, right, bottom = (int(value) for value in draw.textbbox((0, 0), text, font(size)))
        pad = max(1, size // 5)
        wide, high = right - left + 2 * pad, bottom - top + 2 * pad
        x = max(0, min(int(columns[0]), width - wide))
        y = max(0, min(int(rows[0]) - high // 2, height - high))
        draw.rounded_rectangle((x, y, x + wide - 1, y + high - 1), pad, fill=colour)
        bright = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 110
        draw.text((x + pad - left, y + pad - top), text, BLACK if bright else WHITE, font(size))
    return np.array(image)
