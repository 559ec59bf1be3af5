"""How far masks can be trusted, and which frames should be labelled next: `confidence.csv` and `next.csv`."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, sha256_of, write_json, write_text
from oneshot_vos.inference.confidence import WHOLE, Row, Values, doubts_of, measure_confidence
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.ranking import Suggestion, VideoConfidence, rank_frames
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.stages.segment_files import CONFIDENCE, CONFIDENCE_STAMP, MASKS, NOTES, STAMP, Output
from oneshot_vos.videos.frames import FrameSource

if TYPE_CHECKING:
    from oneshot_vos.stages.segment import Options, Segmenter

NEXT = "next.csv"
HEADER = ("frame", "object", "agreement", "reconstruction", "entropy", "confidence")
_NEXT_HEADER = ("rank", "video", "frame", "confidence", "gain", "why")
_FORMAT = "oneshot-vos confidence 1"  # to be raised where other numbers come out
_RESULTS = "what `oneshot-vos segment` writes"


def write_confidence(
    segmenter: "Segmenter", source: FrameSource, given: GivenMasks, folder: Output, options: "Options"
) -> Path:
    """Write `confidence.csv` into a folder of results that is complete; its path.

    All arguments are those of `Segmenter.segment`, which calls this itself where `options.confidence` is set. A file
    that was made from the same masks is kept. Takes about as long as segmenting; where the doubts of the network were
    not noted with the masks, about twice as long. Raises `UserError` for a folder that is not complete.
    """
    path, stamp = folder.path / CONFIDENCE, _stamp(folder, source)
    if path.exists() and _former_stamp(folder.path) == stamp:
        return path
    (folder.path / CONFIDENCE_STAMP).unlink(missing_ok=True)
    chosen = replace(options, confidence=True, scene_cuts=False)  # cuts were logged as the masks were made
    notes = _complete_notes(segmenter, source, given, folder.path, replace(options, confidence=True))

    def walk(starts: GivenMasks, order: range) -> Iterator[Segmented]:
        for second in segmenter.walk(source, starts, order, chosen).frames():
            yield second
            bar.update()

    masks = folder.path / MASKS
    with tqdm(total=len(source.names), desc=f"{source.path.name}: confidence", unit="frame") as bar:
        rows = measure_confidence(
            len(source.names), given, lambda t: masks / f"{source.names[t]}.png", walk, notes.values()
        )
    write_text(path, _csv(HEADER, (_cells(source.names[row.frame], row) for row in rows)))
    write_json(folder.path / CONFIDENCE_STAMP, stamp)
    notes.forget()
    return path


class Notes:
    """The network's doubts of the masks of a video, noted as they are made; on disk after `save`."""

    def __init__(self, folder: Path, source: FrameSource, given: GivenMasks) -> None:
        self._path, self._names, self._ids = folder / NOTES, source.names, given.ids
        self._values: dict[str, list[list[float] | None]] = {}
        if self._path.exists():
            with suppress(UserError):  # a damaged file: as if nothing had been noted
                noted = read_json(self._path, "notes of `segment --confidence`")
                self._values = noted if isinstance(noted, dict) else {}

    @property
    def complete(self) -> bool:
        """Whether all frames are noted."""
        return all(name in self._values for name in self._names)

    def add(self, result: Segmented) -> None:
        """Note a frame that came with probabilities."""
        assert result.probabilities is not None, "walks for notes hand probabilities out"
        doubts = doubts_of(result.probabilities, result.ids, self._ids)
        self._values[self._names[result.frame]] = [each and [round(value, 6) for value in each] for each in doubts]

    def save(self) -> None:
        """Write all that was noted."""
        write_json(self._path, self._values)

    def values(self) -> Values:
        """The doubts [frames, K, 2], NaN for an object without a pixel."""
        none = [np.nan, np.nan]
        return np.array([[each or none for each in self._values[name]] for name in self._names], np.float64)

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def _complete_notes(
    segmenter: "Segmenter", source: FrameSource, given: GivenMasks, folder: Path, options: "Options"
) -> Notes:
    """The notes of the masks; they are made here where they were not, or not all."""
    notes = Notes(folder, source, given)
    if notes.complete:
        return notes
    with tqdm(total=len(source.names), desc=f"{source.path.name}: doubts", unit="frame") as bar:
        for route in segmenter.routes(source, given, options):
            for result in segmenter.walk(source, given, route, options).frames():
                given.put_over(result.frame, result.ids)
                notes.add(result)
                bar.update()
    notes.save()
    return notes


def _stamp(folder: Output, source: FrameSource) -> dict[str, str]:
    """What the numbers are made from."""
    job = read_json(folder.path / STAMP, _RESULTS)
    if not job.get("complete") or not folder.has(range(len(source.names))):
        raise UserError(
            f"{folder.path}: masks of some frames are missing; expected those of the whole video. Segment it again"
        )
    masks = [sha256_of(folder.path / MASKS / f"{name}.png") for name in source.names]
    made_from = {key: job[key] for key in ("sha256", "settings", "precision", "scene_cuts")}
    return {"format": _FORMAT, "fingerprint": fingerprint({**made_from, "results": masks})}


def _former_stamp(folder: Path) -> object:
    try:
        return read_json(folder / CONFIDENCE_STAMP, "what confidence was told from")
    except UserError:  # missing or damaged: it vouches for nothing
        return None


def _cells(name: str, row: Row) -> list[str]:
    return [name, str(row.object), *("" if value is None else f"{value:.4f}" for value in row[2:])]


def _csv(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()


# --- what to label next ---------------------------------------------------------------------------------------------


def write_next(out: Path) -> Path:
    """Write `next.csv`: the ranking of all videos whose results lie in `out`; its path."""
    lines = [
        (str(rank), each.video, each.frame, f"{each.confidence:.4f}", f"{each.gain:.2f}", each.why)
        for rank, each in enumerate(rank_frames(read_results(out)), 1)
    ]
    write_text(out / NEXT, _csv(_NEXT_HEADER, lines))
    return out / NEXT


def suggest(folder: Path, number: int) -> list[str]:
    """One line for each of at most `number` frames that most deserve a further mask; see `read_results`."""
    ranking = rank_frames(read_results(folder))[:number]
    return [_sentence(each, first=not place) for place, each in enumerate(ranking)] or [
        f"{folder}: no frame promises anything; the masks that are there explain all others"
    ]


def _sentence(each: Suggestion, *, first: bool) -> str:
    return f"label frame {each.frame} of video {each.video} {'next' if first else 'then'}: {each.why}"


def read_results(folder: Path) -> list[VideoConfidence]:
    """The confidence of all videos whose results lie in `folder`, or of the one whose results it is.

    Raises `UserError` for a folder without results that have `confidence.csv`, and for damaged files.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected results of `segment-all --confidence`. Check the name")
    results = [folder] if (folder / STAMP).exists() else sorted(file.parent for file in folder.glob(f"*/{STAMP}"))
    known = [each for each in results if (each / CONFIDENCE).exists()]
    if not known:
        raise UserError(
            f"{folder}: {len(results)} video(s) with results, none with {CONFIDENCE}; expected what `segment-all "
            "--confidence` writes. Run the same command again with --confidence: the masks are kept"
        )
    return [_read_video(each) for each in known]


def _read_video(folder: Path) -> VideoConfidence:
    job, rows = read_json(folder / STAMP, _RESULTS), read_confidence(folder / CONFIDENCE)
    frames = tuple(dict.fromkeys(name for name, _, _ in rows))
    objects = tuple(sorted({number for _, number, _ in rows} - {WHOLE}))
    places = {name: t for t, name in enumerate(frames)}
    confidence = np.full((len(frames), len(objects)), np.nan)
    shown = np.zeros(confidence.shape, bool)
    for name, number, values in rows:
        if number != WHOLE:
            cell = places[name], objects.index(number)
            confidence[cell] = values["confidence"]
            shown[cell] = values["entropy"] is not None
    labelled = tuple(places[name] for name in job["masks"] if name in places)
    if not labelled or not objects:
        raise UserError(f"{folder / CONFIDENCE}: belongs to other masks than {folder / STAMP}. Delete it, then rerun")
    return VideoConfidence(folder.resolve().name, frames, objects, confidence, shown, labelled)


def read_confidence(path: Path) -> list[tuple[str, int, dict[str, float | None]]]:
    """Frame, object and numbers of each row of a `confidence.csv`; None where there is none."""
    expected = f"a table with the columns {', '.join(HEADER)} and numbers from 0 to 1"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if tuple(lines.fieldnames or ()) != HEADER:
                raise ValueError(f"its columns are {lines.fieldnames}")
            rows = [_read_row(line) for line in lines]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: not readable ({error}); expected {expected}. Delete it, then rerun") from error
    return rows


def _read_row(line: dict[str, str]) -> tuple[str, int, dict[str, float | None]]:
    values = {key: float(line[key]) if line[key] else None for key in HEADER[2:]}
    wrong = [value for value in values.values() if value is not None and not 0 <= value <= 1]
    if wrong or values["confidence"] is None:
        raise ValueError(f"frame {line['frame']}: {wrong or 'no confidence'}")
    return line["frame"], int(line["object"]), values
