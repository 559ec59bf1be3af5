"""Full supervision: every frame of a clip is labelled (equation 2). The measure that one-shot training is held to."""

from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.clips.dataset import ClipBatch
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate


class FullSupervision(nn.Module):
    """Trains `network` by comparing the prediction of every frame after the first with its label."""

    def __init__(self, network: Network[Any], loss: nn.Module, rollout: RolloutOptions) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.rollout = rollout

    def forward(self, clip: ClipBatch, iteration: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch of clips; `"total"` is the one to minimise."""
        order = range(clip.frames.shape[1])
        features = encode_clip(self.network, clip.frames, learn=order)
        predictions = propagate(self.network, features, order, clip.first_masks, clip.present, self.rollout, generator)
        targets = list(clip.targets[:, 1:].unbind(1))
        terms: dict[str, Tensor] = self.loss(predictions, targets, clip.present, iteration, generator)
        return terms
