"""When a training ends early, and which weights a video gets."""

import pytest
import torch

from oneshot_vos.adaptation.choosing import better_videos, exhausted, mix


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


def test_a_video_changes_its_weights_for_a_clear_gain_alone() -> None:
    assert better_videos({"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 0.52, "b": 0.505, "c": 0.4}) == ["a"]


def test_weights_are_mixed_and_counters_are_not() -> None:
    start = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(1)}
    trained = {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(7)}
    half = mix(start, trained, 0.5)
    assert half["w"].tolist() == [0.5, 3.0]
    assert half["n"].item() == 7
    assert torch.equal(mix(start, trained, 1.0)["w"], trained["w"])
