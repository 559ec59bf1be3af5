"""Recordings of tiny videos, and a tiny network."""

from pathlib import Path

import pytest
from tests.stages.clips import tiny_weights, write_folder, write_masks, write_video

FRAMES = 6


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def write_recordings(root: Path) -> Path:
    """A folder of frames without a mask, one with a mask in the middle, and a video file."""
    write_folder(root / "videos/bare", FRAMES)
    write_folder(root / "videos/walk", FRAMES, 2)
    write_video(root / "videos/film.mp4", FRAMES)
    write_masks(root / "masks/walk", 3, objects=2)
    return root


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "my recordings")
