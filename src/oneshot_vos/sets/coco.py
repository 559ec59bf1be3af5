"""Masks in COCO's .json: polygons and run lengths per object and image, read and written.

Run lengths are counted down the columns, beginning with background; the compressed form packs each, less the one two
before it from the fourth on, into characters of five bits and a sign to go on, from `0` (48).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labelme import FARTHEST, blank
from oneshot_vos.videos.frame_files import frame_name
from oneshot_vos.videos.masks import Ids

_TRACK_KEYS = ("track_id", "instance_id", "object_id")
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
_log = logging.getLogger(__name__)

Key = tuple[str, Any]  # what tells objects apart, and its value


def is_coco(content: Any) -> bool:
    """Whether a JSON value has the fields of COCO."""
    return isinstance(content, Mapping) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read_coco(file: Path, content: Any) -> dict[str, Callable[[], Iterator[tuple[str, Ids]]]]:
    """By video, the folder in `file_name`, a function that gives frame names and masks [H, W], in the order of names.

    An object has one `track_id` (of the annotation, or among its `attributes` as CVAT writes it); without any, a
    category is an object if no image has two of it, and annotations are numbered if the video has one image. Ids count
    from 1 in the order of these numbers; a lower id lies on top. Raises `UserError` for anything else.
    """
    try:
        images = {image["id"]: image for image in content["images"]}
        if len(images) < len(content["images"]):
            raise UserError(f"{file}: several images have one id; expected each id once. Export the file again")
        names = {category["id"]: category["name"] for category in content.get("categories", [])}
        videos: dict[str, dict[Any, list[Any]]] = {}
        for annotation in content["annotations"]:
            video = _path(images[annotation["image_id"]]).parent.name
            videos.setdefault(video, {}).setdefault(annotation["image_id"], []).append(annotation)
    except _MALFORMED as error:
        raise UserError(f"{file}: incomplete ({error!r}); expected a COCO file. Export it again") from error
    if not videos:
        raise UserError(f"{file}: no annotation in it; expected masks. Draw one")
    return {video: partial(_masks, file, images, found, names) for video, found in videos.items()}


def _masks(
    file: Path, images: Mapping[Any, Any], found: Mapping[Any, list[Any]], names: Mapping[Any, str]
) -> Iterator[tuple[str, Ids]]:
    try:
        key_of = _objects_by(file, found)
        keys = sorted({key_of(each) for annotations in found.values() for each in annotations})
        numbers = {key: number for number, key in enumerate(keys, 1)}
        listed = ", ".join(
            f"{kind} {names.get(value, value) if kind == 'category' else value} = {number}"
            for (kind, value), number in numbers.items()
        )
        _log.info("%s: objects by %s", file, listed)
        for image_id, annotations in sorted(found.items(), key=lambda item: images[item[0]]["file_name"]):
            image = images[image_id]
            ids = np.asarray(blank(file, int(image["height"]), int(image["width"]))).astype(np.uint16)
            for annotation in sorted(annotations, key=lambda each: -numbers[key_of(each)]):
                segmentation = annotation.get("segmentation") or []
                inside = _decode(file, segmentation, ids.shape)
                if not inside.any() and not isinstance(segmentation, Mapping):  # runs say so themselves
                    raise UserError(
                        f"{file}: annotation {annotation['id']} of image {image['file_name']} has no pixel in the "
                        "image; expected a mask. Draw it, or delete it: a box alone is none"
                    )
                ids[inside] = numbers[key_of(annotation)]
            yield frame_name(_path(image)), ids
    except _MALFORMED as error:
        raise UserError(f"{file}: incomplete ({error!r}); expected a COCO file. Export it again") from error


def _path(image: Mapping[str, Any]) -> PurePosixPath:
    return PurePosixPath(image["file_name"].replace("\\", "/"))


def _objects_by(file: Path, found: Mapping[Any, list[Any]]) -> Callable[[Any], Key]:
    """What tells the objects of a video apart."""
    annotations = [each for group in found.values() for each in group]
    for key in _TRACK_KEYS:
        if all(_track(each, key) is not None for each in annotations):
            return lambda each: (key, _track(each, key))
    if all(len({each["category_id"] for each in group}) == len(group) for group in found.values()):
        return lambda each: ("category", each["category_id"])
    if len(found) == 1:
        return lambda each: ("annotation", each["id"])
    raise UserError(
        f"{file}: several objects of one category in an image, and no 'track_id' says which is which in the next; "
        "expected one. Export tracks, give each object a category of its own, or give one labelled frame"
    )


def _track(annotation: Any, key: str) -> Any:
    return annotation.get(key, (annotation.get("attributes") or {}).get(key))


def _decode(file: Path, segmentation: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Polygons as flat lists of x and y, or run lengths, as bool [H, W]."""
    if isinstance(segmentation, Mapping):
        if tuple(segmentation["size"]) != shape:
            raise ValueError(f"run lengths of size {segmentation['size']} in an image of {list(shape)}")
        counts = segmentation["counts"]
        return decode_runs(unpack_runs(counts) if isinstance(counts, str) else counts, *shape[:2])
    inside = np.zeros(shape, np.bool_)
    for polygon in segmentation:
        inside |= fill_polygon(polygon, *shape[:2])
    return inside


def fill_polygon(polygon: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """Bool [H, W]: the pixels whose centres lie in a polygon, a flat list of x and y; corners of pixels are whole."""
    inside = np.zeros((height, width), np.bool_)
    start = np.asarray(polygon, np.float64).reshape(-1, 2)
    if len(start) < 3 or not (np.abs(start) <= FARTHEST).all():  # NaN is not, either
        raise ValueError(f"a polygon of {len(start)} points, or with one far outside the image")
    end = np.roll(start, -1, axis=0)
    for row in range(max(0, int(start[:, 1].min())), min(height, int(start[:, 1].max()) + 1)):
        middle = row + 0.5
        crosses = (start[:, 1] <= middle) != (end[:, 1] <= middle)
        (x, y), (to_x, to_y) = start[crosses].T, end[crosses].T
        borders = np.ceil(np.sort(x + (middle - y) * (to_x - x) / (to_y - y)) - 0.5).clip(0, width).astype(int)
        for left, right in borders.reshape(-1, 2).tolist():
            inside[row, left:right] = True
    return inside


def decode_runs(counts: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Bool [H, W] from run lengths; `ValueError` unless they fill the image."""
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths that do not fill an image of {width}x{height} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def encode_runs(mask: NDArray[np.bool_]) -> list[int]:
    """The run lengths of a mask [H, W]."""
    flat = np.concatenate([[False], mask.T.ravel()])
    places = np.flatnonzero(np.diff(flat.astype(np.int8)))
    return [int(run) for run in np.diff([0, *places.tolist(), mask.size])]


def unpack_runs(text: str) -> list[int]:
    """Run lengths from the compressed form."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text.encode("ascii"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("run lengths with characters of no meaning")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("run lengths that end in the middle of a number")
    return runs


def pack_runs(runs: Iterable[int]) -> str:
    """The compressed form of run lengths."""
    characters = bytearray()
    known = list(runs)
    for place, run in enumerate(known):
        value = run - (known[place - 2] if place > 2 else 0)
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            characters.append(48 + (bits | 32 * more))
    return characters.decode("ascii")
