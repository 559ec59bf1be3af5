"""Frames of video files: every one, in either direction, checked."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.stages.clips import SIZE, picture, write_folder, write_video

from oneshot_vos.errors import UserError
from oneshot_vos.videos import video_files
from oneshot_vos.videos.frames import FolderFrames, open_frames
from oneshot_vos.videos.video_files import VideoFrames

FRAMES = 75


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "clip.mp4", FRAMES)


@pytest.fixture(scope="module")
def decoded(clip: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    frames = []
    while (result := capture.read())[0]:
        frames.append(cv2.cvtColor(result[1], cv2.COLOR_BGR2RGB))
    return frames


def test_a_file_has_names_size_and_rate(clip: Path) -> None:
    seen: list[None] = []
    video = VideoFrames(clip, lambda: seen.append(None))
    assert len(video.names) == len(seen) == FRAMES
    assert (video.names[0], video.names[-1]) == ("00000", "00074")
    assert video.size == SIZE
    assert video.rate == 12.0


@pytest.mark.parametrize(
    "wanted", [range(75), range(74, -1, -1), range(10, 40), range(50, 20, -1), range(64, 65), range(3, 3)]
)
def test_frames_come_in_the_order_asked_for(clip: Path, decoded: list[np.ndarray], wanted: range) -> None:
    frames = list(VideoFrames(clip).read(wanted))
    assert len(frames) == len(wanted)
    assert all(np.array_equal(frame, decoded[t]) for frame, t in zip(frames, wanted, strict=True))


def test_the_frames_are_those_of_the_video_up_to_coding(clip: Path) -> None:
    error = [np.abs(f.astype(int) - picture(t)).mean() for t, f in enumerate(VideoFrames(clip).read(range(FRAMES)))]
    assert max(error) < 6


@pytest.mark.parametrize("order", [range(75), range(74, -1, -1)])
def test_a_seek_that_goes_astray_changes_no_frame(
    clip: Path, decoded: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, order: range
) -> None:
    class Astray(video_files._Decoder):
        def seek(self, position: int) -> None:
            super().seek(max(0, position - 3) if position != self.position else position)
            self.position = position

    video = VideoFrames(clip)
    monkeypatch.setattr(video_files, "_Decoder", Astray)
    if order.step < 0:
        with pytest.warns(UserWarning, match="seeking does not land"):
            frames = list(video.read(order))
    else:
        frames = list(video.read(order))
    assert all(np.array_equal(frame, decoded[t]) for frame, t in zip(frames, order, strict=True))


def test_few_frames_are_held_whatever_the_length(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_files, "_LARGEST_BLOCK", 8)
    video = VideoFrames(clip)
    most = []
    plain = VideoFrames._read_block

    def counted(self, decoder, number):
        decoder, frames = plain(self, decoder, number)
        most.append(len(frames))
        return decoder, frames

    monkeypatch.setattr(VideoFrames, "_read_block", counted)
    list(video.read(range(FRAMES - 1, -1, -1)))
    assert max(most) == 8
    assert len(most) == 10


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", 6)
    video = VideoFrames(clip)
    write_video(clip, 6, objects=2)
    with (
        pytest.warns(UserWarning, match="seeking"),
        pytest.raises(UserError, match=r"a\.mp4: decoding frames 0 to 5 again gives other pixels"),
    ):
        list(video.read(range(6)))


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.mp4: not readable as a video; expected a video file such as"):
        open_frames(tmp_path / "bad.mp4")


def test_a_video_cut_short_is_refused_or_used_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 12, SIZE[::-1])
    for t in range(30):
        writer.write(picture(t))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=r"announces 30 frames, but \d+ can be decoded"):
        video = VideoFrames(path)
    assert 5 < len(video.names) < 30


def test_a_missing_video_names_its_neighbours(tmp_path: Path) -> None:
    write_folder(tmp_path / "walk", 1)
    with pytest.raises(UserError, match=r"wlak: no such video; .*did you mean 'walk'"):
        open_frames(tmp_path / "wlak")


def test_a_folder_is_read_in_both_directions(tmp_path: Path) -> None:
    source = open_frames(write_folder(tmp_path / "walk", 4))
    assert isinstance(source, FolderFrames)
    assert source.size == SIZE
    backwards = list(source.read(range(3, -1, -1)))
    assert all(np.array_equal(frame, picture(t)) for frame, t in zip(backwards, (3, 2, 1, 0), strict=True))


def test_an_empty_folder_and_a_frame_of_another_size_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no \.jpg or \.png file in it"):
        open_frames(tmp_path / "empty")
    folder = write_folder(tmp_path / "v", 2)
    write_folder(tmp_path / "w", 1, size=(32, 32)).joinpath("00000.png").rename(folder / "00002.png")
    with pytest.raises(UserError, match=r"00002\.png: the frame is 32x32 pixels, but .*00000\.png .* 64x48"):
        list(open_frames(folder).read(range(3)))
