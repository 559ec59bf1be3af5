"""How far the masks of a segmented video can be trusted, told without any true mask.

A second look walks against the direction in which the masks were made: from a mask that was found back to one that is
nearer to a given mask, which it is not shown. What the masks have lost on their way, the way back cannot find again
(forward-backward reconstruction). Where the end of a stretch is not given itself, a look reaches `REACH` frames and the
next one begins there, so that a mistake counts from where it was made, not in all frames before it: what was lost in
frame 50 follows the wrong thing from frame 100 back to 50 in perfect agreement. Between two given masks one look walks
from the later one to the earlier one.

A look holds the memory of a walk and one frame at a time; of a video, a few numbers per frame and object are kept.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.videos.masks import read_small_mask

REACH = 20  # frames of a look that does not end at a given mask
WHOLE = 0  # the number that stands for all objects of a frame together
_COLLAPSED = 0.1  # of its largest area in a look: an object below it has left, or was lost
_LEFT = 0.25  # trust in a mask that is empty or collapsed: more objects are lost than leave
_POWER = 0.25  # of the reconstruction in the confidence

Values = NDArray[np.float64]
SecondLook = Callable[[GivenMasks, range], Iterable[Segmented]]  # from masks of some of the frames


class Row(NamedTuple):
    """What is known of one object in one frame; all numbers but `confidence` are None where they are not defined.

    frame: its number. object: its id, `WHOLE` for the mean over all objects of the frame.
    agreement: IoU, 0 to 1, of the mask with that of the second look.
    reconstruction: in a frame whose mask is given, its IoU with that of the second look; elsewhere the share of the
        given mask that is found again from here, 0 to 1: the product over the looks between, less what is taken to be
        lost on this look so far. Between two given masks 1 less what the look from the later one disputes, which weighs
        the more the nearer that is.
    entropy: H / (H + A), 0 to 1: H is the entropy of the object's probability in bits, summed over the frame, and A its
        expected area, the sum of the probability. 0: no doubt. None where no pixel is the object's.
    confidence: see `combine`; 1 where the mask is given.
    """

    frame: int
    object: int
    agreement: float | None
    reconstruction: float | None
    entropy: float | None
    confidence: float


class Doubt(NamedTuple):
    """What the probabilities of a mask say of it; see `Row` for the entropy.

    expected: the IoU to be expected if each pixel is right as often as its probability says, 0 to 1: the sum of the
        probability inside the mask over the area of the mask and the sum outside.
    """

    entropy: float
    expected: float


def frames_between(start: int, stop: int) -> range:
    """The frames from `start` to `stop`, forwards or backwards, both of these among them."""
    step = -1 if stop < start else 1
    return range(start, stop + step, step)


def plan_looks(length: int, labelled: Sequence[int]) -> list[range]:
    """The looks at a video whose masks were made both ways from those of the frames `labelled`.

    A look ends at a frame that is nearer to a given mask than its start, or has one, and comes after those that lie
    between it and that mask. Before the first given mask and after the last one looks are at most `REACH` frames long,
    and evenly so.
    """
    ordered = sorted(labelled)
    between = [frames_between(later, earlier) for earlier, later in pairwise(ordered)]
    return [*_open_looks(ordered[0], 0), *between, *_open_looks(ordered[-1], length - 1)]


def _open_looks(near: int, far: int) -> list[range]:
    count = -(-abs(far - near) // REACH)
    ends = [near + round((far - near) * number / count) for number in range(count + 1)] if count else []
    return [frames_between(start, stop) for stop, start in pairwise(ends)]


def doubts_of(probabilities: Tensor, ids: NDArray[np.int32], objects: Sequence[int]) -> list[Doubt | None]:
    """What the network itself says of a mask, for each object; None for one without a pixel.

    probabilities: [K + 1, H, W], background first, as a walk hands them out. ids: [H, W]. objects: the K ids.
    """
    doubts: list[Doubt | None] = []
    for number, channel in zip(objects, probabilities[1:], strict=True):  # one at a time: of the size of the frame
        chance = channel.clamp(0, 1)  # resizing can leave a rounding error above 1
        mask = torch.from_numpy(ids == number).to(chance.device)
        pixels, area = int(mask.sum()), float(chance.sum())
        bits = float((torch.special.entr(chance) + torch.special.entr(1 - chance)).sum()) / math.log(2)
        hit = float(chance[mask].sum())
        doubts.append(Doubt(bits / (bits + area), hit / (pixels + area - hit)) if pixels else None)
    return doubts


def measure_confidence(
    length: int,
    given: GivenMasks,
    mask: Callable[[int], Path],
    second_look: SecondLook,
    doubts: Values,
) -> list[Row]:
    """Rows of all frames in time order: of all objects together, then of each from where it is first given on.

    length: of the video. given: the masks that its masks were made from. mask: where the mask of a frame is, ids as
    `GivenMasks` knows them. second_look: walks through frames from masks of some of them. doubts: [length, K, 2], what
    `doubts_of` tells of each object of `given`, NaN where it tells nothing.
    """
    measured = _Measured(length, given, mask)
    for look in plan_looks(length, list(given.files)):
        measured.take(look, second_look)
    return measured.rows(doubts)


class _Measured:
    """What the looks have found so far: values [frames, K], NaN where there are none."""

    def __init__(self, length: int, given: GivenMasks, mask: Callable[[int], Path]) -> None:
        self._mask, self._ids = mask, np.array(given.ids)
        self._labelled = np.zeros((length, len(given.ids)), bool)
        for t, objects in given.objects.items():
            self._labelled[t] = np.isin(self._ids, objects)
        self._exists = np.logical_or.accumulate(self._labelled)
        self._exists[: min(given.files)] = self._labelled[min(given.files)]  # all that the walk backwards knows
        self._agreement = np.full(self._labelled.shape, np.nan)
        self._trust = np.ones(self._labelled.shape)

    def take(self, look: range, second_look: SecondLook) -> None:
        """Take up what a look finds; those nearer to the given mask come before it."""
        order, start, stop = list(look), look[0], look[-1]
        areas = np.array([self._areas(t) for t in order])
        visible = areas >= np.maximum(1, _COLLAPSED * areas[:-1].max(0))
        visible[0] |= self._labelled[start]
        found = self._found(look, visible, second_look)
        self._agreement[order] = np.where(np.isnan(found), self._agreement[order], found)
        near = np.where(self._labelled[stop], 1.0, self._trust[stop])
        told, back = (np.where(np.isnan(each), 1.0, each) for each in (found[:-1], found[-1]))
        share = np.linspace(1, 0, len(order))[:-1, None]  # of the way from the stop
        # What is not found again was lost evenly on the way, or where masks and look part, whichever was earlier.
        kept = np.minimum(1 - (1 - back) * share, 1 + back - told)
        kept = np.where(visible[:-1] | ~visible[-1], kept, kept * _LEFT)  # what was gone before counts already
        disputed = 1 - (1 - told) * share  # by a mask that is given at the start, the more the nearer it is
        self._trust[order[:-1]] = near * np.where(self._labelled[start], disputed, kept)

    def rows(self, doubts: Values) -> list[Row]:
        """All that is known, with the doubts [frames, K, 2] of the masks."""
        entropy, expected = np.moveaxis(doubts, 2, 0)
        back = np.where(self._labelled, self._agreement, self._trust)
        sure = np.where(self._labelled, 1.0, combine(self._trust, expected))
        rows = []
        for t, exists in enumerate(self._exists):
            values = np.stack([self._agreement[t], back[t], entropy[t], sure[t]])[:, exists]
            together = np.array(
                [each[~np.isnan(each)].mean() if (~np.isnan(each)).any() else np.nan for each in values]
            )
            for number, column in [(WHOLE, together), *zip(self._ids[exists], values.T, strict=True)]:
                agreement, reconstruction, doubt, confidence = column.tolist()
                rows.append(Row(t, int(number), _known(agreement), _known(reconstruction), _known(doubt), confidence))
        return rows

    def _areas(self, t: int) -> NDArray[np.int64]:
        """Pixels [K] of each object."""
        return np.bincount(self._read(t).ravel(), minlength=self._ids[-1] + 1)[self._ids]

    def _read(self, t: int) -> NDArray[np.unsignedinteger[Any]]:
        return read_small_mask(self._mask(t))

    def _found(self, order: range, visible: NDArray[np.bool_], second_look: SecondLook) -> Values:
        """The agreement [frames of the look, K] of objects that were there before, after the frames they start from."""
        found = np.full(visible.shape, np.nan)
        starts = {k: int(visible[:-1, k].argmax()) for k in np.flatnonzero(visible[:-1].any(0))}
        if not starts:
            return found
        objects: dict[int, tuple[int, ...]] = {}
        for k, place in sorted(starts.items()):
            objects[order[place]] = (*objects.get(order[place], ()), int(self._ids[k]))
        given = GivenMasks({t: self._mask(t) for t in objects}, objects)
        compared = [k for k in starts if self._exists[order[-1], k]]
        for second in second_look(given, order[min(starts.values()) :]):
            place, first = order.index(second.frame), self._read(second.frame)
            for k in compared:
                if place > starts[k]:
                    found[place, k] = iou(first == self._ids[k], second.ids == self._ids[k])
        return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def combine(reconstruction: Values, expected: Values) -> Values:
    """The confidence, 0 to 1: reconstruction^(1/4) times the expected IoU, which is NaN where an object is not shown.

    There it is the reconstruction alone. Chosen on 17 training clips (docs/confidence.md) for how closely it follows
    the true J. The expected IoU tells most; the reconstruction knows of objects that were lost without any doubt.
    """
    return np.where(np.isnan(expected), reconstruction, reconstruction**_POWER * expected)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0
