"""Frames of video files: every one, in either direction, checked."""

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from tests.stages.clips import SIZE, picture, write_folder, write_video

from oneshot_vos.errors import UserError
from oneshot_vos.videos import video_files
from oneshot_vos.videos.frames import FrameFiles, open_frames
from oneshot_vos.videos.video_files import VideoFrames

FRAMES = 75
FORMATS = {
    "h264.mp4": ("libx264", {"g": "12"}),
    "open-gop.mp4": ("libx265", {"x265-params": "open-gop=1:keyint=20:log-level=none"}),
    "h264.ts": ("libx264", {"g": "12"}),
    "mpeg4.avi": ("mpeg4", {}),
    "hidden-pictures.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "av1.mkv": ("libsvtav1", {}),
}


def encode(
    path: Path, codec: str = "libx264", options: dict[str, str] | None = None, *, frames: int = FRAMES, **stream: Any
) -> Path:
    """A clip; frames lie 1 and 2 ticks apart in turn. Further arguments are set on the stream."""
    with av.open(str(path), "w") as container:
        out = container.add_stream(codec, rate=18, options=options or {})
        out.width, out.height, out.pix_fmt = 128, 96, stream.pop("pix_fmt", "yuv420p")
        out.codec_context.time_base = Fraction(1, 18)
        for name, value in stream.items():
            getattr(out, name)(value)
        for t in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(t, 1, (96, 128)))
            frame.pts, frame.time_base = t + t // 2, Fraction(1, 18)
            container.mux(out.encode(frame))
        container.mux(out.encode())
    return path


def by_opencv(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (result := capture.read())[0]:
        frames.append(cv2.cvtColor(result[1], cv2.COLOR_BGR2RGB))
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "clip.mp4", FRAMES)


@pytest.fixture(scope="module")
def decoded(clip: Path) -> list[np.ndarray]:
    return by_opencv(clip)


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


@pytest.mark.filterwarnings("error", "ignore:.*seeking does not land")
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_alike_in_both_directions(tmp_path: Path, name: str) -> None:
    video = VideoFrames(encode(tmp_path / name, *FORMATS[name]))
    forwards = list(video.read(range(FRAMES)))
    backwards = list(video.read(range(FRAMES - 1, -1, -1)))
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards[::-1], strict=True))
    assert all(
        np.array_equal(f, forwards[t]) for t, f in zip(range(40, 50, 3), video.read(range(40, 50, 3)), strict=True)
    )
    errors = [np.abs(frame.astype(int) - picture(t, 1, (96, 128))).mean() for t, frame in enumerate(forwards)]
    assert max(errors) < 8


@pytest.mark.parametrize(("pix_fmt", "most"), [("yuv420p", 1), ("yuv444p", 1), ("yuvj420p", 1), ("yuv420p10le", 5)])
def test_colours_are_opencvs(tmp_path: Path, pix_fmt: str, most: int) -> None:
    """Both convert with libswscale, each with a copy of its own, whose versions may round otherwise.

    From 10 bits, OpenCV's takes another way to 8 and is up to four levels off.
    """
    path = encode(tmp_path / "a.mp4", frames=5, pix_fmt=pix_fmt)
    for ours, theirs in zip(VideoFrames(path).read(range(5)), by_opencv(path), strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= most


def test_a_turned_recording_is_upright(tmp_path: Path) -> None:
    video = VideoFrames(encode(tmp_path / "a.mp4", frames=3, set_display_rotation=90))
    assert video.size == (128, 96)
    assert all(map(np.array_equal, video.read(range(3)), by_opencv(video.path)))


@pytest.mark.parametrize("order", [range(75), range(40, 60), range(74, -1, -1)])
def test_a_seek_that_goes_astray_changes_no_frame(
    clip: Path, decoded: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, order: range
) -> None:
    plain = video_files._frames_from

    def astray(path: Path, origin: int | None, start: int, time: int | None) -> Iterator[Any]:
        frames = plain(path, origin, start, time)
        if origin is not None:
            next(frames)
        return frames

    monkeypatch.setattr(video_files, "_frames_from", astray)
    video = VideoFrames(clip)
    with nullcontext() if order[0] == 0 else pytest.warns(UserWarning, match="seeking does not land"):
        frames = list(video.read(order))
    assert all(np.array_equal(frame, decoded[t]) for frame, t in zip(frames, order, strict=True))


def test_few_frames_are_held_whatever_the_length(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_files, "_MOST_HELD", 8)
    video, blocks = VideoFrames(clip), []
    plain = video._decode

    def counted(start: int, stop: int) -> Iterator[Any]:
        blocks.append(stop - start)
        return plain(start, stop)

    monkeypatch.setattr(video, "_decode", counted)
    list(video.read(range(FRAMES - 1, -1, -1)))
    assert (max(blocks), sum(blocks), len(blocks)) == (8, FRAMES, 10)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", 6)
    video = VideoFrames(clip)
    write_video(clip, 6, objects=2)
    with pytest.raises(UserError, match=r"a\.mp4: decoding frame 0 again gives another picture than before"):
        list(video.read(range(6)))


def test_a_damaged_packet_is_named(cases_root: Path, tmp_path: Path) -> None:
    damaged = cases_root / "damaged-packet" / "damaged.avi"
    with pytest.raises(
        UserError, match=r"1 of its 12 frames \(codec mjpeg\) .*frame 5 \(0\.21 s\).*ffmpeg -i damaged\.avi"
    ):
        VideoFrames(damaged)
    assert len(VideoFrames(damaged.with_name("sound.avi")).names) == 12


def test_av1_is_decoded(cases_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(VideoFrames(cases_root / "av1" / "clip.mp4").names) == 12
    assert capfd.readouterr().err == ""


def test_a_name_is_no_address(cases_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases_root / "colon-name")
    assert len(VideoFrames(Path("12:30:05.mp4")).names) == 12


def test_a_codec_without_decoder_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", "mjpeg", frames=3, pix_fmt="yuvj420p")
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"XQZ9"))
    with pytest.raises(UserError, match=r"a\.avi: no decoder here .*ffmpeg -i a\.avi -c:v libx264"):
        VideoFrames(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_video_of_very_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    codec, options = FORMATS[name]
    path = encode(tmp_path / name, codec, options, frames=3)
    monkeypatch.setenv("ONESHOT_VOS_MAX_PIXELS", "10000")
    with pytest.raises(UserError, match=r": 128x96 pixels, 12288 in all; expected at most 10000 .*_MAX_PIXELS=12288"):
        VideoFrames(path)


def test_frames_that_are_larger_than_the_file_says_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.avi", "mjpeg", frames=3, pix_fmt="yuvj420p")
    monkeypatch.setenv("ONESHOT_VOS_MAX_PIXELS", "10000")
    monkeypatch.setattr(video_files, "require_pixels", lambda *_: None)  # as if the file told a smaller size
    with pytest.raises(UserError, match=r"3 of its 3 frames .* cannot be decoded"):
        VideoFrames(path)


def test_what_a_stream_lacks_at_its_start_is_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ts", "libx264", {"g": "12"})
    path.write_bytes(path.read_bytes()[7 * 188 :])
    with pytest.warns(UserWarning, match=r"the first \d+ frames lean on others that are not in the file"):
        assert FRAMES - 12 <= len(VideoFrames(path).names) < FRAMES


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.mp4: not readable as a video; expected a video file such as"):
        open_frames(tmp_path / "bad.mp4")


def test_a_video_cut_short_is_used_with_a_warning(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mkv", "mjpeg", pix_fmt="yuvj420p")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=r"no frame for \d\.\d s after frame \d+, at .*If it should have more"):
        video = VideoFrames(path)
    assert 5 < len(video.names) < 60


def test_a_missing_video_names_its_neighbours(tmp_path: Path) -> None:
    write_folder(tmp_path / "walk", 1)
    with pytest.raises(UserError, match=r"wlak: no such video; .*did you mean 'walk'"):
        open_frames(tmp_path / "wlak")


def test_a_folder_is_read_in_both_directions(tmp_path: Path) -> None:
    source = open_frames(write_folder(tmp_path / "walk", 4))
    assert isinstance(source, FrameFiles)
    assert source.size == SIZE
    backwards = list(source.read(range(3, -1, -1)))
    assert all(np.array_equal(frame, picture(t)) for frame, t in zip(backwards, (3, 2, 1, 0), strict=True))


def test_an_empty_folder_and_a_frame_of_another_size_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no image in it"):
        open_frames(tmp_path / "empty")
    folder = write_folder(tmp_path / "v", 2)
    write_folder(tmp_path / "w", 1, size=(32, 32)).joinpath("00000.png").rename(folder / "00002.png")
    with pytest.raises(UserError, match=r"00002\.png: the frame is 32x32 pixels, but .*00000\.png .* 64x48"):
        list(open_frames(folder).read(range(3)))


# --- what is cut off, and what is no video --------------------------------------------------------------------------


def mux(path: Path, *sources: Path, options: dict[str, str] | None = None, cover: bool = False) -> Path:
    """One file of the streams of several; before them a picture of a cover."""
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w", options=options or {}))
        inputs = [stack.enter_context(av.open(str(source))) for source in sources]
        streams = [out.add_stream_from_template(one.streams.video[0]) for one in inputs]
        if cover:
            still = out.add_stream("mjpeg", rate=1)
            still.width, still.height, still.pix_fmt = 128, 96, "yuvj420p"
            still.disposition = Disposition.attached_pic
            out.start_encoding()
            image = av.VideoFrame.from_ndarray(picture(0, 1, (96, 128)))
            out.mux([*still.encode(image), *still.encode()])
        for stream, one in zip(streams, inputs, strict=True):
            for packet in one.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    return path


@pytest.mark.parametrize("lost", [(0.6, 1.0), (0.5, 0.56)], ids=["its end", "what lies in the middle"])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("cut.ts", "libx264", None),
        ("cut.avi", "mjpeg", None),
        ("packets.avi", "mpeg4", None),
        ("cut.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("cut.mov", "mjpeg", {"movflags": "faststart"}),
        ("table.mp4", "libx264", None),
        ("cut.mkv", "ffv1", None),
        ("cut.webm", "libvpx", None),
        ("cut.gif", "gif", None),
    ],
)
def test_a_file_that_was_damaged_is_not_shortened_without_a_word(
    tmp_path: Path, name: str, codec: str, options: dict[str, str] | None, lost: tuple[float, float]
) -> None:
    """Where the head of a part is gone the demuxer looks for the next one, and no decoder hears of it."""
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    whole = encode(tmp_path / f"whole{Path(name).suffix}", codec, {"g": "5"}, frames=30, pix_fmt=pixels)
    file = mux(tmp_path / name, whole, options=options)
    content = bytearray(file.read_bytes())
    first, stop = (int(len(content) * share) for share in lost)
    content[first:stop] = b"" if stop == len(content) else bytes(stop - first)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert len(VideoFrames(file).names) == 30
        assert not said
        file.write_bytes(content)
        try:
            found = len(VideoFrames(file).names)
            told = " ".join(str(each.message) for each in said)
        except UserError as error:
            found, told = 0, str(error)
    assert found == 30 or re.search(rf"{name}: .*(cut off|no frame for|cannot be decoded|table of its)", told), told


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    file = mux(tmp_path / "song.mp4", cover=True)
    with pytest.raises(UserError, match=r"song\.mp4: no video in it, only sound, text or a picture of a cover"):
        VideoFrames(file)


@pytest.mark.parametrize("cover", [False, True])
def test_of_several_streams_the_video_is_read(tmp_path: Path, cover: bool) -> None:
    still = encode(tmp_path / "still.mkv", "mjpeg", frames=1, pix_fmt="yuvj420p")
    film = encode(tmp_path / "film.mkv", frames=30)
    both = mux(tmp_path / "both.mkv", *([film] if cover else [still, film]), cover=cover)
    assert len(VideoFrames(both).names) == 30
