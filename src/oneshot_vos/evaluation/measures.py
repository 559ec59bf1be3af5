"""Region similarity J and contour accuracy F of one binary mask pair, computed on bits.

Both masks are packed to one bit per pixel, cropped to where either of them has pixels, and laid out as rows of 64-bit
words with spare bits at the end of each row. Shifting the flat word array then moves the whole picture sideways (what
leaves a row lands in spare bits), slicing along the row axis moves it up and down, and counting bits replaces summing
pixels. Prediction and ground truth share one array of shape 2 x rows x words, so each step serves both.

The numbers are those of the DAVIS 2017 benchmark to the last bit: integer counts, float64 quotients, and
`2 * P * R / (P + R)` evaluated from left to right.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.uint16]
Words = NDArray[np.uint64]

WORD = 64
DAVIS_TOLERANCE = 0.008


class Measures(NamedTuple):
    """J and F of one object in one frame, each in [0, 1]."""

    j: float
    f: float


def tolerance_radius(height: int, width: int, tolerance: float = DAVIS_TOLERANCE) -> int:
    """Distance in pixels within which two contour pixels match.

    `tolerance` below 1 is a fraction of the image diagonal, rounded up (8 pixels for 480 x 854 at 0.008); from 1 on
    it is the distance itself.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance is {tolerance}, expected a fraction of the diagonal or a number of pixels")
    if tolerance >= 1:
        return int(tolerance)
    return math.ceil(tolerance * math.sqrt(height * height + width * width))


def region_similarity(prediction: Mask, truth: Mask, void: Mask | None = None) -> float:
    """J: intersection over union of two binary H x W masks, pixels of `void` left out; 1 when both are empty."""
    return measure(*_packed(prediction, truth, void), width=truth.shape[1], radius=0).j


def contour_accuracy(
    prediction: Mask, truth: Mask, void: Mask | None = None, tolerance: float = DAVIS_TOLERANCE
) -> float:
    """F: harmonic mean of contour precision and recall of two binary H x W masks.

    Pixels of `void` count as background in both masks before the contours are drawn. `tolerance`: see
    `tolerance_radius`.
    """
    height, width = truth.shape
    radius = tolerance_radius(height, width, tolerance)
    return measure(*_packed(prediction, truth, void), width=width, radius=radius).f


def pack(mask: Mask) -> NDArray[np.uint8]:
    """One bit per pixel, set where the H x W mask is not 0: uint8, H x ceil(W / 8), lowest bit leftmost."""
    return np.packbits(mask, axis=1, bitorder="little")


def measure(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], width: int, radius: int) -> Measures:
    """J and F of two packed masks (see `pack`) of images `width` pixels wide, contours matching within `radius`."""
    crop = _occupied(prediction | truth)
    if crop is None:
        return Measures(1.0, 1.0)
    stack, valid = _stack(prediction, truth, crop, width, radius)
    pixels = stack & valid
    j = _count(pixels[0] & pixels[1]) / _count(pixels[0] | pixels[1])
    boundary = _boundaries(stack, valid)
    if np.array_equal(boundary[0], boundary[1]):
        return Measures(j, 1.0)
    return Measures(j, _harmonic_mean(boundary, radius))


def _packed(prediction: Mask, truth: Mask, void: Mask | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if prediction.shape != truth.shape or (void is not None and void.shape != truth.shape):
        shapes = [part.shape for part in (prediction, truth, void) if part is not None]
        raise ValueError(f"masks of different shapes: {shapes}")
    if void is None:
        return pack(prediction), pack(truth)
    seen = ~pack(void)
    return pack(prediction) & seen, pack(truth) & seen


class _Crop(NamedTuple):
    """Rows and byte columns (end excluded) of the packed image that are worked on."""

    top: int
    bottom: int
    left: int
    right: int


def _occupied(union: NDArray[np.uint8]) -> _Crop | None:
    """Where `union` has bits, with one row and one byte more up and left: contour pixels lie there."""
    rows = np.bitwise_or.reduce(union, axis=1).nonzero()[0]
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.bitwise_or.reduce(union[top:bottom], axis=0).nonzero()[0]
    return _Crop(max(top - 1, 0), bottom, max(int(columns[0]) - 1, 0), int(columns[-1]) + 1)


def _stack(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], crop: _Crop, width: int, radius: int
) -> tuple[Words, Words]:
    """Both crops as words, 2 x (rows + 1) x words, and the bits of one of them that are pixels of the image.

    The row below and the first bit beyond each row are empty, or repeat the last row and column where the crop ends
    at the lower or right edge of the image: an edge is no contour. Rows have at least `radius` + 1 spare bits.
    """
    rows, used = crop.bottom - crop.top, crop.right - crop.left
    words = -(-(8 * used + radius + 1) // WORD)
    cells = np.zeros((3, rows + 1, words * WORD // 8), np.uint8)
    cells[0, :rows, :used] = prediction[crop.top : crop.bottom, crop.left : crop.right]
    cells[1, :rows, :used] = truth[crop.top : crop.bottom, crop.left : crop.right]
    cells[2, :rows, :used] = 0xFF
    stack: Words = cells.view("<u8")
    if crop.right == prediction.shape[1]:
        columns = width - 8 * crop.left
        cells[2, :rows, used - 1] = 0xFF >> (8 * used - columns)
        word, bit = divmod(columns - 1, WORD)
        next_word, next_bit = divmod(columns, WORD)
        stack[:2, :, next_word] |= (stack[:2, :, word] >> bit & 1) << next_bit
    if crop.bottom == prediction.shape[0]:
        stack[:2, rows] = stack[:2, rows - 1]
    return stack[:2], stack[2]


def _boundaries(stack: Words, valid: Words) -> Words:
    """Contour maps: pixels that differ from their right, lower or lower right neighbour."""
    right = _shifted_left(stack, 1)
    boundary = stack ^ right
    boundary[:, :-1] |= stack[:, :-1] ^ stack[:, 1:]
    boundary[:, :-1] |= stack[:, :-1] ^ right[:, 1:]
    boundary &= valid
    return boundary


def _harmonic_mean(boundary: Words, radius: int) -> float:
    """F of two contour maps: 2PR / (P + R), where P and R are the shares of contour pixels near the other contour."""
    in_prediction, in_truth = _count(boundary[0]), _count(boundary[1])
    if not in_prediction or not in_truth:
        return 0.0
    near = _dilated(boundary, radius)
    precision = _count(boundary[0] & near[1]) / in_prediction
    recall = _count(boundary[1] & near[0]) / in_truth
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _dilated(boundary: Words, radius: int) -> Words:
    """Every bit widened to a disk of `radius`; only bits of the image proper are right, spare bits hold anything.

    A disk is a pile of horizontal runs. The runs are grown to the right, shortest first, each from the one before;
    whenever a length is reached that rows of the disk have, it is centred and added to these rows above and below.
    """
    result = np.zeros_like(boundary)
    grown, length = boundary.copy(), 1
    for half_width, offsets in _disk_runs(radius):
        while length < 2 * half_width + 1:
            step = min(length, 2 * half_width + 1 - length, WORD)
            _merge_shifted(grown, step)
            length += step
        run = _shifted_left(grown, half_width)
        for offset in offsets:
            if offset == 0:
                result |= run
            elif offset < run.shape[1]:
                result[:, offset:] |= run[:, :-offset]
                result[:, :-offset] |= run[:, offset:]
    return result


@lru_cache
def _disk_runs(radius: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """The disk as (half width, row offsets that have it), narrowest first."""
    rows: dict[int, list[int]] = {}
    for offset in range(radius, -1, -1):
        rows.setdefault(math.isqrt(radius * radius - offset * offset), []).append(offset)
    return tuple((half_width, tuple(offsets)) for half_width, offsets in rows.items())


def _merge_shifted(words: Words, columns: int) -> None:
    """OR into `words` the picture moved right by `columns` (1 to 64), in place."""
    flat = words.reshape(-1)
    carried = flat[:-1] >> (WORD - columns)
    if columns < WORD:
        flat |= flat << columns
    flat[1:] |= carried


def _shifted_left(words: Words, columns: int) -> Words:
    """The picture moved left by `columns`, through all words as if they were one row of bits."""
    if columns == 0:
        return words
    whole, bits = divmod(columns, WORD)
    flat = words.reshape(-1)[whole:]
    result = np.empty(words.size, np.uint64)
    np.right_shift(flat, bits, out=result[: flat.size])
    result[flat.size :] = 0
    if bits:
        result[: flat.size - 1] |= flat[1:] << (WORD - bits)
    return result.reshape(words.shape)


def _count(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
