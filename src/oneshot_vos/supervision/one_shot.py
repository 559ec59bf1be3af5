"""One-shot supervision, section 3 of the paper: learn from the first frame's masks alone.

forward, without gradient     x_0, m_0  ->  x_1  ->  …  ->  x_T          equation 1
backward, with gradient       x_T, m̂_T  ->  (x_T1)  ->  x_0              equations 3 to 5
loss                          L(m̂'_0, m_0)                               equation 6
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network, Prediction
from oneshot_vos.registry import Registry
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate
from oneshot_vos.supervision.strategy import Strategy


def soft(prediction: Prediction) -> Tensor:
    """Hand the probabilities over as they are."""
    return prediction.masks


def hard(prediction: Prediction) -> Tensor:
    """Hand over one-hot masks: each pixel belongs to its most probable object, or to none."""
    objects = prediction.masks.shape[1]
    winner = prediction.logits.argmax(dim=1)
    return nn.functional.one_hot(winner, objects + 1).movedim(-1, 1)[:, 1:].to(prediction.masks.dtype)


# How the prediction of the last frame becomes the masks that the backward walk starts from, [B, K, H, W] in [0, 1].
HANDOVERS: Registry[Callable[[Prediction], Tensor]] = Registry("handover", {"soft": soft, "hard": hard})


class OneShot(Strategy):
    """Trains `network` from clips of which only frame 0 is labelled; a strategy of this kind chooses the path back."""

    def __init__(self, network: Network, loss: nn.Module, options: RolloutOptions) -> None:
        super().__init__(network, loss, options)
        self.handover = HANDOVERS[options.handover]

    def forward(self, clip: ClipBatch, iteration: int, generators: Generators) -> dict[str, Tensor]:
        path = self.path_back(clip.frames.shape[1] - 1, generators.iteration)
        features = encode_clip(self.network, clip.frames, learn=path)

        with torch.no_grad():
            ahead = self.walk_ahead(clip, features, generators)
            handover = self.handover(ahead[-1])
        back = propagate(self.network, features, path, handover, clip.present, self.options, generators)

        return self.objective(clip, path, ahead, back, iteration, generators)

    @abstractmethod
    def path_back(self, last: int, generator: torch.Generator) -> list[int]:
        """The frames of the backward walk, which all clips share, in its order: from frame `last` to frame 0."""

    def walk_ahead(self, clip: ClipBatch, features: Sequence[Any], generators: Generators) -> list[Prediction]:
        """Predict frames 1 to T from the given masks; runs without gradient."""
        order = range(clip.frames.shape[1])
        return propagate(self.network, features, order, clip.first_masks, clip.present, self.options, generators)

    def objective(
        self,
        clip: ClipBatch,
        path: Sequence[int],
        ahead: Sequence[Prediction],
        back: Sequence[Prediction],
        iteration: int,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """The loss terms: how well the backward walk found the masks of frame 0.

        `ahead[t - 1]` is the prediction of frame t in the forward walk, `back[i - 1]` that of frame `path[i]` in the
        backward walk.
        """
        terms: dict[str, Tensor] = self.loss(back[-1:], [clip.targets[:, 0]], clip.present, iteration, generators)
        return terms
