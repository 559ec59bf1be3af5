"""Weights of a tiny network, and a short video."""

from pathlib import Path

import pytest
from tests.stages.clips import FRAMES, tiny_weights, write_folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "walk", FRAMES)
