"""Line plots with Pillow alone, drawn large and scaled down, so that equal values give equal pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, hypot, log10

from PIL import Image, ImageDraw

from oneshot_vos.reporting.canvas import BLACK, GREY, LIGHT, WHITE, Colour, font, text_size
from oneshot_vos.reporting.text import NOT_RUN

_SCALE = 3  # drawn this much larger, against jagged lines
_WIDTH, _HEIGHT = 520, 300  # of the axes of a panel, in pixels of the result
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 34, 46  # around the axes
_LEGEND_LINE = 17
_DASH = 7.0


@dataclass(frozen=True)
class Line:
    """One line: `xs` rising, `ys` as many; a single point is drawn as a dot."""

    label: str
    xs: Sequence[int]
    ys: Sequence[float]
    colour: Colour
    dashed: bool = False


@dataclass(frozen=True)
class _Axes:
    """Where values lie in pixels of the result; the axes begin at the left with `x0`."""

    x0: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (bottom, top) = self.x_range, self.y_range
        width, height = (x - left) / (right - left), 1 - (y - bottom) / (top - bottom)
        return self.x0 + _WIDTH * width, _TOP + _HEIGHT * height


def draw_panels(panels: Mapping[str, Sequence[Line]], y_title: str) -> Image.Image:
    """Lines over iterations by the title of their panel: side by side, with common y axes and a legend below each."""
    legend = max(map(len, panels.values()), default=0) * _LEGEND_LINE
    size = (max(1, len(panels)) * (_LEFT + _WIDTH + _RIGHT), _TOP + _HEIGHT + _BOTTOM + legend + 8)
    image = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), WHITE)
    draw = ImageDraw.Draw(image)
    y_range = _range([y for lines in panels.values() for line in lines for y in line.ys])
    for index, (title, lines) in enumerate(panels.items()):
        longest = max((x for line in lines for x in line.xs), default=1)
        axes = _Axes(index * (_LEFT + _WIDTH + _RIGHT) + _LEFT, (0.0, float(longest) or 1.0), y_range)
        _draw_frame(draw, axes, title, y_title)
        if not lines:
            _text(draw, (axes.x0 + _WIDTH / 2, _TOP + _HEIGHT / 2), NOT_RUN, GREY, "mm")
        for number, line in enumerate(lines):
            _draw_line(draw, [axes.place(x, y) for x, y in zip(line.xs, line.ys, strict=True)], line)
            _draw_legend(draw, axes, number, line)
    return image.resize(size, Image.Resampling.BOX)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) within [low, high], at most `most` of them."""
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if (high - low) / (factor * power) <= most - 1)
    return [number * step for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Limits a little beyond the values, at multiples of 5; 0 to 100 where there are none."""
    if not values:
        return (0.0, 100.0)
    low, high = 5.0 * floor(min(values) / 5), 5.0 * ceil(max(values) / 5)
    return (low, high if high > low else low + 5.0)


def _draw_frame(draw: ImageDraw.ImageDraw, axes: _Axes, title: str, y_title: str) -> None:
    for value in ticks(*axes.y_range):
        left, y = axes.place(axes.x_range[0], value)
        draw.line(_scaled([(left, y), (left + _WIDTH, y)]), LIGHT, _SCALE)
        _text(draw, (left - 6, y), f"{value:g}", BLACK, "rm")
    for value in ticks(*axes.x_range) if axes.x_range[1] >= 5 else ():  # iterations are whole numbers
        x, bottom = axes.place(value, axes.y_range[0])
        draw.line(_scaled([(x, bottom), (x, bottom + 4)]), BLACK, _SCALE)
        _text(draw, (x, bottom + 7), f"{value:.0f}", BLACK, "mt")
    corners = [(axes.x0, _TOP), (axes.x0, _TOP + _HEIGHT), (axes.x0 + _WIDTH, _TOP + _HEIGHT)]
    draw.line(_scaled(corners), BLACK, _SCALE)
    _text(draw, (axes.x0, _TOP - 24), title, BLACK, "lt")
    _text(draw, (axes.x0 + _WIDTH, _TOP - 24), y_title, GREY, "rt")
    _text(draw, (axes.x0 + _WIDTH / 2, _TOP + _HEIGHT + 24), "iteration", GREY, "mt")


def _draw_line(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], line: Line) -> None:
    parts = _dashes(points) if line.dashed else [list(points)]
    for part in parts:
        if len(part) > 1:
            draw.line(_scaled(part), line.colour, 2 * _SCALE, joint="curve")
    for x, y in points:
        draw.ellipse(_scaled([(x - 2.5, y - 2.5), (x + 2.5, y + 2.5)]), line.colour)


def _dashes(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The polyline cut into dashes and gaps of `_DASH` pixels; only the dashes."""
    parts, walked = [], 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = hypot(x1 - x0, y1 - y0)
        start = -(walked % (2 * _DASH))  # where the pattern begins, seen from this piece
        while start < length:
            ends = max(0.0, start), min(length, start + _DASH)
            if ends[1] > ends[0]:
                parts.append([(x0 + (x1 - x0) * at / length, y0 + (y1 - y0) * at / length) for at in ends])
            start += 2 * _DASH
        walked += length
    return parts


def _draw_legend(draw: ImageDraw.ImageDraw, axes: _Axes, number: int, line: Line) -> None:
    y = _TOP + _HEIGHT + _BOTTOM + number * _LEGEND_LINE + _LEGEND_LINE / 2
    ends = [(axes.x0 + 4.0, y), (axes.x0 + 40.0, y)]
    for part in _dashes(ends) if line.dashed else [ends]:
        draw.line(_scaled(part), line.colour, 2 * _SCALE)
    _text(draw, (axes.x0 + 48, y), line.label, BLACK, "lm")


def _text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: Colour, anchor: str) -> None:
    """`anchor`: l, m or r, then t, m or b, as where `place` lies in the text."""
    chosen = font(13 * _SCALE)
    width, height = text_size(text, chosen)
    x, y = place[0] * _SCALE, place[1] * _SCALE
    x -= {"l": 0.0, "m": width / 2, "r": float(width)}[anchor[0]]
    y -= {"t": 0.0, "m": height / 2, "b": float(height)}[anchor[1]]
    draw.text((round(x), round(y)), text, colour, chosen)


def _scaled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * _SCALE, y * _SCALE) for x, y in points]
