"""Scores of a set of videos: per frame, object, sequence and over all objects."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

RECALL_THRESHOLD = 0.5
GLOBAL_NAMES = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
SHORT_NAMES = {"JF": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}  # in our tables and parameters


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


@dataclass(frozen=True)
class ObjectScores:
    """J and F of one object, one value in [0, 1] per scored frame."""

    id: int
    j: tuple[float, ...]
    f: tuple[float, ...]

    @cached_property
    def region(self) -> Statistics:
        """Mean, recall and decay of J."""
        return statistics(self.j)

    @cached_property
    def contour(self) -> Statistics:
        """Mean, recall and decay of F."""
        return statistics(self.f)


@dataclass(frozen=True)
class SequenceScores:
    """Scores of the objects 1 to K of one video; `frames` are the stems of the scored frames in time order."""

    name: str
    frames: tuple[str, ...]
    objects: tuple[ObjectScores, ...]

    @property
    def summary(self) -> dict[str, float]:
        """The seven numbers of `summarise` over this video's objects; empty for a video without objects."""
        return summarise(self.objects) if self.objects else {}


@dataclass(frozen=True)
class SetResult:
    """Scores of all videos of a set, in the order of the set, and the contour tolerance they were computed with."""

    sequences: tuple[SequenceScores, ...]
    tolerance: float

    @property
    def summary(self) -> dict[str, float]:
        """The benchmark's seven global numbers: plain means over all objects of all videos."""
        return summarise(scores for sequence in self.sequences for scores in sequence.objects)


def summarise(objects: Iterable[ObjectScores]) -> dict[str, float]:
    """J&F-Mean, then mean, recall and decay of J and of F, each averaged over the objects (at least one).

    Every object counts the same, whatever the length of its clip. Keys: `GLOBAL_NAMES`.
    """
    scored = tuple(objects)
    region = [float(np.mean(column)) for column in zip(*(scores.region for scores in scored), strict=True)]
    contour = [float(np.mean(column)) for column in zip(*(scores.contour for scores in scored), strict=True)]
    return dict(zip(GLOBAL_NAMES, ((region[0] + contour[0]) / 2, *region, *contour), strict=True))
