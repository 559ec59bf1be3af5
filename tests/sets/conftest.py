"""A made-up YouTube-VOS on disk."""

import shutil
from pathlib import Path

import pytest
from tests.sets import fake_trees


@pytest.fixture(scope="session")
def youtube_original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("youtube")
    fake_trees.make_youtube(folder, 2019)
    return folder / "YouTube"


@pytest.fixture
def root(youtube_original: Path, tmp_path: Path) -> Path:
    """A tree for a test to damage."""
    return Path(shutil.copytree(youtube_original, tmp_path / "YouTube"))
