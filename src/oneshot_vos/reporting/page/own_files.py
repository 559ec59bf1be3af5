"""What `segment-all` and `adapt` left in a folder, as the page of own videos shows it. Nothing is changed."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.videos.images import frame_files, frame_name

RECORD, MASKS, OVERLAY, CONFIDENCE, NEXT, ADAPT = (
    *("segment.json", "masks", "overlay.mp4", "confidence.csv"),
    *("next.csv", "adapt.json"),
)
Read = TypeVar("Read")
WHOLE = 0  # the id that stands for all objects of a frame together


@dataclass(frozen=True)
class OwnVideo:
    """The results of one video.

    frames: names in time order. given: those whose masks were given. source: folder or file that it was read from.
    confidence: by object (`WHOLE`: all together), one value in [0, 1] per frame, None where there is none.
    """

    name: str
    folder: Path
    frames: tuple[str, ...]
    given: tuple[str, ...]
    objects: tuple[int, ...]
    source: Path | None
    confidence: Mapping[int, Sequence[float | None]]

    @property
    def overlay(self) -> Path | None:
        """The video with the masks laid over, if there is one."""
        path = self.folder / OVERLAY
        return path if path.is_file() else None

    def mask(self, frame: str) -> Path:
        """The mask of a frame."""
        return self.folder / MASKS / f"{frame}.png"

    @property
    def lowest(self) -> float:
        """The lowest confidence of a frame; 1 where nothing is known."""
        return min((value for value in self.confidence.get(WHOLE, ()) if value is not None), default=1.0)

    @property
    def mean(self) -> float | None:
        """The mean confidence over the frames; None where nothing is known."""
        known = [value for value in self.confidence.get(WHOLE, ()) if value is not None]
        return math.fsum(known) / len(known) if known else None


@dataclass(frozen=True)
class Suggestion:
    """A frame that deserves a mask: `rank` 1 deserves it most; `why` says in words."""

    rank: int
    video: str
    frame: str
    confidence: float | None
    why: str


def results_folder(folder: Path) -> Path:
    """Where the folders of videos lie: below `segmented` of what `adapt` wrote, else in `folder` itself."""
    inner = folder / "segmented"
    return inner if inner.is_dir() else folder


def read_videos(folder: Path) -> list[OwnVideo]:
    """Every video of a results folder, by name; raises `UserError` where there is none."""
    found = sorted(path.parent for path in folder.glob(f"*/{RECORD}")) if folder.is_dir() else []
    if not found:
        raise UserError(
            f"{folder}: no results of videos in it; expected folders with {RECORD}, as `segment-all` and `adapt` write "
            "them. Name the folder that you gave them with --out"
        )
    return [_read_video(path) for path in found]


def _read_video(folder: Path) -> OwnVideo:
    expected = "the record of a segmented video"
    record = read_json(folder / RECORD, expected)
    try:
        given, objects = tuple(map(str, record["masks"])), tuple(map(int, record["objects"]))
        source = Path(record["video"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / RECORD}: incomplete ({type(error).__name__}: {error}); expected {expected}. Segment the video "
            "again with --overwrite"
        ) from error
    masks = folder / MASKS
    frames = tuple(frame_name(file) for file in frame_files(masks)) if masks.is_dir() else ()
    path = folder / CONFIDENCE
    confidence = _read_confidence(path, frames) if path.is_file() else {}
    return OwnVideo(folder.name, folder, frames, given, objects, source if source.exists() else None, confidence)


def _read_confidence(path: Path, frames: Sequence[str]) -> dict[int, list[float | None]]:
    places = {name: t for t, name in enumerate(frames)}
    found: dict[int, list[float | None]] = {}

    def add(row: Mapping[str, str]) -> None:
        values = found.setdefault(int(row["object"]), [None] * len(frames))
        values[places[row["frame"]]] = _fraction(row["confidence"])

    for _ in _rows(path, add, "a row per frame of the video and object, with a confidence from 0 to 1"):
        pass
    return found


def read_suggestions(folder: Path) -> list[Suggestion]:
    """The frames of `next.csv` that deserve a mask, best first; none where there is no such file."""
    path = folder / NEXT
    if not path.is_file():
        return []

    def read(row: Mapping[str, str]) -> Suggestion:
        confidence = _fraction(row["confidence"]) if row["confidence"] else None
        return Suggestion(int(row["rank"]), row["video"], row["frame"], confidence, row["why"])

    found = list(_rows(path, read, "the columns rank, video, frame, confidence and why"))
    return sorted(found, key=lambda each: each.rank)


def read_adaptation(folder: Path) -> dict[str, Any] | None:
    """The record of `adapt`; None where there is none."""
    path = folder / ADAPT
    if not path.is_file():
        return None
    content = read_json(path, "the record of an adaptation")
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected one JSON object, found {type(content).__name__}. Run `adapt` again")
    return content


def _rows(path: Path, read: Callable[[Mapping[str, str]], Read], expected: str) -> Iterator[Read]:
    """What `read` makes of each line of a CSV file; raises `UserError` that names the line."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), 2):
                try:
                    yield read(row)
                except (KeyError, TypeError, ValueError) as error:
                    found = f"{type(error).__name__}: {error}"
                    raise UserError(
                        f"{path}, line {line}: {found}; expected {expected}. Make the file again"
                    ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not readable ({error}); expected {expected}. Make the file again") from error


def _fraction(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{text} is not from 0 to 1")
    return value
