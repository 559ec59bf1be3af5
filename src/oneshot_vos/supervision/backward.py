"""The backward walks of section 3.4: from the last frame T of a clip to the labelled frame 0."""

import torch

from oneshot_vos.errors import UserError
from oneshot_vos.supervision.one_shot import OneShot


class TStep(OneShot):
    """The whole clip reversed: T, T-1, …, 0 (equations 3 and 4)."""

    def path_back(self, last: int, generator: torch.Generator) -> list[int]:
        return list(range(last, -1, -1))


class TwoStep(OneShot):
    """T, one random frame in between, 0 (equation 5)."""

    def path_back(self, last: int, generator: torch.Generator) -> list[int]:
        if last < 2:
            raise UserError(f"strategy '{type(self).__name__}' needs clips of at least 3 frames, not {last + 1}")
        between = int(torch.randint(1, last, (), generator=generator))
        return [last, between, 0]


class OneStep(OneShot):
    """T, then 0 at once. Leaves no frame to fill a recurrent state, so recurrent networks cannot use it."""

    def path_back(self, last: int, generator: torch.Generator) -> list[int]:
        return [last, 0]
