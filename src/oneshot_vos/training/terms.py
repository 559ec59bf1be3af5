"""The loss terms of a training: kept on the device until they are asked for, so that no iteration waits for them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.training.distributed import World


class _Part(NamedTuple):
    """What one micro-batch gave."""

    iteration: int
    clips: list[str]
    values: Tensor  # one of each term


class LossTerms:
    """The terms since they were last read; every process of `world` has to add and to read alike."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: list[str] = []
        self._parts: list[_Part] = []

    def add(self, iteration: int, terms: Mapping[str, Tensor], clips: list[str]) -> None:
        """Keep the terms of one micro-batch of these clips; the names are the same every time, `total` among them."""
        self._names = list(terms)
        self._parts.append(_Part(iteration, clips, torch.stack([term.detach().float() for term in terms.values()])))

    def read(self) -> dict[str, float]:
        """The terms of the last iteration, means over its micro-batches and all processes; `total` is named `loss`.

        Raises `UserError`, in every process, when a loss since the last reading was not finite.
        """
        parts, self._parts = self._parts, []
        rows = self._world.mean(torch.stack([part.values for part in parts])).tolist()
        for part, row in zip(parts, rows, strict=True):
            if not math.isfinite(row[self._names.index("total")]):
                raise UserError(self._explain(part))
        last = [row for part, row in zip(parts, rows, strict=True) if part.iteration == parts[-1].iteration]
        means = [sum(values) / len(values) for values in zip(*last, strict=True)]
        return {"loss" if name == "total" else name: mean for name, mean in zip(self._names, means, strict=True)}

    def _explain(self, part: _Part) -> str:
        """What went wrong, with the terms and the clips of the first process that it went wrong in."""
        everywhere = self._world.gather((part.clips, dict(zip(self._names, part.values.tolist(), strict=True))))
        clips, terms = next(found for found in everywhere if not math.isfinite(found[1]["total"]))
        shown = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        return (
            f"the loss is not finite at iteration {part.iteration} ({shown}) on the clips {', '.join(clips)}. Lower "
            "the learning rate, set optimiser.clip, or use precision: float32; the last checkpoint is kept"
        )
