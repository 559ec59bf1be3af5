"""Layers, where values are from, and which of them change no result."""

import pytest

from oneshot_vos.params import Training
from oneshot_vos.params.layers import Layer, put_together
from oneshot_vos.params.schema import NEUTRAL, Evaluate, InferBlock, LongTermBlock


def test_no_value_that_can_change_a_result_has_a_default() -> None:
    for block in (Training, InferBlock, LongTermBlock, Evaluate):
        assert [name for name, each in block.model_fields.items() if not each.is_required()] == []


def test_keys_that_change_no_number_exist() -> None:
    assert {*Training.model_fields, *Evaluate.model_fields} >= NEUTRAL


LOW = Layer(
    "low", "train", {"a": 1, "loss": {"x": 1, "y": 2}, "schedule": {"name": "cosine", "warmup": 3}, "l": [1, 2]}
)
HIGH = Layer("high", "all", {"loss": {"y": 5}, "schedule": {"name": "multistep"}, "l": [9], "empty": {}})


def test_later_layers_win_key_by_key_but_blocks_that_hang_together_are_replaced() -> None:
    layered = put_together(LOW, HIGH)
    assert layered.values == {
        "a": 1,
        "loss": {"x": 1, "y": 5},
        "schedule": {"name": "multistep"},
        "l": [9],
        "empty": {},
    }
    assert LOW.values["loss"] == {"x": 1, "y": 2}  # the layers themselves stay as they are


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a", "low: train.a"),
        ("loss.x", "low: train.loss.x"),
        ("loss.y", "high: all.loss.y"),
        ("schedule.name", "high: all.schedule.name"),
        ("loss", "high: all.loss"),  # shared: the last
        ("", "high: all"),
        ("missing", "low: train.missing"),  # the first has to be complete
        ("loss.z", "low: train.loss.z"),
    ],
)
def test_a_value_knows_the_layer_it_is_from(path: str, place: str) -> None:
    assert put_together(LOW, HIGH).place(path) == place


def test_a_mapping_may_be_replaced_by_a_value_and_a_value_by_a_mapping() -> None:
    layered = put_together(LOW, Layer("high", "all", {"loss": 3, "a": {"b": 4}}))
    assert (layered.values["loss"], layered.values["a"]) == (3, {"b": 4})
    assert [path for path, _, _ in layered.lines()] == ["schedule", "l", "loss", "a.b"]
