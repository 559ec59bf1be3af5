"""Two steps back from the prediction of a teacher that follows the network slowly."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network, Prediction
from oneshot_vos.supervision.backward import TwoStep
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate


class EMATeacher(TwoStep):
    """decay: share of the teacher that a step leaves. agreement: weight of the term for the frame in between."""

    def __init__(
        self,
        network: Network,
        loss: nn.Module,
        options: RolloutOptions,
        *,
        decay: float = 0.999,
        agreement: float = 0.1,
    ) -> None:
        super().__init__(network, loss, options)
        if not 0 <= decay <= 1 or not agreement >= 0:
            raise UserError(
                f"ema_teacher: decay is {decay} and agreement {agreement}; expected a share from 0 to 1, and at least 0"
            )
        self.teacher = deepcopy(network).requires_grad_(False)
        self.decay, self.agreement = decay, agreement

    def walk_ahead(self, clip: ClipBatch, features: Sequence[Any], generators: Generators) -> list[Prediction]:
        order = range(clip.frames.shape[1])
        features = encode_clip(self.teacher, clip.frames, learn=())
        return propagate(self.teacher, features, order, clip.first_masks, clip.present, self.options, generators)

    def objective(
        self,
        clip: ClipBatch,
        path: Sequence[int],
        ahead: Sequence[Prediction],
        back: Sequence[Prediction],
        iteration: int,
        generators: Generators,
    ) -> dict[str, Tensor]:
        terms = super().objective(clip, path, ahead, back, iteration, generators)
        difference = F.mse_loss(back[0].masks, ahead[path[1] - 1].masks)
        return {**terms, "agreement": difference, "total": terms["total"] + self.agreement * difference}

    @torch.no_grad()
    def after_step(self, iteration: int) -> None:
        for own, learned in zip(self.teacher.parameters(), self.network.parameters(), strict=True):
            own.lerp_(learned, 1 - self.decay)
