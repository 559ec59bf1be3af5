"""Where one scene of a video ends and another begins, as far as that is certain.

Two frames are compared by their colours and by their layout, both on reduced images. Fast motion changes the layout and
keeps the colours; a flash changes both, and the frame after it is like the one before. In 15 real sequences of DAVIS no
two frames in succession differ by more than 0.12 in their colours, or by 0.25 where two of three are left out; those of
different sequences differ by 0.13 at least, nineteen pairs in twenty by more than 0.22.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 10  # frames before one that have a say in whether a scene begins with it
_COLOURS = 0.25  # least difference of the colours, of at most 1
_LAYOUT = 0.3  # least difference of the layout, of at most 2
_LEVEL = 4.0  # times the usual difference of colours
_LEAST_KNOWN = 3  # frames before the first cut that can be found
_BINS = 16


class Look(NamedTuple):
    """What a frame looks like. colours: shares of the levels of each channel; layout: 9x16 grey levels, normed."""

    colours: NDArray[np.float32]
    layout: NDArray[np.float32]


def with_cuts(
    frames: Iterable[NDArray[np.uint8]], before: Iterable[NDArray[np.uint8]] = ()
) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """Yield every frame, RGB [H, W, 3], and whether a scene begins with it; one frame is read ahead.

    before: up to `WINDOW` frames that come before the first; with them the answers are those of one longer walk.
    """
    looks = deque((look_of(frame) for frame in before), WINDOW)
    waiting: NDArray[np.uint8] | None = None
    for frame in frames:
        look = look_of(frame)
        if waiting is not None:
            yield waiting, _begins(list(looks), look)
        looks.append(look)
        waiting = frame
    if waiting is not None:
        yield waiting, False  # of the last one nothing is certain


def look_of(frame: NDArray[np.uint8]) -> Look:
    """What a frame RGB [H, W, 3] looks like."""
    import cv2  # takes a while, and only videos of users have cuts

    small = cv2.resize(frame, (32, 18), interpolation=cv2.INTER_AREA)
    shares = [np.histogram(small[..., channel], _BINS, (0, 256))[0] for channel in range(3)]
    # Neighbouring levels share their pixels, or a small change of light would move all from one to the next.
    colours = np.concatenate([np.convolve(each, [0.25, 0.5, 0.25], "same") for each in shares])
    layout = cv2.resize(small.mean(2, dtype=np.float32), (16, 9), interpolation=cv2.INTER_AREA).ravel()
    centred = layout - layout.mean()
    norm = float(np.linalg.norm(centred))
    return Look((colours / colours.sum()).astype(np.float32), centred / norm if norm else centred)


def _begins(looks: list[Look], following: Look) -> bool:
    """Whether the last of `looks` begins a scene: it and the next one differ from those before."""
    if len(looks) <= _LEAST_KNOWN:
        return False
    *known, look = looks
    steps = [_colours(one, other) for one, other in pairwise(known)]
    least = max(_COLOURS, _LEVEL * median(steps))
    pairs = [(known[-1], look), (known[-2], look), (known[-1], following), (known[-2], following)]
    return all(_colours(*pair) > least and _layout(*pair) > _LAYOUT for pair in pairs)


def _colours(one: Look, other: Look) -> float:
    """The share of the colours that differs, 0 to 1."""
    return float(np.abs(one.colours - other.colours).sum()) / 2


def _layout(one: Look, other: Look) -> float:
    """1 less the correlation, 0 to 2."""
    return 1 - float(one.layout @ other.layout)
