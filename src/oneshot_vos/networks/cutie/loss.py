"""Cutie's loss: cross-entropy and dice at sampled points (after PointRend, Kirillov et al., CVPR 2020).

Letters: T frames, K object slots, n objects of a clip (its first n slots), H W size of a map, P points.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Predictions, Targets


class PointLoss(nn.Module):
    """Sum over frames, and mean over clips, of cross-entropy and dice at points chosen mostly where masks are unsure.

    points P: per frame and map. oversample: candidates drawn, as a multiple of P. importance: share of P that is the
    least certain of the candidates; the others are drawn anew. sensory_weight, query_weight: of the auxiliary maps
    that a network may give: `sensory` [B, K+1, h, w] and `query` [B, K+1, levels, h, w].
    """

    def __init__(
        self,
        points: int = 12544,
        oversample: float = 3.0,
        importance: float = 0.75,
        sensory_weight: float = 0.01,
        query_weight: float = 0.01,
    ) -> None:
        super().__init__()
        if points < 1 or oversample < 1 or not 0 <= importance <= 1:
            raise UserError(
                f"points {points}, oversample {oversample} and importance {importance} of the point loss: expected at "
                "least one point, oversample of at least 1 and importance from 0 to 1"
            )
        self.points, self.oversample, self.importance = points, oversample, importance
        self.sensory_weight, self.query_weight = sensory_weight, query_weight

    def forward(
        self, predictions: Predictions, targets: Targets, present: Tensor, iteration: int, generators: Generators
    ) -> dict[str, Tensor]:
        """Loss of a batch of clips; the same at every iteration.

        predictions: of the frames that have a target, with aggregated logits [B, K+1, H, W]; targets: classes
        [B, H, W] in 0..K; present [B, K] in {0, 1}, best on the processor: each clip's objects come first. The points
        of a clip are drawn with its own generator, map by map in the order of the terms. A clip without objects adds
        nothing.
        Returns `total`, `ce` and `dice` and, if the network gives auxiliary maps, `sensory_ce`, `sensory_dice`,
        `query_ce_0`, `query_dice_0`, … with their weights.
        """
        labels = torch.stack(list(targets), 1)  # B T H W
        terms: dict[str, list[Tensor]] = {}
        for clip, objects in enumerate(present.sum(1).round().int().tolist()):
            classes = torch.arange(objects + 1, device=labels.device).view(1, -1, 1, 1)
            truth = (labels[clip].unsqueeze(1) == classes).float()  # T n+1 H W
            for name, weight, logits in self._maps(predictions, clip, objects):
                ce, dice = self._score(logits.float(), truth, generators.clips[clip])
                terms.setdefault(name.format("ce"), []).append(weight * ce)
                terms.setdefault(name.format("dice"), []).append(weight * dice)
        means = {name: torch.stack(values).mean() for name, values in terms.items()}
        return {"total": torch.stack(list(means.values())).sum(), **means}

    def _maps(self, predictions: Predictions, clip: int, objects: int) -> Iterator[tuple[str, float, Tensor]]:
        """Everything of a clip that is scored: a pattern of its terms' names, its weight, logits [T, n+1, H, W]."""
        classes = objects + 1
        yield "{}", 1.0, torch.stack([p.logits[clip, :classes] for p in predictions])
        if "sensory" in predictions[0].auxiliary:
            sensory = [p.auxiliary["sensory"][clip, :classes] for p in predictions]
            yield "sensory_{}", self.sensory_weight, torch.stack(sensory)
        if "query" in predictions[0].auxiliary:
            query = torch.stack([p.auxiliary["query"][clip, :classes] for p in predictions], 1)  # n+1 T levels h w
            for level, logits in enumerate(query.transpose(0, 1).unbind(2)):
                yield f"query_{{}}_{level}", self.query_weight, logits

    def _score(self, logits: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cross-entropy and dice of logits [T, n+1, h, w] against one-hot classes [T, n+1, H, W], at sampled points."""
        if logits.shape[1] == 1:
            nothing = logits.sum() * 0
            return nothing, nothing
        points = self.choose_points(logits.detach(), generator)
        return score_points(sample(logits, points), sample(truth, points))

    def choose_points(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Points [T, P, 2] (x, y in [0, 1]) for logits [T, n+1, h, w]: first the uncertain ones, then the others.

        Two classes are as uncertain as the foreground logit is near 0; more, as the best two logits are near each
        other.
        """
        frames, device = logits.shape[0], logits.device
        candidates = _draw((frames, int(self.oversample * self.points), 2), generator, device)
        important = int(self.importance * self.points)
        others = _draw((frames, self.points - important, 2), generator, device)
        values = sample(logits, candidates)
        if values.shape[1] == 2:
            certainty = values[:, 1].abs()
        else:
            best = values.topk(2, dim=1).values
            certainty = best[:, 0] - best[:, 1]
        least = (-certainty).topk(important, dim=1).indices
        return torch.cat([candidates.gather(1, least.unsqueeze(-1).expand(-1, -1, 2)), others], 1)


def _draw(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1), the same on every device; the processor does not wait for their copy to a GPU."""
    drawn = torch.rand(shape, generator=generator, pin_memory=device.type == "cuda")
    return drawn.to(device, non_blocking=True)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Maps [T, C, h, w] at points [T, P, 2] (x, y in [0, 1]): bilinear values [T, C, P], 0 beyond the border."""
    grid = (2 * points - 1).unsqueeze(1)  # T 1 P 2
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False).squeeze(2)


def score_points(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice of logits against shares [T, n+1, P] of the classes, background first.

    A point without a share of any class lies in a void region, and counts for nothing.
    Both are summed over frames. Cross-entropy is the mean over points; dice, of the classes but the background, is
    the mean over them of 1 - (2 sum(p y) + 1) / (sum p + sum y + 1).
    """
    logarithms = logits.log_softmax(1)
    entropy = -(truth * logarithms).sum(1).mean(1).sum()
    p, y = logarithms[:, 1:].exp() * (truth.sum(1, keepdim=True) > 0), truth[:, 1:]
    dice = 1 - (2 * (p * y).sum(-1) + 1) / (p.sum(-1) + y.sum(-1) + 1)  # T n
    return entropy, dice.mean(1).sum()
