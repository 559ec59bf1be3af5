"""Video files: frames by number, forwards and backwards in time, without ever holding more than a few of them.

The file is decoded once at the start, which finds damage before long work and gives every frame's time stamp and
checksum. A frame is then reached by seeking to the key frame before it and decoding forwards; what comes is compared
with both, and decoded from the start of the file where a seek leads elsewhere.
"""

import warnings
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from oneshot_vos.errors import UserError
from oneshot_vos.videos.containers import is_cut_off, lacks_its_table
from oneshot_vos.videos.images import most_pixels, require_pixels

# FFmpeg's names of the containers that hold pictures themselves, told by their content. Playlists, scripts, patterns
# and devices, which name other files, are not among them; no protocol but that of plain files is open to any of them,
# and the references of a .mov to other files are not followed.
_FORMATS = "mov,matroska,avi,mpeg,mpegts,asf,flv,ogg,mxf,nut,gif,yuv4mpegpipe,dv,h264,hevc,mpegvideo,m4v,ivf"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "enable_drefs": "0"}
_HELD_BYTES = 192 * 2**20  # of decoded frames, when they are wanted backwards
_MOST_HELD = 32  # frames
_LONG_GAP = 0.5  # seconds without a frame
_JITTER, _EVEN = 0.02, 0.9  # of a gap; of all gaps
_ROUNDING = 0.0011  # seconds, in containers that count milliseconds
_EXPECTED = "a video file such as .mp4, .mov, .mkv or .webm"


@dataclass
class _Index:
    """What decoding a file once has told: per frame in the order of time, its stamp, checksum and whether it is a key.

    size: height and width, upright. stamp: size and time of the file itself.
    """

    stamp: tuple[int, int]
    rate: float | None = None
    size: tuple[int, int] = (0, 0)
    held: int = _MOST_HELD
    times: list[int | None] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    @cached_property
    def stamped(self) -> bool:
        """Whether every frame has a time stamp; to be asked when all are there."""
        return None not in self.times

    def seeks(self, t: int) -> Iterator[int | None]:
        """Time stamps to start from to reach frame `t`, the best first; the last is None, the start of the file."""
        if self.stamped:
            last = bisect_right(self.keys, t)
            yield from (self.times[key] for key in reversed(self.keys[max(0, last - 2) : last]) if key > 0)
        yield None


class VideoFrames:
    """The frames of a video file, numbered from 0; their names are the numbers, five digits long or longer.

    path: the file. progress: called after every frame as the file is decoded for the first time, which making one does.

    Frames are upright, in the order of their time stamps, however these are spaced. Raises `UserError` if the file is
    missing or no video, holds frames of several sizes, or if any of its packets cannot be decoded.
    """

    def __init__(self, path: Path, progress: Callable[[], None] | None = None) -> None:
        self.path = path
        self._index = _index_video(path, progress)
        self.size, self.rate = self._index.size, self._index.rate
        digits = max(5, len(str(len(self._index.times) - 1)))
        self.names = tuple(f"{t:0{digits}}" for t in range(len(self._index.times)))
        self._warned = False

    def files(self) -> list[Path]:
        """The file."""
        return [self.path]

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        if not indices:
            return
        first, last, wanted = indices[0], indices[-1], set(indices)
        if first <= last:
            yield from (_to_rgb(frame) for t, frame in self._decode(first, last + 1) if t in wanted)
            return
        for stop in range(first + 1, last, -self._index.held):
            start = max(last, stop - self._index.held)
            block = [(t, frame) for t, frame in self._decode(start, stop) if t in wanted]
            yield from (_to_rgb(frame) for _, frame in reversed(block))

    def _decode(self, start: int, stop: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames `start` to `stop` - 1, each checked."""
        index, t = self._index, start
        for attempt, origin in enumerate(index.seeks(start)):
            if attempt and origin is None and not self._warned:
                self._warned = True
                _warn(
                    self.path,
                    "seeking does not land on the frame asked for; it is decoded from the start of the file, which is "
                    "slow. `oneshot-vos import-videos` makes a folder of frames, which is not",
                )
            for frame in _frames_from(self.path, origin, t, index.times[t]):
                if (frame.pts, _checksum(frame)) != (index.times[t], index.checksums[t]):
                    break
                yield t, frame
                t += 1
                if t == stop:
                    return
            if _stamp(self.path) != index.stamp:
                break  # no matter of seeking
        raise UserError(
            f"{self.path}: decoding frame {t} again gives another picture than before; expected a file that nobody "
            "writes to. Start again when it is complete"
        )


def _index_video(path: Path, progress: Callable[[], None] | None) -> _Index:
    """Decode the whole of `path` once."""
    with _open(path) as container:
        stream = _stream(container)
        rate = stream.average_rate or stream.guessed_rate
        index = _Index(_stamp(path), float(rate) if rate is not None and 0.1 <= rate <= 1000 else None)
        codec = stream.codec_context.name
        promised: list[int | None] = []
        concealed: list[int] = []
        damage = interlaced = False
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard and not (codec == "vp8" and _is_hidden(packet)):
                promised.append(packet.pts)
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                damage = True
                continue
            for frame in frames:
                if frame.is_corrupt:
                    concealed.append(len(index.times))
                _add(path, index, frame)
                interlaced |= frame.interlaced_frame
                if progress is not None:
                    progress()
        if not damage and index.times:
            promised = _without_leading(path, promised, index.times)
        if damage or (len(index.times) < len(promised) and not interlaced):  # fields may come in packets of their own
            raise UserError(_damage(path, promised, index.times, stream.time_base, codec))
        if not index.times:
            raise UserError(f"{path}: no frame in it; expected {_EXPECTED}. Restore the file or convert it")
        _warn_of_doubts(path, container, index, concealed)
        _warn_of_an_early_end(path, container.format.name, index)
    return index


def _without_leading(path: Path, promised: list[int | None], found: list[int | None]) -> list[int | None]:
    """The packets from the first picture on: a recording cut from a stream begins with some that need earlier ones."""
    first = found[0]
    kept = [time for time in promised if first is None or time is None or time >= first]
    if len(kept) < len(promised):
        _warn(path, f"the first {len(promised) - len(kept)} frames lean on others that are not in the file; left out")
    return kept


def _warn_of_doubts(path: Path, container: InputContainer, index: _Index, concealed: list[int]) -> None:
    """Say which pictures a decoder had to mend, and where the file has none for so long that it may have been cut."""
    if concealed:
        damaged = f"{len(concealed)} frames are damaged and only partly right, the first is {concealed[0]}"
        _warn(path, f"{damaged}; they are used as the decoder mends them")
    stream = _stream(container)
    if stream.time_base is None or not index.stamped:
        return
    last = index.times[-1] or 0
    if container.format.name == "avi" and stream.frames > last + 1:  # time stamps count the frames that were left out
        counts = f"its head counts {stream.frames} frames, and the last one found is {last}, from 0"
        _warn(path, f"{counts}: some were lost, in a copy or in the recording; {_are_used(index)}")
    seconds = [float(time * stream.time_base) for time in index.times if time is not None]
    if stream.duration is not None:
        seconds.append(float(((stream.start_time or 0) + stream.duration) * stream.time_base))
    elif container.duration is not None:
        seconds.append(((container.start_time or 0) + container.duration) / av.time_base)
    gaps = np.diff(seconds)
    inner, usual = gaps[: len(index.times) - 1], np.median(gaps) if len(gaps) else 0.0
    # Nearly all alike: a recording of one rate, in which a missing frame shows.
    even = len(inner) >= 10 and np.mean(np.abs(inner - usual) <= _JITTER * usual + _ROUNDING) >= _EVEN
    lost = even and inner.max() > 1.5 * usual + _ROUNDING
    if len(gaps) and (lost or gaps.max() > max(_LONG_GAP, 10 * usual)):
        place = f"after frame {gaps.argmax()}, at {seconds[gaps.argmax()]:.1f} s"
        _warn(path, f"no frame for {gaps.max():.1f} s {place}; {_are_used(index)}")


def _is_hidden(packet: "Packet[VideoStream]") -> bool:
    """Whether a packet of VP8 holds a picture that others lean on and that is never shown; no key frame is one."""
    head = memoryview(packet)[0]  # RFC 6386, 9.1
    return bool(head & 1) and not head & 0x10


def _add(path: Path, index: _Index, frame: VideoFrame) -> None:
    t, size = len(index.times), _size(frame)
    if t == 0:
        index.size = size
        index.held = max(2, min(_MOST_HELD, _HELD_BYTES // sum(plane.buffer_size for plane in frame.planes)))
    if size != index.size:
        raise UserError(
            f"{path}: frame {t} is {size[1]}x{size[0]} pixels, but the first is {index.size[1]}x{index.size[0]}; "
            "expected one size in a video. Convert the file to one size, or split it"
        )
    if frame.key_frame:
        index.keys.append(t)
    index.times.append(frame.pts)
    index.checksums.append(_checksum(frame))


def _damage(path: Path, promised: list[int | None], found: list[int | None], unit: Fraction | None, codec: str) -> str:
    """What cannot be decoded, by number and time where the file has time stamps."""
    shown = set(found)
    stamps = sorted(time for time in promised if time is not None)
    lost = [number for number, time in enumerate(stamps) if time not in shown]
    place = ""
    if lost and unit is not None:
        place = f", the first at frame {lost[0]} ({float((stamps[lost[0]] - stamps[0]) * unit):.2f} s)"
    return (
        f"{path}: {max(1, len(promised) - len(found))} of its {len(promised)} frames (codec {codec}) cannot be "
        f"decoded{place}; expected every frame. Restore the file from its source, or keep what can be decoded: "
        f"{_convert(path)}"
    )


def _convert(path: Path) -> str:
    return f"ffmpeg -i {path.name} -c:v libx264 {path.stem}-converted.mp4"


def _open(path: Path) -> InputContainer:
    """The file, with a decoder for its first video stream."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected {_EXPECTED}")
    path.open("rb").close()  # what the system refuses is told in its words
    try:
        container = av.open(f"file:{path}", options=_OPTIONS)
    except (av.error.FFmpegError, OSError) as error:
        _require_table(path)
        refused = _refused_container(path)
        found = f"its content is of the kind '{refused}', which is not opened" if refused else "not readable as a video"
        raise UserError(
            f"{path}: {found}; expected {_EXPECTED}. Restore the file, convert it, or give a folder of frames"
        ) from error
    moving = _moving(container)
    if not moving:
        still = "sound, text or a picture of a cover" if container.streams.video else "sound or text"
        container.close()
        raise UserError(f"{path}: no video in it, only {still}; expected {_EXPECTED}")
    stream = _stream(container)
    if not stream.codec_context:  # the stubs do not know that it may be missing
        container.close()
        _require_table(path)
        raise UserError(
            f"{path}: no decoder here for its codec; expected H.264 or another common one. Convert it: {_convert(path)}"
        )
    context = stream.codec_context
    try:
        require_pixels(path, context.width, context.height)
    except UserError:
        container.close()
        raise
    context.options = {"max_pixels": str(most_pixels())}  # for frames that are larger than the file says
    stream.thread_type = "AUTO"
    return container


def _require_table(path: Path) -> None:
    if lacks_its_table(path):
        raise UserError(
            f"{path}: the table of its frames, which an .mp4 or .mov has at its end, is missing: the copy or the "
            f"recording broke off; expected {_EXPECTED} that is whole. Copy it again, or repair a recording with a "
            "tool such as untrunc"
        )


def _moving(container: InputContainer) -> list[VideoStream]:
    """The streams of video, without pictures of covers."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def _stream(container: InputContainer) -> VideoStream:
    """The stream that FFmpeg holds for the video, as players do: of several, the one with most in it."""
    moving = _moving(container)
    best = container.streams.best("video")
    return next((stream for stream in moving if best is not None and stream.index == best.index), moving[0])


def _warn_of_an_early_end(path: Path, container: str, index: _Index) -> None:
    """Say where a container tells by itself that it has been cut off, between two frames as well."""
    if is_cut_off(path, container):
        cause = "it was cut off or damaged, in a copy or in the recording"
        _warn(path, f"the file ends in the middle of a part: {cause}; {_are_used(index)}")


def _are_used(index: _Index) -> str:
    return f"the {len(index.times)} frames found are used. If it should have more, restore it from its source"


def _warn(path: Path, finding: str) -> None:
    warnings.warn(f"{path}: {finding}", stacklevel=6)


def _refused_container(path: Path) -> str | None:
    """FFmpeg's name of the container, if that is why the file was not opened."""
    level, folding = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # the file before may have been refused in the same words
    try:
        with av.logging.Capture(local=True) as said, suppress(av.error.FFmpegError, OSError):
            av.open(f"file:{path}", options=_OPTIONS).close()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(folding)
    if any("m3u8" in text for _, _, text in said):
        return "hls"  # by its content, though not by its name
    return next((name for _, name, text in said if "not on whitelist" in text), None)


def _frames_from(path: Path, origin: int | None, start: int, time: int | None) -> Iterator[VideoFrame]:
    """Frames from the one of that number and time on, decoded from time stamp `origin`, or from the start (None)."""
    with _open(path) as container:
        stream = _stream(container)
        frames = container.decode(stream)
        if origin is None:
            for _ in range(start):
                next(frames, None)
        else:
            container.seek(origin, stream=stream)
        for frame in frames:
            if origin is None or time is None or frame.pts is None or frame.pts >= time:
                yield frame


def _checksum(frame: VideoFrame) -> int:
    """Of the brightness, or of all channels where they lie together, without what decoders leave behind the rows."""
    plane, form = frame.planes[0], frame.format
    bits = form.components[0].bits if form.is_planar else form.padded_bits_per_pixel
    used = plane.width * ((bits + 7) // 8)
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
    return zlib.crc32(rows[:, :used].tobytes())


def _to_rgb(frame: VideoFrame) -> np.ndarray:
    """RGB, upright, by the colour space that the file names."""
    pixels: Any = frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90))


def _size(frame: VideoFrame) -> tuple[int, int]:
    return (frame.width, frame.height) if frame.rotation % 180 else (frame.height, frame.width)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
