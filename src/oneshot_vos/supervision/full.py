"""Full supervision: every frame of a clip is labelled (equation 2). The measure that one-shot training is held to."""

from torch import Tensor

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.supervision.rollout import encode_clip, propagate
from oneshot_vos.supervision.strategy import Strategy


class FullSupervision(Strategy):
    """Compares the prediction of every frame after the first with its label."""

    def forward(self, clip: ClipBatch, iteration: int, generators: Generators) -> dict[str, Tensor]:
        order = range(clip.frames.shape[1])
        features = encode_clip(self.network, clip.frames, learn=order)
        predictions = propagate(self.network, features, order, clip.first_masks, clip.present, self.options, generators)
        targets = list(clip.targets[:, 1:].unbind(1))
        terms: dict[str, Tensor] = self.loss(predictions, targets, clip.present, iteration, generators)
        return terms
