"""How far masks can be trusted, and which frames should be labelled next: `confidence.csv` and `next.csv`."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, sha256_of, write_csv, write_json
from oneshot_vos.inference.confidence import Row, Values, doubts_of, measure_confidence
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.ranking import VideoConfidence, rank_frames
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.reporting.own_results import (
    CONFIDENCE,
    CONFIDENCE_COLUMNS,
    MASKS,
    NEXT,
    RECORD,
    WHOLE,
    OwnVideo,
    read_video,
)
from oneshot_vos.stages.segment_files import CONFIDENCE_STAMP, NOTES, Output

if TYPE_CHECKING:
    from oneshot_vos.stages.segment import Segmenter

_NEXT_HEADER = ("rank", "video", "frame", "confidence", "gain", "why")
_FORMAT = "oneshot-vos confidence 1"  # to be raised where other numbers come out
_RESULTS = "what `oneshot-vos segment` writes"


def write_confidence(segmenter: "Segmenter", output: Output) -> Path:
    """Write `confidence.csv` into a folder of results that is complete; its path.

    segmenter: one that was told to find the confidence; it calls this itself. A file that was made from the same masks
    is kept. Takes about as long as segmenting; where the doubts of the network were not noted with the masks, about
    twice as long. Raises `UserError` for a folder that is not complete.
    """
    path, stamp, source = output.path / CONFIDENCE, _stamp(output), output.source
    if path.exists() and _former_stamp(output.path) == stamp:
        return path
    (output.path / CONFIDENCE_STAMP).unlink(missing_ok=True)
    notes = _complete_notes(segmenter, output)

    def look(starts: GivenMasks, order: range) -> Iterator[Segmented]:
        for second in segmenter.second_look(source, starts, order):
            yield second
            bar.update()

    masks = output.path / MASKS
    with tqdm(total=len(source.names), desc=f"{source.path.name}: confidence", unit="frame") as bar:
        rows = measure_confidence(
            len(source.names), output.given, lambda t: masks / f"{source.names[t]}.png", look, notes.values()
        )
    write_csv(path, CONFIDENCE_COLUMNS, (_cells(source.names[row.frame], row) for row in rows))
    write_json(output.path / CONFIDENCE_STAMP, stamp)
    notes.forget()
    return path


class Notes:
    """The network's doubts of the masks of a video, noted as they are made; on disk after `save`."""

    def __init__(self, output: Output) -> None:
        self._path, self._names, self._ids = output.path / NOTES, output.source.names, output.given.ids
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


def _complete_notes(segmenter: "Segmenter", output: Output) -> Notes:
    """The notes of the masks; they are made here where they were not, or not all."""
    notes, source = Notes(output), output.source
    if notes.complete:
        return notes
    with tqdm(total=len(source.names), desc=f"{source.path.name}: doubts", unit="frame") as bar:
        for result in segmenter.frames(source, output.given):
            notes.add(result)
            bar.update()
    notes.save()
    return notes


def _stamp(output: Output) -> dict[str, str]:
    """What the numbers are made from."""
    job, names = read_json(output.path / RECORD, _RESULTS), output.source.names
    if not job.get("complete") or not output.has(range(len(names))):
        raise UserError(
            f"{output.path}: masks of some frames are missing; expected those of the whole video. Segment it again"
        )
    masks = [sha256_of(output.path / MASKS / f"{name}.png") for name in names]
    made_from = {key: job[key] for key in ("sha256", "settings", "precision", "scene_cuts")}
    return {"format": _FORMAT, "fingerprint": fingerprint({**made_from, "results": masks})}


def _former_stamp(folder: Path) -> object:
    try:
        return read_json(folder / CONFIDENCE_STAMP, "what confidence was told from")
    except UserError:  # missing or damaged: it vouches for nothing
        return None


def _cells(name: str, row: Row) -> list[str]:
    return [name, str(row.object), *("" if value is None else f"{value:.4f}" for value in row[2:])]


# --- what to label next ---------------------------------------------------------------------------------------------


def write_next(out: Path) -> Path:
    """Write `next.csv`: the ranking of all videos whose results lie in `out`; its path."""
    lines = [
        (str(rank), each.video, each.frame, f"{each.confidence:.4f}", f"{each.gain:.2f}", each.why)
        for rank, each in enumerate(rank_frames(read_results(out)), 1)
    ]
    write_csv(out / NEXT, _NEXT_HEADER, lines)
    return out / NEXT


def suggest(folder: Path, number: int) -> list[str]:
    """One line for each of at most `number` frames that most deserve a further mask; see `read_results`."""
    ranking = rank_frames(read_results(folder))[:number]
    return [
        f"label frame {each.frame} of video {each.video} {'then' if place else 'next'}: {each.why}"
        for place, each in enumerate(ranking)
    ] or [f"{folder}: no frame promises anything; the masks that are there explain all others"]


def read_results(folder: Path) -> list[VideoConfidence]:
    """The confidence of all videos whose results lie in `folder`, or of the one whose results it is.

    Raises `UserError` for a folder without results that have `confidence.csv`, and for damaged files.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected results of `segment-all --confidence`. Check the name")
    results = [folder] if (folder / RECORD).exists() else sorted(file.parent for file in folder.glob(f"*/{RECORD}"))
    known = [each for each in results if (each / CONFIDENCE).exists()]
    if not known:
        raise UserError(
            f"{folder}: {len(results)} video(s) with results, none with {CONFIDENCE}; expected what `segment-all "
            "--confidence` writes. Run the same command again with --confidence: the masks are kept"
        )
    return [_for_ranking(read_video(each)) for each in known]


def _for_ranking(video: OwnVideo) -> VideoConfidence:
    objects = tuple(sorted(video.confidence.keys() - {WHOLE}))
    labelled = tuple(video.frames.index(name) for name in video.given if name in video.frames)
    if not labelled or not objects:
        file = video.folder / CONFIDENCE
        raise UserError(f"{file}: belongs to other masks than {video.folder / RECORD}. Delete it, then rerun")
    confidence = np.array([video.confidence[number] for number in objects], np.float64).T
    shown = np.array([video.shown[number] for number in objects]).T
    return VideoConfidence(video.name, video.frames, objects, confidence, shown, labelled)
