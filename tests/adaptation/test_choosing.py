"""When a training ends early, and which weights a video gets."""

import pytest
import torch

from oneshot_vos.adaptation.choosing import chosen_share, exhausted, mix, surer


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),  # twice no better than before
        ([0.5, 0.6, 0.55], False),
        ([0.5, 0.6, 0.55, 0.59], True),
        ([0.5, 0.6, 0.55, 0.61], False),
    ],
)
def test_a_training_ends_when_two_measurements_bring_nothing(values: list[float], ends: bool) -> None:
    assert exhausted(values) is ends


@pytest.mark.parametrize(
    ("mean", "trained", "share"),
    [
        (0.52, 0.54, 1.0),
        (0.52, 0.525, 0.5),  # the second half of the way brings nothing
        (0.52, 0.4, 0.5),
        (0.505, 0.52, 1.0),
        (0.505, 0.505, 0.0),  # not a clear gain
        (0.4, 0.3, 0.0),
    ],
)
def test_a_video_goes_as_far_from_its_start_as_each_step_pays(mean: float, trained: float, share: float) -> None:
    assert chosen_share(0.5, {1.0: trained, 0.5: mean}) == share


def test_weights_that_are_hardly_surer_are_not() -> None:
    assert surer(0.5, 0.52)
    assert not surer(0.5, 0.51)
    assert not surer(0.5, 0.4)


def test_weights_are_mixed_and_counters_are_not() -> None:
    start = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(1)}
    trained = {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(7)}
    half = mix(start, trained, 0.5)
    assert half["w"].tolist() == [0.5, 3.0]
    assert half["n"].item() == 7
    assert torch.equal(mix(start, trained, 1.0)["w"], trained["w"])
