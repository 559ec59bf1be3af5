"""The recipe of the golden numbers, which all networks share."""

import types
from pathlib import Path

import pytest
from tests.golden import load_recipe


@pytest.fixture(scope="session")
def recipe(golden_root: Path) -> types.ModuleType:
    return load_recipe(golden_root)
