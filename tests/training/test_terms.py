"""Loss terms wait on the device until they are read."""

import pytest
import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.training.distributed import World
from oneshot_vos.training.terms import LossTerms

ALONE = World(0, 1, torch.device("cpu"))


def terms(total: float, dice: float = 0.0) -> dict[str, Tensor]:
    return {"total": torch.tensor(total), "dice": torch.tensor(dice)}


def test_the_last_iteration_counts_as_the_mean_of_its_parts() -> None:
    kept = LossTerms(ALONE)
    kept.add(0, terms(9.0), ["a"])
    kept.add(1, terms(1.0, 4.0), ["b"])
    kept.add(1, terms(2.0, 6.0), ["c"])
    assert kept.read() == {"loss": 1.5, "dice": 5.0}


def test_nothing_is_read_while_adding() -> None:
    """A tensor without contents cannot be looked at."""
    LossTerms(ALONE).add(0, {"total": torch.ones((), device="meta")}, ["a"])


def test_the_first_loss_that_is_not_finite_is_named() -> None:
    kept = LossTerms(ALONE)
    kept.add(3, terms(1.0), ["a"])
    kept.add(4, terms(1.0), ["b"])
    kept.add(4, terms(torch.inf, 0.5), ["c", "d"])
    kept.add(5, terms(torch.nan), ["e"])
    with pytest.raises(UserError, match=r"not finite at iteration 4 \(total inf, dice 0.5\) on the clips c, d\."):
        kept.read()
    kept.add(6, terms(1.0), ["f"])
    assert kept.read()["loss"] == 1


def test_a_process_whose_own_loss_is_finite_names_the_clips_of_the_other() -> None:
    class WithAnother(World):
        def mean(self, values: Tensor) -> Tensor:
            return (values + torch.nan) / 2

        def gather(self, value: object) -> list[object]:
            return [value, (["theirs"], {"total": torch.nan, "dice": 0.0})]

    kept = LossTerms(WithAnother(0, 2, torch.device("cpu")))
    kept.add(0, terms(1.0), ["mine"])
    with pytest.raises(UserError, match="on the clips theirs"):
        kept.read()
