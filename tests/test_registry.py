"""Names are looked up with help for mistyped ones."""

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.registry import Registry, suggest


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
