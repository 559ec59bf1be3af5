"""Losses over all pixels: bootstrapped cross-entropy, alone (STCN) or with a Dice loss (XMem)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.aggregation import one_hot
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Predictions, Targets


class BootstrappedCrossEntropy(nn.Module):
    """Cross-entropy over the hardest pixels of each sample.

    Until iteration `start` every pixel counts; then the share falls linearly to `top_p`, reached at iteration `end`.
    """

    def __init__(self, start: int = 20_000, end: int = 70_000, top_p: float = 0.15) -> None:
        super().__init__()
        if not 0 <= start <= end:
            raise UserError(f"end {end} lies before start {start}; expected 0 <= start <= end")
        if not 0 < top_p <= 1:
            raise UserError(f"top_p is {top_p}; expected a share above 0 and at most 1")
        self.start, self.end, self.top_p = start, end, top_p

    def share(self, iteration: int) -> float:
        """Share of the pixels that count at this iteration, in [top_p, 1]."""
        if iteration < self.start:
            return 1.0
        if iteration > self.end:
            return self.top_p
        remaining = (self.end - iteration) / max(self.end - self.start, 1)
        return self.top_p + (1 - self.top_p) * remaining

    def forward(
        self, predictions: Predictions, targets: Targets, present: Tensor, iteration: int, generators: Generators
    ) -> dict[str, Tensor]:
        """Loss of a clip.

        predictions: of the frames that have a target, with logits [B, K+1, H, W]; targets: classes [B, H, W] in 0..K,
        or -100 for void, which adds nothing; present [B, K] in {0, 1}, on any device: channels of absent objects take
        no part.
        Nothing random is drawn here. Returns `total` (the sum over frames), `frame_1`, `frame_2`, … (means over the
        batch) and `p`, the share.
        """
        present = present.to(targets[0].device, non_blocking=True)
        losses: dict[str, Tensor] = {}
        for number, (prediction, target) in enumerate(zip(predictions, targets, strict=True), 1):
            losses[f"frame_{number}"] = self._frame(prediction.logits, target, present, self.share(iteration))
        share = present.new_full((), self.share(iteration))
        return {"total": torch.stack(list(losses.values())).sum(), **losses, "p": share}

    def _frame(self, logits: Tensor, target: Tensor, present: Tensor, share: float) -> Tensor:
        absent = F.pad(present < 0.5, (1, 0))[:, :, None, None]  # background is always there
        losses = F.cross_entropy(logits.masked_fill(absent, -torch.inf), target, reduction="none").flatten(1)
        if share < 1:
            losses = losses.topk(max(1, int(losses.shape[1] * share)), dim=1, sorted=False).values
        return losses.mean()


class BootstrappedDice(BootstrappedCrossEntropy):
    """Bootstrapped cross-entropy plus a soft Dice loss over all pixels, as XMem is trained with."""

    def forward(
        self, predictions: Predictions, targets: Targets, present: Tensor, iteration: int, generators: Generators
    ) -> dict[str, Tensor]:
        """Loss of a clip; arguments as in the base class.

        `total` includes `dice_1`, `dice_2`, …: the Dice losses of the frames, means over all objects of the batch.
        Absent ones count: their loss is close to 0, so they dilute the term, which is how XMem weighs it.
        """
        terms = super().forward(predictions, targets, present, iteration, generators)
        dice = [dice_loss(frame.masks, target) for frame, target in zip(predictions, targets, strict=True)]
        shown = {f"dice_{number}": loss for number, loss in enumerate(dice, 1)}
        return {**terms, **shown, "total": terms["total"] + torch.stack(dice).sum()}


def dice_loss(masks: Tensor, target: Tensor) -> Tensor:
    """1 - (2 sum(m g) + 1) / (sum(m) + sum(g) + 1) of masks m [B, K, H, W] and classes [B, H, W], a mean over B K.

    Sums leave out void pixels, whose class is below 0.
    """
    wanted = one_hot(target, masks.shape[1])
    masks = masks * (target >= 0).unsqueeze(1)
    common, both = (masks * wanted).sum((2, 3)), masks.sum((2, 3)) + wanted.sum((2, 3))
    return (1 - (2 * common + 1) / (both + 1)).mean()
