"""Small pictures of a segmented video: as large and as long as they are said to be."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.reporting.canvas import spaced
from oneshot_vos.reporting.overlay import COLOURS
from oneshot_vos.reporting.overlay_video import write_contact_sheet, write_gif
from oneshot_vos.videos.masks import write_mask


class Clip:
    """A grey video with a square that goes to the right; its masks lie in `masks`."""

    def __init__(self, root: Path, frames: int, size: tuple[int, int] = (90, 161), rate: float | None = 10.0) -> None:
        self.path, self.size, self.rate, self.masks = root / "clip", size, rate, root / "masks"
        self.names = [f"{t:05}" for t in range(frames)]
        for t, name in enumerate(self.names):
            ids = np.zeros(size, np.uint8)
            ids[size[0] // 4 : size[0] // 2, t : t + size[1] // 3] = 255
            write_mask(self.masks / f"{name}.png", ids)

    def files(self) -> list[Path]:
        return []

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        for t in indices:
            yield np.full((*self.size, 3), 100 + t, np.uint8)


def durations(path: Path) -> list[int]:
    """How long each picture of a GIF is shown, in milliseconds."""
    with Image.open(path) as gif:
        found = []
        for number in range(gif.n_frames):
            gif.seek(number)
            found.append(gif.info["duration"])
    return found


@pytest.mark.parametrize(
    ("frames", "rate", "shown", "seconds"),
    [(1, None, 1, None), (30, 10.0, 30, 3.0), (30, 30.0, 10, 1.0), (100, 5.0, 80, 8.0), (4, 4000.0, 1, None)],
)
def test_a_gif_takes_the_time_of_the_video_up_to_a_bound(
    tmp_path: Path, frames: int, rate: float | None, shown: int, seconds: float | None
) -> None:
    clip = Clip(tmp_path, frames, rate=rate)
    write_gif(clip, clip.masks, [255], tmp_path / "a.gif")
    lasting = durations(tmp_path / "a.gif")
    assert len(lasting) == shown
    assert seconds is None or sum(lasting) == pytest.approx(1000 * seconds, rel=0.05)
    assert Image.open(tmp_path / "a.gif").size == (161, 90)  # a small video is not enlarged


def test_pictures_are_bounded_and_show_the_masks(tmp_path: Path) -> None:
    clip = Clip(tmp_path, 30, (1000, 500))
    write_gif(clip, clip.masks, [255], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (200, 400)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert (np.abs(shown - COLOURS[0]).max(axis=2) < 30).sum() > 100  # the contour, in one of 256 colours
    write_contact_sheet(clip, clip.masks, [255], tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert 4 * 160 < sheet.width < 4 * 160 + 60
        assert 3 * 320 < sheet.height < 3 * 320 + 120
        shown = np.asarray(sheet).astype(int)
    assert (np.abs(shown - COLOURS[0]).max(axis=2) < 60).sum() > 12 * 100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "masks", "sheet.jpg"]


def test_a_panorama_and_a_single_frame_have_a_sheet(tmp_path: Path) -> None:
    clip = Clip(tmp_path, 1, (8, 4000))
    write_contact_sheet(clip, clip.masks, [255], tmp_path / "sheet.jpg")
    assert Image.open(tmp_path / "sheet.jpg").width < 600


@pytest.mark.parametrize(
    ("total", "wanted", "expected"),
    [(10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (7, 1, [0]), (50, 2, [0, 49]), (0, 3, [])],
)
def test_frames_are_spread_evenly_with_both_ends(total, wanted, expected):
    assert spaced(total, wanted) == expected
