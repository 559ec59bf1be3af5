"""One-shot supervision, section 3 of the paper: learn from the first frame's masks alone.

forward, without gradient     x_0, m_0  ->  x_1  ->  …  ->  x_T          equation 1
backward, with gradient       x_T, m̂_T  ->  (x_T1)  ->  x_0              equations 3 to 5
loss                          L(m̂'_0, m_0)                               equation 6
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.clips.dataset import ClipBatch
from oneshot_vos.networks.common.interface import Network, Prediction
from oneshot_vos.supervision.backward import BackwardPass
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

# Turns the prediction of the last frame into the reference masks of the way back, [B, K, H, W] in [0, 1].
Handover = Callable[[Prediction], Tensor]


def soft(prediction: Prediction) -> Tensor:
    """Hand the probabilities back as they are."""
    return prediction.masks


def hard(prediction: Prediction) -> Tensor:
    """Hand back one-hot masks: each pixel belongs to its most probable object, or to none."""
    objects = prediction.masks.shape[1]
    winner = prediction.logits.argmax(dim=1)
    return nn.functional.one_hot(winner, objects + 1).movedim(-1, 1)[:, 1:].to(prediction.masks.dtype)


class OneShot(nn.Module):
    """Trains `network` from clips of which only frame 0 is labelled.

    `loss` is the network's own; `backward` chooses the way back; `handover` says in which form the prediction of the
    last frame starts it.
    """

    def __init__(
        self,
        network: Network[Any],
        loss: nn.Module,
        backward: BackwardPass,
        rollout: RolloutOptions,
        handover: Handover = soft,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.backward_pass = backward
        self.rollout = rollout
        self.handover = handover

    def forward(self, clip: ClipBatch, iteration: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch of clips; `"total"` is the one to minimise."""
        last = clip.frames.shape[1] - 1
        path = self.backward_pass(last, generator)
        features = encode_clip(self.network, clip.frames, learn=path)

        with torch.no_grad():
            forward = self.walk(clip, features, range(last + 1), clip.first_masks, generator)
            handover = self.handover(forward[-1])
        backward = self.walk(clip, features, path, handover, generator)

        terms: dict[str, Tensor] = self.loss(backward[-1:], [clip.targets[:, 0]], clip.present, iteration, generator)
        return terms

    def walk(
        self,
        clip: ClipBatch,
        features: Sequence[Any],
        order: Sequence[int],
        first_masks: Tensor,
        generator: torch.Generator,
    ) -> list[Prediction]:
        """Predict the frames of the clip in this order, starting from `first_masks`."""
        return propagate(self.network, features, order, first_masks, clip.present, self.rollout, generator)
