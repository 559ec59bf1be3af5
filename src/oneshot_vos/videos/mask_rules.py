"""What the masks of one video have to agree in, so that an id means one object in all of them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import decoding, open_image
from oneshot_vos.videos.label_map import LABEL_MAP, Color, read_label_map
from oneshot_vos.videos.masks import (
    DAVIS_COLORS,
    VOID,
    MaskReading,
    flat_ids,
    inspect_mask,
    mostly_thin,
    object_ids,
    require_same_colors,
)

_BLACK = (0, 0, 0)


@dataclass
class MaskRules:
    """Looks at the masks of a video one after the other.

    single_object: all ids above 0 are one object, so that neither their numbers nor their colours matter. border:
    the masks in which 255 may be a border to ignore, as in the protocol of DAVIS: "none" where all are given to a
    network, "later" ones where the first alone is, "all" where they are only compared with.
    """

    single_object: bool = False
    border: Literal["none", "later", "all"] = "none"
    _colors: dict[int, tuple[Color, Path]] = field(default_factory=dict)
    _shows_255: dict[bool, Path] = field(default_factory=dict)  # a mask that does, and one that does not
    _counted: dict[bool, Path] = field(default_factory=dict)  # a mask whose ids are ranks of colours, and one of ids
    _first: Path | None = None

    def read(self, path: Path) -> MaskReading:
        """The mask, looked at.

        Raises `UserError` where ids do not mean what they say: a border to ignore that would become an object, a colour
        in the place of the background, an id of another colour than in the masks before, a palette out of order. Warns
        of a first mask that has no background at all.
        """
        reading = inspect_mask(path)
        if self.single_object:
            return reading
        ids = object_ids(reading.ids)
        colors = reading.colors if reading.colors is not None else _palette_colors(path, ids)
        self._require_background(path, reading)
        if self._first is None:
            _warn_of_inverted(path, reading, ids)
        if self.border == "none" or (self.border == "later" and self._first is None):
            self._require_no_border(path, ids)
        if reading.colors is None:
            _require_palette_in_order(path, reading, colors)
            _require_palette_of_labels(path, colors)
            _require_no_blends(path, reading, colors)
        require_same_colors(self._colors, colors, path)
        self._require_one_count(path, reading, colors)
        if ids:
            self._first = self._first or path
        return reading

    def _require_background(self, path: Path, reading: MaskReading) -> None:
        if bool((reading.ids == 0).any()):
            return
        if reading.colors is not None and not set(reading.colors.values()) <= DAVIS_COLORS.keys():
            raise UserError(
                f"{path}: no pixel is background: no colour of this RGB mask is black, so its background would become "
                "an object; expected black around the objects. Make it black, or put the labelmap.txt of the export, "
                "with a line 'background:R,G,B::', beside the folder of masks"
            )
        if self._first is None:
            warnings.warn(f"{path}: no pixel is background (0); the objects fill the frame", stacklevel=3)

    def _require_no_border(self, path: Path, ids: list[int]) -> None:
        """255 alone in all masks, or after all the others, is an object; beside few ids it is a border to ignore."""
        if not ids or len(ids) >= VOID // 2:
            return
        if VOID in ids and len(ids) > 1:
            raise UserError(
                f"{path}: value {VOID} beside the ids {[number for number in ids if number != VOID]}: a border to "
                "ignore, which would become an object; expected ids counted from 1. Set it to 0, or give an object "
                "another number"
            )
        self._shows_255.setdefault(VOID in ids, path)
        if len(self._shows_255) > 1:
            raise UserError(
                f"{self._shows_255[True]}: value {VOID}, which {self._shows_255[False]} of the same video has not: a "
                "border to ignore, or an object that has two values; expected one value per object in all masks. Set a "
                "border to 0, and save the masks in one way"
            )

    def _require_one_count(self, path: Path, reading: MaskReading, colors: Mapping[int, Color]) -> None:
        """Refuse colours that were numbered in their own order beside masks of ids, which no colour tells apart."""
        counted_ids = reading.colors is None and not colors and bool(reading.ids.any())
        if counted_ids or counts_colors(reading, path):
            self._counted.setdefault(reading.colors is not None, path)
        if len(self._counted) > 1:
            raise UserError(
                f"{self._counted[True]}: a mask of colours, and {self._counted[False]} is one of ids: which colour is "
                "which id is not said; expected one form for all masks of a video. Save them with one palette, or as "
                "grey PNG files of ids"
            )


def counts_colors(reading: MaskReading, path: Path) -> bool:
    """Whether a mask has several colours, numbered in their own order since neither DAVIS nor a label map has them."""
    colors = reading.colors or {}
    return len(colors) > 1 and not set(colors.values()) <= DAVIS_COLORS.keys() and not read_label_map(path)


def _warn_of_inverted(path: Path, reading: MaskReading, ids: list[int]) -> None:
    """Say where the only object is all around the background, as where black is drawn on white."""
    corners = reading.ids[:: max(1, reading.ids.shape[0] - 1), :: max(1, reading.ids.shape[1] - 1)]
    share = np.count_nonzero(reading.ids) / reading.ids.size
    if len(ids) == 1 and 0.5 < share < 1 and corners.all():
        warnings.warn(
            f"{path}: object {ids[0]} has all four corners and {share:.0%} of the frame: if the mask is inverted, with "
            "black objects on white, invert it, since black is background",
            stacklevel=4,
        )


def _palette_colors(path: Path, ids: list[int]) -> dict[int, Color]:
    """The colours that a palette gives to 0 and the ids; empty for a mask without one."""
    with decoding(path, "a mask as PNG file"), open_image(path, path) as image:
        palette = image.getpalette("RGB") if image.mode == "P" else None
    if palette is None:
        return {}
    colors = list(zip(palette[::3], palette[1::3], palette[2::3], strict=True))
    return {number: colors[number] for number in (0, *ids) if number < len(colors)}


def _require_palette_in_order(path: Path, reading: MaskReading, colors: dict[int, Color]) -> None:
    """Refuse a palette whose order a program has changed: black is background, and not at index 0."""
    black = [number for number, color in colors.items() if color == _BLACK and number]
    if black and colors[0] != _BLACK:
        raise UserError(
            f"{path}: index {black[0]} of the palette is black and index 0, the background, is {colors[0]}: a program "
            "has reordered the palette, and ids are its indices; expected black at index 0. Save the mask again with "
            "the palette it had, or as a grey PNG file of ids"
        )
    standard = {number: DAVIS_COLORS[color] for number, color in colors.items() if number and color in DAVIS_COLORS}
    moved = {number: meant for number, meant in standard.items() if number != meant}
    if moved and len(standard) == len(object_ids(reading.ids)) and sorted(standard.values()) == sorted(standard):
        number, meant = next(iter(moved.items()))
        raise UserError(
            f"{path}: index {number} of the palette has the colour that DAVIS gives to object {meant}, and the other "
            "way round: a program has reordered the palette, and ids are its indices; expected the order of DAVIS. "
            "Save the mask again with the palette it had"
        )


def _require_palette_of_labels(path: Path, colors: Mapping[int, Color]) -> None:
    """Refuse a palette with the colours of a label map beside it, in another order than the map has."""
    labels = read_label_map(path) if colors else {}
    moved = {number: labels[color] for number, color in colors.items() if labels.get(color, number) != number}
    if moved and all(color in labels for color in colors.values()):
        number, meant = next(iter(moved.items()))
        raise UserError(
            f"{path}: index {number} of the palette is {colors[number]}, which {LABEL_MAP} counts as {meant}: "
            f"a program has made a palette of the colours; expected both to agree. Save the mask as RGB, or take "
            f"{LABEL_MAP} away if it belongs to other masks"
        )


def _require_no_blends(path: Path, reading: MaskReading, colors: Mapping[int, Color]) -> None:
    """Refuse a palette of the colours at soft edges, as programs make it that reduce the colours of a picture."""
    if all(DAVIS_COLORS.get(color) == number for number, color in colors.items()):
        return  # a palette that means ids, of objects as thin as may be
    ids = np.array(sorted(colors))
    if mostly_thin(ids, ids[:1]) and mostly_thin(ids, flat_ids(reading.ids)):
        raise UserError(
            f"{path}: {len(ids) - 1} ids, of which nearly all form no area: an anti-aliased mask made a "
            "palette; expected one value per object. Export the mask without anti-aliasing"
        )
