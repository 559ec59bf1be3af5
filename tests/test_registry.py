"""Names are looked up with help for mistyped ones."""

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.registry import Registry, suggest, wrong_arguments


def test_known_name_is_returned() -> None:
    assert Registry("colour", {"red": 1, "blue": 2})["blue"] == 2


def test_mistyped_name_gets_the_nearest_match() -> None:
    with pytest.raises(UserError, match="unknown colour 'rad': did you mean 'red'"):
        Registry("colour", {"red": 1, "blue": 2})["rad"]


def test_far_name_gets_the_whole_list() -> None:
    assert suggest("zzzzzz", ["red", "blue"]) == "known: blue, red"


def test_registry_is_a_mapping() -> None:
    registry = Registry("colour", {"red": 1, "blue": 2})
    assert list(registry) == ["red", "blue"]
    assert len(registry) == 2
    assert "red" in registry


def test_arguments_that_are_unknown_of_another_type_or_missing_are_found() -> None:
    def build(steps: int, *, share: float = 0.5, deep: bool = False, name: str | None = None) -> None: ...

    assert wrong_arguments(build, {"steps": 3, "share": 1, "deep": True, "name": None}) == []
    assert wrong_arguments(build, {"share": "half", "deep": 1, "stops": 3}) == [
        ("share", "should be a number, not 'half'"),
        ("deep", "should be true or false, not 1"),
        ("stops", "unknown key; did you mean 'steps'?"),
        ("steps", "missing; expected a value"),
    ]
    assert wrong_arguments(build, {"steps": True}) == [("steps", "should be a whole number, not True")]
