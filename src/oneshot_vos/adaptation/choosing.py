"""Which weights a video is segmented with, by how well they keep to the given masks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

MARGIN = 0.01  # of agreement, by which new weights have to be better
SURER = 0.015  # of the IoU expected of all masks of a video, by which new weights have to be better
PATIENCE = 2  # measurements in a row that may bring nothing


def exhausted(values: Sequence[float]) -> bool:
    """Whether the last `PATIENCE` values, of means in the order they were measured, are all below the best before."""
    return len(values) > PATIENCE and max(values[-PATIENCE:]) <= max(values[:-PATIENCE])


def chosen_share(before: float, after: Mapping[float, float]) -> float:
    """How much of a training a video takes: the share of the trained weights, the rest being the start; 0 for none.

    before: its agreement without. after: its agreement by share. Each step away from the start has to pay: a larger
    share is taken if it is better by the margin than all that change less.
    """
    best, chosen = before, 0.0
    for share, value in sorted(after.items()):
        if value >= best + MARGIN:
            best, chosen = value, share
    return chosen


def surer(before: float, after: float) -> bool:
    """Whether new weights expect enough more of their masks of a whole video: IoU, 0 to 1, as probabilities tell it."""
    return after >= before + SURER


def mix(start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the trained weights and the rest of the start; whole numbers are those of the training.

    Between a start and what a training made of it often lies something better than both (Wortsman et al., CVPR 2022).
    """
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in trained.items()
    }
