"""Pictures with labels: rows of panels of equal height, text beside and above them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from oneshot_vos.files import replacing

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Pixels = NDArray[np.uint8]

WHITE, BLACK, GREY, LIGHT = (255, 255, 255), (0, 0, 0), (110, 110, 110), (225, 225, 225)
_TEXT, _CAPTION, _GAP, _LINE = 14, 12, 6, 18  # pixels


@dataclass(frozen=True)
class Row:
    """Panels side by side: pictures [H, W, 3], or a text in place of a picture that cannot be drawn.

    `label` stands on the left, one line per entry; `captions`, if there are any, below the panels, one each.
    """

    label: tuple[str, ...]
    panels: tuple[Pixels | str, ...]
    captions: tuple[str, ...] = ()


def grid(title: str, rows: Sequence[Row], *, height: int, notes: Sequence[str] = ()) -> Image.Image:
    """Rows below one another under `title`, `notes` at the foot. Every picture must have `height` rows.

    Columns are as wide as their widest picture or caption; a column of texts alone is square.
    """
    widths = _column_widths(rows, height)
    margin = max((text_size(line)[0] for row in rows for line in row.label), default=0) + 2 * _GAP
    panels = sum(widths) + _GAP * len(widths)
    lines = [title, *notes]
    width = max([margin + panels, *(text_size(line)[0] + 2 * _GAP for line in lines)])
    heights = [height + (_LINE if row.captions else 0) + _GAP for row in rows]
    image = Image.new("RGB", (width, _LINE + _GAP + sum(heights) + _LINE * len(notes) + _GAP), WHITE)
    draw = ImageDraw.Draw(image)
    draw.text((_GAP, _GAP // 2), title, BLACK, font(_TEXT))
    top = _LINE + _GAP
    for row, occupied in zip(rows, heights, strict=True):
        _draw_row(image, draw, row, top, margin, widths, height)
        top += occupied
    for number, note in enumerate(notes):
        draw.text((_GAP, top + number * _LINE), note, GREY, font(_TEXT))
    return image


def _column_widths(rows: Sequence[Row], height: int) -> list[int]:
    widths = [0] * max((len(row.panels) for row in rows), default=0)
    for row in rows:
        for index, panel in enumerate(row.panels):
            picture = 0 if isinstance(panel, str) else panel.shape[1]
            caption = text_size(row.captions[index], font(_CAPTION))[0] + _GAP if row.captions else 0
            widths[index] = max(widths[index], picture, caption)
    only_texts = [
        all(isinstance(panel, str) for row in rows for panel in row.panels[i : i + 1]) for i in range(len(widths))
    ]
    return [max(width, height) if text else width for width, text in zip(widths, only_texts, strict=True)]


def _draw_row(
    image: Image.Image, draw: ImageDraw.ImageDraw, row: Row, top: int, left: int, widths: Sequence[int], height: int
) -> None:
    label_top = top + (height - _LINE * len(row.label)) // 2
    for number, line in enumerate(row.label):
        draw.text((_GAP, label_top + number * _LINE), line, BLACK, font(_TEXT))
    for index, panel in enumerate(row.panels):
        if isinstance(panel, str):
            box = (left, top, left + widths[index] - 1, top + height - 1)
            draw.rectangle(box, fill=(242, 242, 242), outline=LIGHT)
            text_width, text_height = text_size(panel)
            place = (left + (widths[index] - text_width) // 2, top + (height - text_height) // 2)
            draw.text(place, panel, GREY, font(_TEXT))
        else:
            if panel.shape[0] != height:
                raise ValueError(f"a panel has {panel.shape[0]} rows; expected {height}")
            image.paste(Image.fromarray(panel), (left, top))
        if row.captions:
            draw.text((left, top + height + 1), row.captions[index], GREY, font(_CAPTION))
        left += widths[index] + _GAP


@cache
def font(size: int) -> Font:
    """The font that comes with Pillow, `size` pixels high."""
    return ImageFont.load_default(size)


def text_size(text: str, chosen: Font | None = None) -> tuple[int, int]:
    """Width and height in pixels that `text` needs, from the place where it is drawn."""
    _, _, right, bottom = (chosen or font(_TEXT)).getbbox(text)
    return int(np.ceil(right)), int(np.ceil(bottom))


def save_png(path: Path, image: Image.Image) -> None:
    """Write `image` atomically; the bytes depend on the pixels alone."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
