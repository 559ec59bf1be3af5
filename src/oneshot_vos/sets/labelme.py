"""Masks from labelme: a .json per frame, whose shapes are filled with the ids of their labels."""

import base64
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import frame_name
from oneshot_vos.videos.images import require_pixels
from oneshot_vos.videos.masks import LARGEST_ID, Ids, decode_mask

FARTHEST = 1e6  # pixels from the image's corner
_BACKGROUND = frozenset({"_background_", "background", "__ignore__"})
_log = logging.getLogger(__name__)

Key = tuple[str, int | None]  # label and group


def is_labelme(content: Any) -> bool:
    """Whether a JSON value has the fields of a file of labelme."""
    return isinstance(content, Mapping) and isinstance(content.get("shapes"), list)


def read_labelme(contents: Mapping[Path, Any]) -> Iterator[tuple[str, Ids]]:
    """Frame names, which are those of the files, and their masks [H, W]; later shapes lie on top of earlier ones.

    contents: files in time order and what they hold. An object is a label, or a label and its group where there are
    groups. Labels that are numbers are the ids; others are counted from 1 as they appear in the video, which is logged.
    Shapes: polygon, rectangle, circle and mask; others have no area and raise `UserError`, as do missing fields.
    """
    try:
        keys = list(dict.fromkeys(_key(shape) for content in contents.values() for shape in _objects(content)))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{next(iter(contents))}: shapes without a label ({error!r}); expected a file of labelme"
        ) from error
    _require_one_spelling(next(iter(contents)).parent, keys)
    numbers = _numbers(keys)
    if any(label != str(number) for (label, _), number in numbers.items()):
        listed = ", ".join(f"{_shown(key)} = {number}" for key, number in numbers.items())
        _log.info("%s: objects by label: %s", next(iter(contents)).parent, listed)
    for file, content in contents.items():
        try:
            yield frame_name(file), _draw(file, content, numbers)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"{file}: incomplete ({error!r}); expected a file of labelme. Save it there again"
            ) from error


def _require_one_spelling(folder: Path, keys: list[Key]) -> None:
    """Refuse labels that differ in case or blanks alone: of one object, it seems, and they would become two."""
    known: dict[Key, str] = {}
    for label, group in keys:
        other = known.setdefault((label.strip().casefold(), group), label)
        if other != label:
            raise UserError(
                f"{folder}: the labels '{other}' and '{label}' would be two objects; expected one spelling of each. "
                "Rename one of the two in labelme, to another word if they are two"
            )


def _objects(content: Any) -> list[Any]:
    return [shape for shape in content["shapes"] if shape["label"] not in _BACKGROUND]


def _key(shape: Any) -> Key:
    return str(shape["label"]), shape.get("group_id")


def _shown(key: Key) -> str:
    return key[0] if key[1] is None else f"{key[0]} (group {key[1]})"


def _numbers(keys: list[Key]) -> dict[Key, int]:
    if all(label.isdecimal() and 0 < int(label) <= LARGEST_ID and group is None for label, group in keys):
        return {key: int(key[0]) for key in keys}
    return {key: number for number, key in enumerate(keys, 1)}


def _draw(file: Path, content: Any, numbers: Mapping[Key, int]) -> Ids:
    height, width = int(content["imageHeight"]), int(content["imageWidth"])
    canvas = blank(file, height, width)
    for shape in _objects(content):
        _fill(file, canvas, shape, numbers[_key(shape)])
        if not (np.asarray(canvas) == numbers[_key(shape)]).any():
            raise UserError(
                f"{file}: a shape labelled {shape['label']} has no pixel in the image of {width}x{height}; expected a "
                "mask. Draw it, or delete it"
            )
    return np.asarray(canvas).astype(np.uint16)


def blank(file: Path, height: int, width: int) -> Image.Image:
    """A canvas for ids; `UserError` for sizes that no frame has."""
    if height < 1 or width < 1:
        raise UserError(f"{file}: an image of {width}x{height} pixels; expected at least one. Export it again")
    require_pixels(file, width, height)
    return Image.new("I", (width, height))


def _fill(file: Path, canvas: Image.Image, shape: Any, number: int) -> None:
    kind, points = shape.get("shape_type") or "polygon", [(float(x), float(y)) for x, y in shape["points"]]
    if not all(abs(value) <= FARTHEST for point in points for value in point):  # NaN is not, either
        raise ValueError("a point far outside the image")
    draw = ImageDraw.Draw(canvas)
    if kind == "polygon" and len(points) > 2:
        draw.polygon(points, fill=number, outline=number)
    elif kind == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(values) for values in zip(*points, strict=True))
        draw.rectangle((left, top, right, bottom), fill=number, outline=number)
    elif kind == "circle" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = ((x - edge_x) ** 2 + (y - edge_y) ** 2) ** 0.5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=number, outline=number)
    elif kind == "mask":
        filled = decode_mask(base64.b64decode(shape["mask"]), file).ids > 0
        stencil = Image.fromarray(filled.astype(np.uint8) * np.uint8(255))
        canvas.paste(number, (round(points[0][0]), round(points[0][1])), stencil)
    else:
        raise UserError(
            f"{file}: a shape '{kind}' of {len(points)} points, labelled {shape['label']}, has no area; expected "
            "polygon, rectangle, circle or mask. Draw it anew, or delete it"
        )
