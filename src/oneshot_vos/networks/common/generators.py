"""Random numbers of a training iteration that do not depend on how its batch is cut into processes and steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

# Keeps the random numbers of different uses apart, whatever the seed.
_ITERATION_TAG, _CLIP_TAG = 4, 5


@dataclass(frozen=True)
class Generators:
    """What a strategy and a loss draw from, on the CPU.

    iteration: for choices that hold for every clip of the iteration; give each part of its batch the same numbers.
    clips: one for each clip at hand, for choices of its own.
    """

    iteration: torch.Generator
    clips: Sequence[torch.Generator]

    @classmethod
    def of(cls, seed: int, iteration: int, clips: Sequence[int]) -> "Generators":
        """For the clips with these numbers, counted over the whole batch of the iteration."""
        return cls(_seeded(seed, _ITERATION_TAG, iteration), [_seeded(seed, _CLIP_TAG, iteration, c) for c in clips])


def _seeded(*key: int) -> torch.Generator:
    """A generator that follows from all of `key`; PyTorch's looks at no more than the last 32 bits of its seed."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
