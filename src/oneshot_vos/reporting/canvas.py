"""Pictures with labels: rows of panels of equal height, text beside and above them."""

import time
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
DPI = 300  # of figures for print
_TEXT, _CAPTION, _GAP, _LINE = 14, 12, 6, 18  # pixels


@dataclass(frozen=True)
class Row:
    """Panels side by side: pictures [H, W, 3], or a text in place of a picture that cannot be drawn.

    `label` stands on the left, one line per entry; `captions`, if there are any, below the panels, one each; `corners`,
    likewise, in the lower right corner of the pictures.
    """

    label: tuple[str, ...]
    panels: tuple[Pixels | str, ...]
    captions: tuple[str, ...] = ()
    corners: tuple[str, ...] = ()


def grid(title: str, rows: Sequence[Row], *, height: int, notes: Sequence[str] = (), scale: int = 1) -> Image.Image:
    """Rows below one another under `title`, `notes` at the foot. Every picture must have `height` rows.

    Columns are as wide as their widest picture or caption; a column of texts alone is square. scale: of texts and gaps.
    """
    return _Grid(height, scale).draw(title, rows, notes)


class _Grid:
    """Sizes in pixels of one picture, and how its parts are drawn."""

    def __init__(self, height: int, scale: int) -> None:
        self._height, self._gap, self._line = height, _GAP * scale, _LINE * scale
        self._text, self._caption = font(_TEXT * scale), font(_CAPTION * scale)

    def draw(self, title: str, rows: Sequence[Row], notes: Sequence[str]) -> Image.Image:
        gap, line, widths = self._gap, self._line, self._column_widths(rows)
        margin = max((text_size(text, self._text)[0] for row in rows for text in row.label), default=0) + 2 * gap
        panels = sum(widths) + gap * len(widths)
        width = max([margin + panels, *(text_size(text, self._text)[0] + 2 * gap for text in (title, *notes))])
        heights = [self._height + (line if row.captions else 0) + gap for row in rows]
        image = Image.new("RGB", (width, line + gap + sum(heights) + line * len(notes) + gap), WHITE)
        draw = ImageDraw.Draw(image)
        draw.text((gap, gap // 2), title, BLACK, self._text)
        top = line + gap
        for row, occupied in zip(rows, heights, strict=True):
            self._draw_row(image, draw, row, top, margin, widths)
            top += occupied
        for number, note in enumerate(notes):
            draw.text((gap, top + number * line), note, GREY, self._text)
        return image

    def _column_widths(self, rows: Sequence[Row]) -> list[int]:
        widths = [0] * max((len(row.panels) for row in rows), default=0)
        for row in rows:
            for index, panel in enumerate(row.panels):
                picture = 0 if isinstance(panel, str) else panel.shape[1]
                caption = text_size(row.captions[index], self._caption)[0] + self._gap if row.captions else 0
                widths[index] = max(widths[index], picture, caption)
        only_texts = [
            all(isinstance(panel, str) for row in rows for panel in row.panels[i : i + 1]) for i in range(len(widths))
        ]
        return [max(width, self._height) if text else width for width, text in zip(widths, only_texts, strict=True)]

    def _draw_row(
        self, image: Image.Image, draw: ImageDraw.ImageDraw, row: Row, top: int, left: int, widths: Sequence[int]
    ) -> None:
        height = self._height
        label_top = top + (height - self._line * len(row.label)) // 2
        for number, line in enumerate(row.label):
            draw.text((self._gap, label_top + number * self._line), line, BLACK, self._text)
        for index, panel in enumerate(row.panels):
            if isinstance(panel, str):
                self._draw_words(draw, panel, (left, top, left + widths[index] - 1, top + height - 1))
            else:
                if panel.shape[0] != height:
                    raise ValueError(f"a panel has {panel.shape[0]} rows; expected {height}")
                image.paste(Image.fromarray(panel), (left, top))
                if row.corners and row.corners[index]:
                    self._draw_corner(draw, row.corners[index], left + panel.shape[1], top + height)
            if row.captions:
                draw.text((left, top + height + 1), row.captions[index], GREY, self._caption)
            left += widths[index] + self._gap

    def _draw_words(self, draw: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int]) -> None:
        """A text in the place of a picture."""
        draw.rectangle(box, fill=(242, 242, 242), outline=LIGHT)
        width, height = text_size(text, self._text)
        draw.text(((box[0] + box[2] + 1 - width) // 2, (box[1] + box[3] + 1 - height) // 2), text, GREY, self._text)

    def _draw_corner(self, draw: ImageDraw.ImageDraw, text: str, right: int, bottom: int) -> None:
        """A text in the lower right corner of a picture, which ends at `right` and `bottom`."""
        width, height = text_size(text, self._caption)
        pad = self._gap // 2
        draw.rectangle((right - width - 2 * pad, bottom - height - 2 * pad, right - 1, bottom - 1), fill=BLACK)
        draw.text((right - width - pad, bottom - height - pad), text, WHITE, self._caption)


def spaced(count: int, wanted: int) -> list[int]:
    """`wanted` indices spread evenly over 0 … count - 1, both ends among them; all of them if there are fewer."""
    if count <= wanted:
        return list(range(count))
    return [0] if wanted == 1 else [round(index * (count - 1) / (wanted - 1)) for index in range(wanted)]


@cache
def font(size: int) -> Font:
    """The font that comes with Pillow, `size` pixels high."""
    return ImageFont.load_default(size)


def text_size(text: str, chosen: Font) -> tuple[int, int]:
    """Width and height in pixels that `text` needs, from the place where it is drawn."""
    _, _, right, bottom = chosen.getbbox(text)
    return int(np.ceil(right)), int(np.ceil(bottom))


def save_png(path: Path, image: Image.Image) -> None:
    """Write `image` atomically; the bytes depend on the pixels alone."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", dpi=(DPI, DPI))


def save_jpeg(path: Path, picture: Pixels) -> None:
    """Write a picture [H, W, 3]; the bytes depend on the pixels alone.

    Not atomic: hundreds of them go into a folder that takes its place as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path, format="JPEG", quality=80, optimize=True)


def save_pdf(path: Path, image: Image.Image) -> None:
    """Write `image` as a page of its size at `DPI` dots per inch, atomically; the bytes depend on the pixels alone."""
    made = time.gmtime(0)
    with replacing(path) as temporary:
        image.save(
            temporary, format="PDF", resolution=DPI, quality=95, title=path.stem, creationDate=made, modDate=made
        )
