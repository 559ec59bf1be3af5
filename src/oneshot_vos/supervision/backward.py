"""The backward passes of section 3.4: from the last frame T of a clip back to the labelled frame 0.

Each is a function object that names the frames to walk through, first T and last 0.
"""

from typing import Protocol

import torch

from oneshot_vos.errors import UserError


class BackwardPass(Protocol):
    """Chooses the path from frame `last` back to frame 0."""

    def __call__(self, last: int, generator: torch.Generator) -> list[int]:
        """Frame numbers in the order of the walk."""


class TStep:
    """The whole clip reversed: T, T-1, …, 0 (equations 3 and 4)."""

    def __call__(self, last: int, generator: torch.Generator) -> list[int]:
        return list(range(last, -1, -1))


class TwoStep:
    """T, one random frame in between, 0 (equation 5)."""

    def __call__(self, last: int, generator: torch.Generator) -> list[int]:
        if last < 2:
            raise UserError(f"backward pass 'two_step' needs clips of at least 3 frames, not {last + 1}")
        between = int(torch.randint(1, last, (), generator=generator))
        return [last, between, 0]


class OneStep:
    """T, then 0 at once. Leaves no frame to fill a recurrent state, so recurrent networks cannot use it."""

    def __call__(self, last: int, generator: torch.Generator) -> list[int]:
        return [last, 0]
