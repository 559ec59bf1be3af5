"""The public tracker gives, frame by frame, what a whole video gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stages.clips import tiny_weights

from oneshot_vos import Tracker, load_network
from oneshot_vos.errors import UserError
from oneshot_vos.inference.tracker import default_settings
from oneshot_vos.inference.video import segment_video
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.videos.masks import write_mask

FRAMES, SIZE = 7, (40, 56)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A video with object 3 in the first mask and 9 in a later one."""
    rng = np.random.default_rng(1)
    for t in range(FRAMES):
        image = Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8))
        (tmp_path / "set/JPEGImages/v").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / f"set/JPEGImages/v/{t:05}.png")
    for t, number in ((1, 3), (4, 9)):
        ids = np.zeros(SIZE, np.int32)
        ids[5 + t : 20 + t, 10:30] = number
        write_mask(tmp_path / f"set/Annotations/v/{t:05}.png", ids)
    return tmp_path


@pytest.mark.parametrize("name", ["stcn", "xmem", "cutie"])
@pytest.mark.parametrize("settings", [None, InferenceSettings(memory_every=2, max_frames=3, short_side=32)])
def test_frame_by_frame_is_as_the_whole_video(folder: Path, name: str, settings: InferenceSettings | None) -> None:
    weights = tiny_weights(folder / "w.safetensors", name)
    (video,) = read_davis(folder / "set", images="JPEGImages", annotations="Annotations")
    network = load_network(weights, "cpu")
    chosen = settings or default_settings(network)
    whole = dict(segment_video(network, video, chosen, given="all"))
    tracker = Tracker(load_network(weights, "cpu"), settings, dtype=torch.float32)
    for t in range(FRAMES):
        path = video.mask_path(t)
        mask = np.array(Image.open(path)).astype(np.int32) if path else None
        ids = tracker.step(np.array(Image.open(video.frames[t])), mask)
        assert ids.dtype == np.int32
        # The number of channels is not known beforehand, which may round another way where two objects are even.
        assert np.mean(ids != whole[video.stem(t)]) < 0.002
    assert tracker.ids == (3, 9)


def test_before_the_first_mask_all_is_background(folder: Path) -> None:
    tracker = Tracker(load_network(tiny_weights(folder / "w.safetensors"), "cpu"))
    image = np.zeros((*SIZE, 3), np.uint8)
    assert not tracker.step(image).any()
    assert not tracker.step(image, np.zeros(SIZE, np.uint8)).any()
    assert tracker.ids == ()


IMAGE, MASK = np.zeros((*SIZE, 3), np.uint8), np.ones(SIZE, np.uint8)


@pytest.mark.parametrize(
    ("image", "mask", "expected"),
    [
        (IMAGE[..., 0], None, r"frame 1: an array of uint8 \[40, 56\]; expected an RGB image, uint8"),
        (IMAGE.astype(np.float32), None, r"frame 1: an array of float32"),
        ([[1]], None, "frame 1: a list; expected an RGB image"),
        (IMAGE[:20], None, "frame 1: 56x20 pixels, but the first frame was 56x40"),
        (IMAGE, MASK[:20], r"mask of frame 1: an array of uint8 \[20, 56\]; expected object ids"),
        (IMAGE, MASK.astype(np.float64), "mask of frame 1: an array of float64"),
        (IMAGE, -MASK.astype(np.int32), "with values below 0"),
        (IMAGE, MASK.astype(np.int64) << 33, "expected object ids, 0 to"),
        (IMAGE[:0], MASK[:0], r"frame 1: an array of uint8 \[0, 56, 3\]"),
    ],
)
def test_what_is_no_frame_or_mask_is_named(folder: Path, image: Any, mask: Any, expected: str) -> None:
    tracker = Tracker(load_network(tiny_weights(folder / "w.safetensors"), "cpu"))
    tracker.step(IMAGE, MASK)
    with pytest.raises(UserError, match=expected):
        tracker.step(image, mask)


def test_weights_of_nothing_known_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="of none known here; expected weights of stcn, xmem, cutie"):
        load_network(tmp_path / "w.safetensors")
