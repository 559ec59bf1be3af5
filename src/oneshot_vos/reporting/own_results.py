"""What `segment`, `segment-all` and `adapt` leave in a folder, as others read it. Nothing is changed here."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, taken_apart
from oneshot_vos.videos.frame_files import frame_files, frame_name

RECORD, MASKS, OVERLAY, CONFIDENCE = "segment.json", "masks", "overlay.mp4", "confidence.csv"  # of a video
NEXT, ADAPT = "next.csv", "adapt.json"  # of all videos
CONFIDENCE_COLUMNS = ("frame", "object", "agreement", "reconstruction", "entropy", "confidence")
WHOLE = 0  # the id that stands for all objects of a frame together
_SUGGESTED = ("video", "frame", "why")  # columns of `next.csv` that it must have
Read = TypeVar("Read")


@dataclass(frozen=True)
class OwnVideo:
    """The results of one video.

    frames: names in time order. given: those whose masks were given. source: folder or file that it was read from.
    confidence: by object (`WHOLE`: all together), one value in [0, 1] per frame, None where there is none. shown:
    likewise, whether the masks show the object.
    """

    name: str
    folder: Path
    frames: tuple[str, ...]
    given: tuple[str, ...]
    objects: tuple[int, ...]
    source: Path | None
    confidence: Mapping[int, Sequence[float | None]]
    shown: Mapping[int, Sequence[bool]]

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


class Suggestion(NamedTuple):
    """A frame that deserves a mask; `why` says in words."""

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
    return [read_video(path) for path in found]


def read_video(folder: Path) -> OwnVideo:
    """The results of the video in `folder`; raises `UserError` for files that are damaged or do not belong together."""
    expected = "the record of a segmented video"
    record = read_json(folder / RECORD, expected)
    with taken_apart(folder / RECORD, expected, "Segment the video again with --overwrite"):
        given, objects = tuple(map(str, record["masks"])), tuple(map(int, record["objects"]))
        source = Path(record["video"])
    masks = folder / MASKS
    frames = tuple(frame_name(file) for file in frame_files(masks)) if masks.is_dir() else ()
    places = {name: t for t, name in enumerate(frames)}
    confidence: dict[int, list[float | None]] = {}
    shown: dict[int, list[bool]] = {}
    path = folder / CONFIDENCE
    for frame, number, values in read_confidence(path) if path.is_file() else ():
        if frame not in places:
            raise UserError(
                f"{path}: frame '{frame}' has no mask in {masks}; expected rows of its masks. Make it again"
            )
        confidence.setdefault(number, [None] * len(frames))[places[frame]] = values["confidence"]
        shown.setdefault(number, [False] * len(frames))[places[frame]] = values["entropy"] is not None
    known = source if source.exists() else None
    return OwnVideo(folder.resolve().name, folder, frames, given, objects, known, confidence, shown)


def read_confidence(path: Path) -> list[tuple[str, int, dict[str, float | None]]]:
    """Frame, object and numbers of each row of a `confidence.csv`; None where there is none."""

    def read(row: Mapping[str, str]) -> tuple[str, int, dict[str, float | None]]:
        values = {key: _fraction(row[key]) if row[key] else None for key in CONFIDENCE_COLUMNS[2:]}
        if values["confidence"] is None:
            raise ValueError("no confidence")
        return row["frame"], int(row["object"]), values

    return _rows(path, read, CONFIDENCE_COLUMNS, "a table of numbers from 0 to 1")


def read_suggestions(path: Path) -> list[Suggestion]:
    """The frames of a `next.csv` that deserve a mask, best first, as they stand there."""

    def read(row: Mapping[str, str]) -> Suggestion:
        confidence = _fraction(row["confidence"]) if row.get("confidence") else None
        return Suggestion(row["video"], row["frame"], confidence, row["why"])

    return _rows(path, read, _SUGGESTED, "a CSV file")


def read_adaptation(folder: Path) -> dict[str, Any] | None:
    """The record of `adapt`; None where there is none."""
    path = folder / ADAPT
    if not path.is_file():
        return None
    content = read_json(path, "the record of an adaptation")
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected one JSON object, found {type(content).__name__}. Run `adapt` again")
    return content


def _rows(path: Path, read: Callable[[Mapping[str, str]], Read], columns: Sequence[str], what: str) -> list[Read]:
    """What `read` makes of each line of a CSV file; raises `UserError` that names the line."""
    found, line = [], 1
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            if not set(columns) <= set(table.fieldnames or ()):
                raise ValueError(f"its columns are {', '.join(table.fieldnames or ()) or 'none'}")
            for row in table:
                line = table.line_num
                if any(row[column] is None for column in columns):
                    raise ValueError("fewer values than columns")
                found.append(read(row))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}, line {line}: {error}; expected {what} with the columns {', '.join(columns)}. Check the name, or "
            "delete the file and make it again"
        ) from error
    return found


def _fraction(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{text} is not from 0 to 1")
    return value
