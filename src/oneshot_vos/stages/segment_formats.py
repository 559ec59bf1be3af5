"""Other forms of what `segment` found, made of its masks when these are complete; and what they tell of each object."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.files import replacing_folder, write_json
from oneshot_vos.reporting.overlay_video import write_video
from oneshot_vos.sets.coco import encode_runs, pack_runs
from oneshot_vos.videos.frames import FrameSource
from oneshot_vos.videos.masks import Ids, object_ids, read_small_mask

_MOST_GAPS = 3
_log = logging.getLogger(__name__)


def log_absences(masks: Path, names: Sequence[str], ids: Sequence[int]) -> None:
    """Log for every object the frames, after it was first seen, whose masks do not show it."""
    seen = [set(object_ids(read_small_mask(masks / f"{name}.png"))) for name in names]
    for number in ids:
        gaps = list(_gaps([number in found for found in seen]))
        shown = [
            f"{names[start]} to {names[stop - 1]}" if stop < len(names) else f"{names[start]} to the end"
            for start, stop in gaps[:_MOST_GAPS]
        ]
        if gaps:
            more = f", and {len(gaps) - _MOST_GAPS} more times" if len(gaps) > _MOST_GAPS else ""
            _log.info("object %d has left: its mask is empty in frames %s%s", number, "; ".join(shown), more)


def _gaps(seen: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where runs of False after the first True start and stop."""
    first = seen.index(True) if True in seen else 0
    for shown, run in groupby(range(first, len(seen)), key=seen.__getitem__):
        times = list(run)
        if not shown:
            yield times[0], times[-1] + 1


def write_format(form: str, source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    """Write `out/<form>` beside the masks, unless it is there. form: a key of `FORMATS`."""
    name, write = FORMATS[form]
    if not (out / name).exists():
        write(source, masks, ids, out / name)
    _log.info("%s: the masks as %s", out / name, form)


def _read(source: FrameSource, masks: Path) -> Iterator[tuple[str, Ids]]:
    return ((name, read_small_mask(masks / f"{name}.png")) for name in source.names)


def _stencil(shown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return shown.astype(np.uint8) * np.uint8(255)


def _write_binary(source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    with replacing_folder(out) as folder:
        for name, mask in _read(source, masks):
            Image.fromarray(_stencil(mask > 0)).save(folder / f"{name}.png")


def _write_per_object(source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    with replacing_folder(out) as folder:
        for number in ids:
            (folder / f"{number:03}").mkdir()
        for name, mask in _read(source, masks):
            for number in ids:
                Image.fromarray(_stencil(mask == number)).save(folder / f"{number:03}/{name}.png")


def _write_rgba(source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    frames = source.read(range(len(source.names)))
    with replacing_folder(out) as folder:
        for frame, (name, mask) in zip(frames, _read(source, masks), strict=True):
            Image.fromarray(np.dstack([frame, _stencil(mask > 0)])).save(folder / f"{name}.png")


def _write_coco(source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    """Compressed run lengths; an object is a category and a track, an image is named like its frame."""
    height, width = source.size
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for t, (name, mask) in enumerate(_read(source, masks), 1):
        images.append({"id": t, "file_name": f"{name}.png", "height": height, "width": width})
        annotations += [
            {"id": len(annotations) + place, "image_id": t, **_annotation(number, mask == number)}
            for place, number in enumerate(object_ids(mask), 1)
        ]
    categories = [{"id": number, "name": str(number)} for number in ids]
    write_json(out, {"images": images, "annotations": annotations, "categories": categories})


def _annotation(number: int, shown: NDArray[np.bool_]) -> dict[str, Any]:
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "category_id": number,
        "track_id": number,
        "iscrowd": 0,
        "area": int(shown.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "segmentation": {"size": list(shown.shape), "counts": pack_runs(encode_runs(shown))},
    }


def _write_matte(source: FrameSource, masks: Path, ids: Sequence[int], out: Path) -> None:
    write_video(out, (np.dstack([_stencil(mask > 0)] * 3) for _, mask in _read(source, masks)), source.rate)


Writer = Callable[[FrameSource, Path, Sequence[int], Path], None]
FORMATS: dict[str, tuple[str, Writer]] = {
    "binary": ("binary", _write_binary),
    "per-object": ("per-object", _write_per_object),
    "rgba": ("rgba", _write_rgba),
    "coco": ("coco.json", _write_coco),
    "matte-video": ("matte.mp4", _write_matte),
}
