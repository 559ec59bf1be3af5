"""The frames of one video, from a folder or a video file, read one after the other in either direction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, sha256_of
from oneshot_vos.registry import suggest
from oneshot_vos.videos.frame_files import frame_files, frame_name, is_litter, visible_entries
from oneshot_vos.videos.images import IMAGE_KINDS, frame_size, has_end, read_frame
from oneshot_vos.videos.problems import Problems, repeated

VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
        *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
    )
)


class FrameSource(Protocol):
    """A video whose frames are read as they are needed."""

    path: Path  # the folder or file
    names: tuple[str, ...]  # of every frame, in time order: masks are given and written under them
    size: tuple[int, int]  # height and width of every frame
    rate: float | None  # frames per second, if known

    def files(self) -> list[Path]:
        """All files that the video consists of."""

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames as RGB, uint8 [H, W, 3], in the order of `indices`, which rise or fall."""


class FrameFiles:
    """Images in time order, named by their stems; one that differs in size from number `sized_like` is refused."""

    rate: float | None = None

    def __init__(self, files: Sequence[Path], sized_like: int = 0) -> None:
        self.path = files[0].parent
        self.names = tuple(frame_name(file) for file in files)
        self.size = frame_size(files[sized_like])
        self._files = tuple(files)
        self._sized_like = files[sized_like]

    def files(self) -> list[Path]:
        """The images."""
        return list(self._files)

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames as RGB, uint8 [H, W, 3], in the order of `indices`."""
        for t in indices:
            frame = read_frame(self._files[t])
            if frame.shape[:2] != self.size:
                raise UserError(
                    f"{self._files[t]}: the frame is {frame.shape[1]}x{frame.shape[0]} pixels, but {self._sized_like} "
                    f"of the same video is {self.size[1]}x{self.size[0]}; expected one size in a video. Resize the "
                    "frames, or split the video"
                )
            yield frame


def content_of(source: FrameSource) -> str:
    """SHA-256 of a video: of the names of its frames and of the whole contents of its files, wherever they lie."""
    return fingerprint({"names": source.names, "files": [sha256_of(file) for file in source.files()]})


def frame_named(places: Mapping[str, int], name: str) -> int | None:
    """The number of the frame of that name, before which any number of zeros may stand or be missing.

    places: the frames' names and numbers. `frame_000012`, as CVAT calls frames of a video, may stand for `00012`.
    """
    if name in places:
        return places[name]
    number = name.removeprefix("frame_")
    return places.get(number.lstrip("0").zfill(len(next(iter(places))))) if number else None


def open_frames(path: Path, progress: Callable[[], None] | None = None) -> FrameSource:
    """The frames of a folder of images or of a video file; `progress` is called per frame as a file is indexed.

    Raises `UserError` if `path` is neither, or a folder without images or with two images of one name.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        beside = [entry for entry in path.parent.glob("*") if not is_litter(entry.name)]
        videos = [entry.name for entry in beside if entry.is_dir() or entry.suffix.lower() in VIDEO_SUFFIXES]
        near = suggest(path.name, videos)
        raise UserError(f"{path}: no such video; expected a folder of frames or a video file; {near}")
    from oneshot_vos.videos.video_files import VideoFrames  # imports the decoder, which folders do not need

    return VideoFrames(path, progress)


def _open_folder(path: Path) -> FrameFiles:
    files = frame_files(path)
    if not files:
        inner = [entry for entry in visible_entries(path) if entry.is_dir() and frame_files(entry)]
        if inner:
            raise UserError(
                f"{path}: no image in it but in folders, {inner[0].name} first; expected the frames of one video in "
                f"one folder. Give {inner[0]}, or move its images up"
            )
        raise UserError(f"{path}: no image in it; expected the frames of a video, {IMAGE_KINDS}. Convert them")
    if len({frame_name(file) for file in files}) < len(files):
        raise UserError(f"{path}: {repeated(files)}; expected one per frame. Take one away")
    problems = Problems()
    for file in files:  # by both ends: what cannot be read is told before an hour is spent on those before it
        with problems.catching(file):
            frame_size(file)
            if not has_end(file):
                read_frame(file)
    problems.raise_errors(path, remedy="")
    return FrameFiles(files)
