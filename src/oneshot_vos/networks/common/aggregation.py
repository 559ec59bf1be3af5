"""From independent object probabilities to a partition of the image, and back to one-hot masks."""

import torch
from torch import Tensor

_EPSILON = 1e-7


def aggregate(probabilities: Tensor) -> Tensor:
    """Soft aggregation: object probabilities [B, K, H, W] in [0, 1] to float32 logits [B, K+1, H, W].

    Background, which comes first, has the probability that no object is there; softmax over dim 1 normalises. An
    absent object (probability 0) leaves the others untouched and gets a logit near -16.
    """
    probabilities = probabilities.float()
    # A running product instead of `prod`, whose backward pass is slow and synchronises where a factor is zero.
    absent = (1 - probabilities).unbind(1)
    background = absent[0]
    for factor in absent[1:]:
        background = background * factor
    # `logit(eps=)` would let gradients through where a rounded probability lies on the bound itself; no mask that is
    # as certain as float32 can say should be pushed further.
    return torch.logit(torch.cat([background.unsqueeze(1), probabilities], 1).clamp(_EPSILON, 1 - _EPSILON))


def aggregate_logits(logits: Tensor, present: Tensor | None = None) -> Tensor:
    """Logits [B, K, H, W] of objects to aggregated ones [B, K+1, H, W] in float32; `present` [B, K] or None for all."""
    probabilities = logits.float().sigmoid()
    return aggregate(probabilities if present is None else probabilities * present[:, :, None, None])


def one_hot(labels: Tensor, objects: int) -> Tensor:
    """Class labels [B, H, W] (0 is background) to float32 object masks [B, K, H, W]; classes above K are dropped."""
    ids = torch.arange(1, objects + 1, device=labels.device).view(1, -1, 1, 1)
    return (labels.unsqueeze(1) == ids).float()


def sum_of_others(masks: Tensor) -> Tensor:
    """For every object the sum of the other objects' masks; [B, K, H, W] to the same shape."""
    if masks.shape[1] > 2:
        return masks.sum(1, keepdim=True) - masks
    return masks.flip(1) if masks.shape[1] == 2 else torch.zeros_like(masks)
