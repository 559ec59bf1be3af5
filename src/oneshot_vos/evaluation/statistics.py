"""Mean, recall and decay of a sequence's per-frame values."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RECALL_THRESHOLD = 0.5


class Statistics(NamedTuple):
    """`mean` and `recall` in [0, 1]; `decay` in [-1, 1], smaller is better."""

    mean: float
    recall: float
    decay: float


def statistics(values: Sequence[float]) -> Statistics:
    """Summarise the J or F values of one object over the scored frames (at least one).

    Recall is the share of frames strictly above 0.5. Decay is the mean of the first quarter of the frames minus the
    mean of the last; neighbouring quarters share one frame. The quarter edges are plain integers, so clips of any
    length are right (the official tool stores them in 8 bits and is wrong from 256 scored frames on).
    """
    array = np.asarray(values, np.float64)
    edges = quarter_edges(len(array))
    first, last = array[edges[0] : edges[1] + 1], array[edges[3] : edges[4] + 1]
    return Statistics(
        mean=float(array.mean()),
        recall=float((array > RECALL_THRESHOLD).mean()),
        decay=float(first.mean() - last.mean()),
    )


def quarter_edges(count: int) -> list[int]:
    """The five frame indices between which the quarters of `count` frames lie, halves rounded up."""
    return [math.floor(k * (count - 1) / 4 + 0.5) for k in range(5)]
