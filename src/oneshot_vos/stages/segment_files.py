"""What `segment` reads and writes besides the video: the masks that are given, and the folder of results."""

import json
import logging
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oneshot_vos import __version__
from oneshot_vos.errors import UserError
from oneshot_vos.files import LOCK, OWNER, changes, read_json, replacing, write_json
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.registry import suggest
from oneshot_vos.reporting.own_results import CONFIDENCE, MASKS, OVERLAY, RECORD
from oneshot_vos.sets.mask_inputs import read_masks, told_as, video_name
from oneshot_vos.stages.segment_formats import FORMATS
from oneshot_vos.videos.frame_files import frame_name
from oneshot_vos.videos.frames import FrameSource, frame_named
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import mask_size, object_ids, write_mask

PROBABILITIES, STATE, GIF, SHEET = "probabilities", ".state", "overlay.gif", "contact-sheet.jpg"
CONFIDENCE_STAMP, NOTES = "confidence.json", ".doubts.json"  # what confidence is told from, and noted for it before
_STAMP_KIND = "oneshot-vos segment "
_STAMP_FORMAT = f"{_STAMP_KIND}2"
_log = logging.getLogger(__name__)


def find_masks(texts: Sequence[str], source: FrameSource, scratch: Path) -> GivenMasks:
    """The masks that are named, and the objects in them.

    A text is the path of masks in any form that `read_masks` takes, named like their frames, or `FRAME=PATH` for one
    mask. The frames of a video file are named by their numbers from 0; any number of zeros may stand before one. What
    has to be converted is written below the folder `scratch`. Raises `UserError` for a mask that is missing, belongs to
    no frame, shares its frame with another, has another size than the video, or shows no object.
    """
    places = {name: t for t, name in enumerate(source.names)}
    found: dict[int, Path] = {}
    objects: dict[int, tuple[int, ...]] = {}
    rules = MaskRules()
    polygons = [text for text in texts if text.lower().endswith(".json")]
    if len(polygons) > 1:
        raise UserError(
            f"{polygons[1]}: a second .json beside {polygons[0]}, and each would number its labels by itself; expected "
            "one. Put them into one folder, and give that"
        )
    for number, text in enumerate(texts):
        own, given = scratch / str(number), Path(text.partition("=")[2] or text)
        with told_as((own / given.name, given), (f"{own}/", f"{given}: ")):
            for frame, path in _named_masks(text, source, own):
                t = frame_named(places, frame)
                if t is None:
                    raise UserError(
                        f"{path}: the video {source.path} has no frame '{frame}'; {_nearest(frame, source.names)} Name "
                        "the mask like its frame, or write FRAME=PATH"
                    )
                if t in found:
                    raise UserError(
                        f"{path}: frame '{frame}' has a mask already, {found[t]}; expected one per frame. Take one away"
                    )
                found[t], objects[t] = path, _objects(path, source, rules)
    return GivenMasks(dict(sorted(found.items())), objects)


def _named_masks(text: str, source: FrameSource, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Names of frames and their masks."""
    frame, separator, rest = text.partition("=")
    path = Path(text).expanduser()
    if not separator or path.exists():
        yield from read_masks(_existing(path), scratch, name_of(source.path), source.names).items()
        return
    if not frame or not rest:
        raise UserError(f"--mask {text}: expected FRAME=PATH, or the path alone of a mask that is named like its frame")
    path = _existing(Path(rest).expanduser())
    masks = list(read_masks(path, scratch, name_of(source.path), source.names).values())
    if len(masks) != 1:
        raise UserError(f"{path}: {len(masks)} masks for the frame '{frame}'; expected one. Leave '{frame}=' out")
    yield unicodedata.normalize("NFC", frame), masks[0]


def name_of(video: Path) -> str:
    """The name of a video, which folders of masks and results have as well; that of `.` is the folder's own."""
    return video_name(video.resolve() if video.is_dir() else video)


def given_as(files: Mapping[int, Path], texts: Sequence[str], scratch: Path) -> dict[int, str]:
    """Where masks are from, for people: their files, or the text that named what was converted into `scratch`."""
    return {
        t: texts[int(file.relative_to(scratch).parts[0])] if file.is_relative_to(scratch) else str(file)
        for t, file in files.items()
    }


def _existing(path: Path) -> Path:
    if not path.exists():
        near = [entry.name for entry in path.parent.glob("*.png")] if path.parent.is_dir() else []
        hint = f"; {suggest(path.name, near)}" if near else ""
        raise UserError(f"{path}: no such file{hint}; expected a mask as PNG file. Check the name")
    return path


def _objects(path: Path, source: FrameSource, rules: MaskRules) -> tuple[int, ...]:
    """The ids of a mask, once it is found fit."""
    height, width = mask_size(path)
    if (height, width) != source.size:
        raise UserError(
            f"{path}: the mask is {width}x{height} pixels, but the video {source.path} is "
            f"{source.size[1]}x{source.size[0]}; expected the same size. Resize the mask with nearest neighbour"
        )
    ids = tuple(object_ids(rules.read(path).ids))
    if not ids:
        raise UserError(f"{path}: the mask is empty (no id above 0); expected an object. Draw one, or leave it out")
    return ids


def _nearest(frame: str, names: Sequence[str]) -> str:
    near = suggest(frame, list(names))
    return near if near.startswith("did") else f"its frames are '{names[0]}' to '{names[-1]}'."


class Output:
    """The folder of results of a video: what is in it, and whether it belongs to the same job.

    source, given: what is segmented, from which masks. stamp: what the results are made from, as JSON holds it;
    `segment.json` keeps it. Contents count, neither the times of files nor the version of this package. Results of
    another job are refused with `UserError` that says what differs, or go where `overwrite` is set; the same job is
    resumed.
    """

    def __init__(
        self, path: Path, stamp: Mapping[str, Any], source: FrameSource, given: GivenMasks, *, overwrite: bool = False
    ) -> None:
        self.path, self.source, self.given = path, source, given
        self.state = path / STATE
        self._stamp = {"format": _STAMP_FORMAT, "version": __version__, **json.loads(json.dumps(stamp))}
        self._lost = (path / RECORD).is_file() and not (path / RECORD).stat().st_size
        before = {} if self._lost else self._former()
        others = _differences(before, self._stamp) if before else []
        if others and not overwrite:
            raise UserError(
                f"{path}: holds the results of another job, which differs from this one in {'; '.join(others)}; "
                "expected a new folder, or the same job. Choose another folder with --out, or give --overwrite to "
                "replace them"
            )
        self._replaces, self._stale = others, bool(before) and before.get("version") != __version__
        finished = not others and before.get("complete") is True
        self.complete = finished and self.has(range(len(source.names)))
        self._gaps = finished and not self.complete

    def begin(self) -> None:
        """Make the folder ready, and say in it what it is for."""
        if self._replaces:
            _log.info("%s: results of another job are replaced (%s)", self.path, "; ".join(self._replaces))
            self._clear()
        elif self._lost:
            _log.info("%s: %s is empty, as a power cut may leave it; all is made again", self.path, RECORD)
            self._clear()
        elif self._gaps:
            _log.info("%s: masks of some frames are missing; all are made again", self.path)
        elif self._stale and self.state.exists():
            _log.info("%s: begun by another version of this program; starts from the first frame again", self.path)
            shutil.rmtree(self.state)
        self.state.mkdir(parents=True, exist_ok=True)
        write_json(self.path / RECORD, {**self._stamp, "complete": False})  # first: it says whose the rest is
        (self.path / MASKS).mkdir(exist_ok=True)

    def has(self, frames: Sequence[int]) -> bool:
        """Whether the masks of these frames are there; an empty file, as a power cut may leave, is none."""
        files = {frame_name(file) for file in (self.path / MASKS).glob("*.png") if file.stat().st_size}
        return all(self.source.names[t] in files for t in frames)

    def write(self, result: Segmented) -> None:
        """Write the mask of a frame, and its probabilities if there are any."""
        name = self.source.names[result.frame]
        write_mask(self.path / MASKS / f"{name}.png", result.ids)
        if result.probabilities is None or not self._stamp["probabilities"]:
            return
        levels = (result.probabilities[1:] * 255).round().byte().cpu().numpy()
        for number, level in zip(self.given.ids, levels, strict=True):
            _, content = cv2.imencode(".png", level)
            with replacing(self.path / PROBABILITIES / str(number) / f"{name}.png") as temporary:
                temporary.write_bytes(np.asarray(content).tobytes())

    def finish(self) -> None:
        """Say that all is there."""
        write_json(self.path / RECORD, {**self._stamp, "complete": True})
        self.tidy()

    def tidy(self) -> None:
        """Remove what was only needed to resume, also after a process that was killed as it did so."""
        shutil.rmtree(self.state, ignore_errors=True)

    def _former(self) -> dict[str, Any]:
        """What an earlier run says; a folder of other things is refused."""
        file = self.path / RECORD
        if file.exists():
            content = read_json(file, "what `oneshot-vos segment` writes")
            if isinstance(content, dict) and str(content.get("format")).startswith(_STAMP_KIND):
                return content
        # Hidden are the state, and half a report of a process that was killed as it began.
        others = self.path.is_dir() and any(
            not entry.name.startswith(".") and entry.name not in (LOCK, OWNER) for entry in self.path.iterdir()
        )
        if others or (self.path.exists() and not self.path.is_dir()):
            raise UserError(
                f"{self.path}: holds other things than results of `segment`; expected a new or empty folder. Choose "
                "another one with --out"
            )
        return {}

    def _clear(self) -> None:
        made = (MASKS, PROBABILITIES, STATE, OVERLAY, GIF, SHEET, RECORD, CONFIDENCE, CONFIDENCE_STAMP, NOTES)
        for name in (*made, *(name for name, _ in FORMATS.values())):
            if (self.path / name).is_dir():
                shutil.rmtree(self.path / name)
            else:
                (self.path / name).unlink(missing_ok=True)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two stamps differ in, for people; where files lie is told, but does not count."""
    known = before.get("sha256")
    if before.get("format") != now["format"] or not isinstance(known, Mapping):
        return ["what an earlier version of this program did not write down"]
    lines = []
    for key, value in now["sha256"].items():
        former = known.get(key)
        if former != value:
            lines += changes({key: before.get(key)}, {key: now[key]}) or [
                f"contents of {_changed_file(now[key], former, value)}"
            ]
    for key in now.keys() - {*now["sha256"], "sha256", "format", "version", "complete"}:
        lines += changes({key: before.get(key)}, {key: now[key]})
    return sorted(lines)


def _changed_file(place: Any, before: Any, now: Any) -> str:
    """The file whose contents differ; of several, which have names, the first."""
    if not isinstance(now, Mapping):
        return str(place)
    known = before if isinstance(before, Mapping) else {}
    return str(place[next((name for name in now if now[name] != known.get(name)), next(iter(now)))])
