"""Training with an empty reference: the observation that one-shot training grows from (section 4.4, Fig. 6).

empty, with gradient      x_T, nothing  ->  x_T1  ->  x_0
loss                      L(m̂'_0, m_0)

No mask goes in, so nothing tells one object from another: all objects of a clip are taught as one.
"""

import torch
from torch import Tensor

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.supervision.backward import TwoStep
from oneshot_vos.supervision.rollout import encode_clip, propagate


class EmptyReference(TwoStep):
    """Two steps back to find the objects of frame 0, shown the last frame with a mask of background alone."""

    def forward(self, clip: ClipBatch, iteration: int, generators: Generators) -> dict[str, Tensor]:
        path = self.path_back(clip.frames.shape[1] - 1, generators.iteration)
        frames, here = torch.stack([clip.frames[:, t] for t in path], 1), range(len(path))
        features = encode_clip(self.network, frames, learn=here)

        nothing = torch.zeros_like(clip.first_masks[:, :1])
        one = torch.ones_like(clip.present[:, :1])
        predictions = propagate(self.network, features, here, nothing, one, self.options, generators)

        anything = (clip.targets[:, 0] > 0).long()
        terms: dict[str, Tensor] = self.loss(predictions[-1:], [anything], one, iteration, generators)
        return terms
