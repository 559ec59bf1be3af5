"""Segmenting a set of videos into one archive of masks."""

import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, taken_apart, write_json, write_zip
from oneshot_vos.inference.given import Given, find_given, read_ids
from oneshot_vos.inference.video import walk_forwards
from oneshot_vos.inference.walk import Walk
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import suggest
from oneshot_vos.videos.masks import check_same_size, encode_mask
from oneshot_vos.videos.video import Video

_ARCHIVE, _REPORT = ".masks.zip", ".report.json"  # of a finished video in the state folder


@dataclass(frozen=True)
class Report:
    """What segmenting took. `seconds` leaves reading and writing of files out."""

    frames: int  # masks written
    seconds: float


def segment_set(
    network: Network,
    videos: Sequence[Video],
    settings: InferenceSettings,
    out_zip: Path,
    *,
    state: Path,
    fingerprint: str,
    dtype: torch.dtype = torch.float32,
    required: Mapping[str, Collection[str]] | None = None,
    given: Given = "first",
    progress: str | None = None,
) -> Report:
    """Segment `videos` and write their masks as `<video>/<stem>.png` to one zip, sorted by name.

    The bytes of the zip depend on the masks alone. Finished videos are kept in the folder `state`, for the caller to
    remove when the zip cannot be lost any more: a run that was stopped and is started again with the same `fingerprint`
    resumes with the first unfinished video; with another fingerprint it starts anew. `required`: per video name the
    stems to write, None for every frame. `progress`: the title of a progress bar, None for none.
    """
    ordered = in_order(videos)
    wanted = _wanted(ordered, required)
    keep_if_made_from(state, fingerprint)
    network.to(memory_format=torch.channels_last)  # what convolutions read fastest; the weights stay the same
    total = sum(len(video) if (stems := wanted[video.name]) is None else len(set(stems)) for video in ordered)
    reports = []
    with tqdm(total=total, desc=progress, unit="frame", disable=progress is None) as bar:
        for video in ordered:
            bar.set_postfix_str(video.name)
            archive, report_file = _state_files(state, video)
            report = _read_report(report_file) if _is_there(report_file) else None
            if report is not None and _is_there(archive):
                bar.update(report.frames)
            else:
                walk = walk_forwards(
                    network,
                    video,
                    settings,
                    dtype=dtype,
                    required=wanted[video.name],
                    given=given,
                )
                write_zip(archive, _masks(walk, video, bar))
                report = Report(len(walk.output), walk.seconds)
                write_json(report_file, asdict(report))
            reports.append(report)
    write_zip(out_zip, _members(state, ordered))
    return Report(sum(report.frames for report in reports), sum(report.seconds for report in reports))


def _read_report(path: Path) -> Report:
    expected = "the report of a segmented video"
    content = read_json(path, expected)
    with taken_apart(path, expected, "Delete it, then rerun to resume"):
        return Report(int(content["frames"]), float(content["seconds"]))


def _masks(walk: Walk, video: Video, bar: tqdm) -> Iterator[tuple[str, bytes]]:
    """Name and content of every mask, in order."""
    for result in walk.frames():
        bar.update()
        yield f"{video.name}/{video.stem(result.frame)}.png", encode_mask(result.ids)


def in_order(videos: Sequence[Video]) -> list[Video]:
    """The videos sorted by name, as they lie in an archive; a name that occurs twice raises `UserError`."""
    ordered = sorted(videos, key=lambda video: video.name)
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise UserError(
                f"two videos are named '{one.name}'; expected every name once in a set, for masks are stored by name. "
                "Rename one or take it out of the list"
            )
    return ordered


def copy_first(videos: Sequence[Video], out_zip: Path) -> None:
    """Write the baseline that every method has to beat: the first mask of every video for all its frames.

    In the format of `segment_set`. Frames before the first mask that shows an object are background.
    """
    write_zip(out_zip, (member for video in in_order(videos) for member in _repeated(video)))


def _repeated(video: Video) -> Iterator[tuple[str, bytes]]:
    first = min(find_given(video).files, default=video.first_mask)
    mask = video.masks[video.stem(first)]
    check_same_size(video.frames[first], mask)
    ids = read_ids(mask, video.single_object)
    before, after = encode_mask(np.zeros_like(ids)), encode_mask(ids)
    for t in range(len(video)):
        yield f"{video.name}/{video.stem(t)}.png", before if t < first else after


def _wanted(
    videos: Sequence[Video], required: Mapping[str, Collection[str]] | None
) -> dict[str, Collection[str] | None]:
    names = [video.name for video in videos]
    if required is None:
        return dict.fromkeys(names)
    for name in sorted(set(required) - set(names)):
        raise UserError(f"frames of video '{name}' are required, but the set has no such video; {suggest(name, names)}")
    return {name: required.get(name, ()) for name in names}


def keep_if_made_from(state: Path, fingerprint: str) -> None:
    """Make `state` a folder for finished videos of this fingerprint; it is emptied if it was one for another."""
    stamp = state / "fingerprint.json"
    if stamp.exists():
        with suppress(UserError):  # a damaged stamp proves nothing: start anew
            if read_json(stamp, "what finished videos were made from") == fingerprint:
                return
        shutil.rmtree(state)
    write_json(stamp, fingerprint)


def _state_files(state: Path, video: Video) -> tuple[Path, Path]:
    """The archive of a video's masks, and the report that is written when the archive is complete."""
    name = quote(video.name, safe="")
    return state / f"{name}{_ARCHIVE}", state / f"{name}{_REPORT}"


def _members(state: Path, videos: Sequence[Video]) -> Iterator[tuple[str, bytes]]:
    for video in videos:
        with zipfile.ZipFile(_state_files(state, video)[0]) as archive:
            for name in sorted(archive.namelist()):
                yield name, archive.read(name)


def _is_there(file: Path) -> bool:
    """Whether a file holds something; an empty one is what a power cut may leave."""
    return file.exists() and file.stat().st_size > 0
