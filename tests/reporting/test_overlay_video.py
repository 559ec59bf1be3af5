"""The video of a result is one that browsers play."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.overlay import draw_masks
from oneshot_vos.reporting.overlay_video import write_overlay, write_video


def pictures(count: int, height: int = 47, width: int = 63) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    ids = np.zeros((height, width), np.uint8)
    ids[10:30, 10:40] = 1
    return ((np.full((height, width, 3), 60 + 20 * t, np.uint8), ids) for t in range(count))


def test_a_browser_plays_it(tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    write_overlay(path, pictures(4), 29.97)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (float(stream.average_rate), stream.frames) == (29.97, 4)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4  # sides of odd length get one more
    for shown, (frame, ids) in zip(frames, pictures(4), strict=True):
        assert np.abs(shown[:47, :63].astype(int) - draw_masks(frame, ids)).mean() < 8
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it can be played before all of it has come
    assert [file.name for file in tmp_path.iterdir()] == ["overlay.mp4"]


def test_a_panorama_is_reduced_to_what_players_take(tmp_path: Path) -> None:
    write_overlay(tmp_path / "a.mp4", pictures(1, 90, 9_000))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (4096, 42)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    message = r"a\.mp4: the video cannot be written .* a size that H\.264 takes, and not 20000x64 pixels"
    with pytest.raises(UserError, match=message):
        write_video(tmp_path / "a.mp4", (frame for frame, _ in pictures(1, 64, 20_000)))
    with pytest.raises(ValueError, match="no frames"):
        write_overlay(tmp_path / "a.mp4", pictures(0))
    assert list(tmp_path.iterdir()) == []
