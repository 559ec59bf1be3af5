"""The archive that a benchmark's server takes: `<video>/<frame>.png` for the required frames alone.

The servers of YouTube-VOS and LVOS want the videos in a folder `Annotations`; those of DAVIS (test-dev) and MOSE do
not.

The server says little about what it does not like, so an archive is checked against the whole format before it gets
its name.
"""

import io
import logging
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.files import replacing, sha256_of, write_zip
from oneshot_vos.videos.frame_files import natural_key
from oneshot_vos.videos.images import frame_size, open_image
from oneshot_vos.videos.masks import inspect_mask, object_ids
from oneshot_vos.videos.objects import ObjectVideo, YouTubeSet
from oneshot_vos.videos.problems import Problems

_log = logging.getLogger(__name__)
_IN_FOLDER = "Annotations/"
_BARE = {"davis": "DAVIS", "mose": "MOSE"}  # servers, by the split of the set, that want no folder above the videos
_COLOURS = 256
_DEPTH_BYTE = 24  # of a PNG file: bits of a palette index


def write_server_zip(dataset: YouTubeSet, masks: Path, out: Path) -> None:
    """Pack the required frames of `masks` (zip or folder of `<video>/<stem>.png`, as `infer` writes it) into `out`.

    The files go in as they are. `out` appears only when the archive has passed `check_server_zip`; an older one is
    left alone until then. Equal masks give equal bytes. Logs how much is in it, and its SHA-256. Raises `UserError` for
    a missing mask and for all that is wrong with the masks.
    """
    ordered, top = _layout(dataset)
    with Predictions(masks) as opened:
        for video in ordered:
            opened.require(video.name, video.required)
        with replacing(out) as temporary:
            wanted = ((video.name, stem) for video in ordered for stem in video.required)
            write_zip(temporary, ((f"{top}{name}/{stem}.png", opened.read(name, stem)) for name, stem in wanted))
            _require(temporary, ordered, top, f"{masks} (masks to hand in as {out.name}, which was not written)")
    frames = sum(len(video.required) for video in ordered)
    _log.info("%s: %d videos, %d masks, SHA-256 %s", out, len(ordered), frames, sha256_of(out))


def check_server_zip(path: Path, dataset: YouTubeSet) -> None:
    """Raise one `UserError` for all by which an archive differs from what the server expects for this set.

    Names: `<video>/<stem>.png`, in a folder `Annotations` where the server wants one, nothing else, every required
    frame once. Masks: 8-bit palette PNG of the size of the original frame, with no id but 0 and those that a mask of
    the set shows at this frame or before.
    """
    server = _BARE.get(dataset.split, "LVOS" if dataset.split == "lvos" else "YouTube-VOS")
    _require(path, *_layout(dataset), f"{path} (archive for the {server} server)")


def _layout(dataset: YouTubeSet) -> tuple[list[ObjectVideo], str]:
    """The videos in the order of the archive, and what stands before them in its names."""
    return sorted(dataset.videos, key=lambda video: video.name), "" if dataset.split in _BARE else _IN_FOLDER


def _require(path: Path, videos: Sequence[ObjectVideo], top: str, title: str) -> None:
    problems = Problems()
    for finding in _problems(path, videos, top):
        problems.add(finding)
    problems.raise_errors(title)


def _problems(path: Path, videos: Sequence[ObjectVideo], top: str) -> Iterator[str]:
    """Everything that is wrong with the archive, a line each."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        yield f"not readable as a zip archive ({error}); expected members {top}<video>/<frame>.png"
        return
    with archive:
        names = Counter(name for name in archive.namelist() if not name.endswith("/"))
        expected = {f"{top}{video.name}/{stem}.png" for video in videos for stem in video.required}
        missing, strange = sorted(expected - names.keys()), sorted(names.keys() - expected)
        yield from (f"{name} is missing; expected every frame that is scored" for name in missing)
        yield from (
            f"{name} does not belong there; expected {top}<video>/<frame>.png for the frames that are scored, "
            "and nothing else"
            for name in strange
        )
        yield from (f"{name} is there {count} times; expected once" for name, count in names.items() if count > 1)
        for video in videos:
            begins = _first_shown(video)
            for stem in video.required:
                name = f"{top}{video.name}/{stem}.png"
                begun = [number for number, first in begins.items() if natural_key(first) <= natural_key(stem)]
                if name in names:
                    findings = _mask_problems(archive, name, video.originals[stem], sorted(begun))
                    yield from (f"{name}: {finding}" for finding in findings)


def _first_shown(video: ObjectVideo) -> dict[int, str]:
    """Object id to the stem of the first mask that shows it, whatever `meta.json` says: that is where it is given."""
    found: dict[int, str] = {}
    for stem in sorted(video.video.masks, key=natural_key):
        for number in object_ids(inspect_mask(video.video.masks[stem]).ids):
            found.setdefault(number, stem)
    return found


def _mask_problems(archive: zipfile.ZipFile, name: str, original: Path, begun: list[int]) -> Iterator[str]:
    """What is wrong with one mask: `original` is its frame, `begun` the ids that it may show."""
    try:
        content = archive.read(name)
        with open_image(io.BytesIO(content), Path(name)) as image:
            kind, mode, size, ids = image.format, image.mode, (image.height, image.width), np.asarray(image)
    except (OSError, SyntaxError, ValueError, zipfile.BadZipFile, UserError) as error:
        yield f"damaged ({error}); expected an 8-bit palette PNG"
        return
    depth = content[_DEPTH_BYTE]
    if kind != "PNG" or mode != "P" or depth != 8:
        hint = " (ids above 255 cannot be handed in)" if mode.startswith("I") else ""
        yield f"a {kind} image of mode {mode} with {depth} bits; expected an 8-bit palette PNG{hint}"
        return
    wanted = frame_size(original)
    if size != wanted:
        yield (
            f"{size[1]}x{size[0]} pixels, but the frame {original} has {wanted[1]}x{wanted[0]}; expected "
            "the size of the original"
        )
    present = np.flatnonzero(np.bincount(ids.ravel(), minlength=_COLOURS)).tolist()
    strange = sorted(set(present) - {0, *begun})
    if strange:
        yield f"object ids {strange}; expected 0 and those of the objects that have begun, {begun}"
