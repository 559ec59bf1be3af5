"""Video files: frames by number, forwards and backwards in time, without ever holding more than a few of them.

A video file can only be decoded forwards from a key frame, and where a seek lands is not to be trusted for every
format. So the file is decoded once at the start; that gives its length, which headers get wrong, and a checksum of
every block of frames. A block that a seek brings is compared with its checksum, and decoded from the start of the file
where it differs.
"""

import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from oneshot_vos.errors import UserError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv", ".ts"})

_BLOCK_BYTES = 192 * 2**20
_LARGEST_BLOCK = 32  # frames
_EXPECTED = "a video file such as .mp4, .mov, .mkv or .webm"


@dataclass(frozen=True)
class VideoIndex:
    """What decoding a file once has told.

    size: height and width, upright. rate: frames per second as the header says, None if it does not. block: frames per
    checksum; checksums: of the decoded pixels of each block.
    """

    frames: int
    size: tuple[int, int]
    rate: float | None
    block: int
    checksums: tuple[int, ...]


def index_video(path: Path, progress: Callable[[], None] | None = None) -> VideoIndex:
    """Decode the whole of `path` once; `progress` is called after every frame.

    Raises `UserError` if the file is missing or no video, and warns if frames are missing at its end.
    """
    decoder = _Decoder(path)
    checksums: list[int] = []
    block = count = 0
    size = (0, 0)
    while (frame := decoder.next()) is not None:
        if count == 0:
            size = (frame.shape[0], frame.shape[1])
            block = max(2, min(_LARGEST_BLOCK, _BLOCK_BYTES // frame.nbytes))
        _require_size(path, count, frame, size)
        if count % block == 0:
            checksums.append(0)
        checksums[-1] = zlib.crc32(frame.data, checksums[-1])
        count += 1
        if progress is not None:
            progress()
    if not count:
        raise UserError(f"{path}: no frame can be decoded; expected {_EXPECTED}. Restore the file or convert it")
    if count < decoder.announced:
        warnings.warn(
            f"{path}: its header announces {decoder.announced} frames, but {count} can be decoded; these are used",
            stacklevel=2,
        )
    return VideoIndex(count, size, decoder.rate, block, tuple(checksums))


class VideoFrames:
    """The frames of a video file, numbered from 0; their names are the numbers, five digits long or longer.

    path: the file. progress: see `index_video`. Making one decodes the file once.
    """

    def __init__(self, path: Path, progress: Callable[[], None] | None = None) -> None:
        self.path = path
        self._index = index_video(path, progress)
        digits = max(5, len(str(self._index.frames - 1)))
        self.names = tuple(f"{t:0{digits}}" for t in range(self._index.frames))
        self._trusted = True  # seeking has not yet led astray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._index.size

    @property
    def rate(self) -> float | None:
        """Frames per second, if the file says so."""
        return self._index.rate

    def files(self) -> list[Path]:
        """The file."""
        return [self.path]

    def read(self, indices: range) -> Iterator[np.ndarray]:
        """Frames as RGB, uint8 [H, W, 3], in the order of `indices`, which may fall."""
        wanted = indices if indices.step > 0 else indices[::-1]
        if not wanted:
            return
        size = self._index.block
        blocks = range(wanted[0] // size, wanted[-1] // size + 1)
        decoder = _Decoder(self.path)
        for number in blocks if indices.step > 0 else reversed(blocks):
            start = number * size
            decoder, frames = self._read_block(decoder, number)
            inside = [t for t in range(start, start + len(frames)) if t in wanted]
            for t in inside if indices.step > 0 else reversed(inside):
                yield cv2.cvtColor(frames[t - start], cv2.COLOR_BGR2RGB)

    def _read_block(self, decoder: "_Decoder", number: int) -> tuple["_Decoder", list[np.ndarray]]:
        """The frames of a block, checked, and the decoder that stands behind them."""
        start = number * self._index.block
        if self._trusted or decoder.position == start:
            decoder.seek(start)
            frames = self._decode(decoder, start)
            if _checksum(frames) == self._index.checksums[number]:
                return decoder, frames
        if self._trusted:
            self._trusted = False
            warnings.warn(
                f"{self.path}: seeking does not land on the frame asked for; earlier frames are decoded from the start "
                "of the file, which is slow. `oneshot-vos import-videos` makes a folder of frames, which is not",
                stacklevel=2,
            )
        decoder = _Decoder(self.path)
        decoder.skip(start)
        frames = self._decode(decoder, start)
        if _checksum(frames) != self._index.checksums[number]:
            raise UserError(
                f"{self.path}: decoding frames {start} to {start + len(frames) - 1} again gives other pixels than "
                "before; expected a file that nobody writes to. Start again when it is complete"
            )
        return decoder, frames

    def _decode(self, decoder: "_Decoder", start: int) -> list[np.ndarray]:
        count = min(self._index.block, self._index.frames - start)
        frames = (decoder.next() for _ in range(count))
        return [frame for frame in frames if frame is not None]


class _Decoder:
    """Decodes a file from its start, or from where a seek is said to land."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected {_EXPECTED}")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise UserError(
                f"{path}: not readable as a video; expected {_EXPECTED}. Restore the file, convert it, or give a "
                "folder of frames"
            )
        self.position = 0
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0.1 <= rate <= 1000 else None
        self.announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def next(self) -> np.ndarray | None:
        """The next frame as BGR, uint8 [H, W, 3]; None at the end."""
        success, frame = self._capture.read()
        if not success:
            return None
        self.position += 1
        return np.asarray(frame)

    def skip(self, count: int) -> None:
        """Leave frames out."""
        for _ in range(count):
            self._capture.grab()
        self.position += count

    def seek(self, position: int) -> None:
        """Go to a frame, as far as the format allows."""
        if self.position != position:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, position)
            self.position = position


def _checksum(frames: list[np.ndarray]) -> int:
    total = 0
    for frame in frames:
        total = zlib.crc32(frame.data, total)
    return total


def _require_size(path: Path, number: int, frame: np.ndarray, size: tuple[int, int]) -> None:
    if frame.shape[:2] != size:
        raise UserError(
            f"{path}: frame {number} is {frame.shape[1]}x{frame.shape[0]} pixels, but the first is "
            f"{size[1]}x{size[0]}; expected one size in a video. Convert the file to one size, or split it"
        )
