"""Charts as Plotly draws them in the browser: built here, without colours that only suit a light page.

"black" stands for the colour of the text: `page.js` puts in that of the page, light or dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Chart = dict[str, Any]  # data and layout
INK = "black"
Dash = Literal["solid", "dash", "dot"]


@dataclass(frozen=True)
class Series:
    """One line: `xs`, and as many `ys`, None where there is no value.

    band: lower and upper values around it, as many. shown: else it waits in the legend until it is clicked. points:
    dots alone, without a line.
    """

    name: str
    xs: Sequence[float | str]
    ys: Sequence[float | None]
    colour: str = INK
    dash: Dash = "solid"
    width: float = 2.0
    band: tuple[Sequence[float], Sequence[float]] | None = None
    shown: bool = True
    points: bool = False


def line_chart(
    series: Sequence[Series], *, x: str, y: str, y_range: tuple[float, float] | None = None, log_y: bool = False
) -> Chart:
    """Lines over common axes, named `x` and `y`."""
    traces: list[dict[str, Any]] = []
    for each in series:
        if each.band:
            traces.append(_band(each, *each.band))
        if each.points:
            look = {"mode": "markers", "marker": {"color": each.colour, "size": 9, "symbol": "diamond"}}
        else:
            mode = "lines+markers" if len(each.xs) == 1 else "lines"
            line = {"color": each.colour, "dash": each.dash, "width": each.width}
            look = {"mode": mode, "line": line, "marker": {"color": each.colour, "size": 6}}
        traces.append({"type": "scatter", **_values(each), **look, "legendgroup": each.name})
    axis = {"title": {"text": y}, "automargin": True, "type": "log" if log_y else "linear"}
    return _chart(traces, x, axis if y_range is None else {**axis, "range": list(y_range)})


def bar_chart(categories: Sequence[str], series: Sequence[Series], *, x: str, y: str) -> Chart:
    """Bars side by side in each category; `xs` of a series are its categories."""
    shapes = {"solid": "", "dash": "/", "dot": "."}
    looks = [{"color": each.colour, "pattern": {"shape": shapes[each.dash]}} for each in series]
    traces = [{"type": "bar", **_values(each), "marker": look} for each, look in zip(series, looks, strict=True)]
    axis = {"title": {"text": y}, "automargin": True, "type": "linear", "range": [0.0, 100.0]}
    chart = _chart(traces, x, axis)
    chart["layout"]["xaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": list(categories)}
    chart["layout"] |= {"barmode": "group", "hovermode": "closest"}
    return chart


def _values(series: Series) -> dict[str, Any]:
    visible = True if series.shown else "legendonly"
    return {"x": list(series.xs), "y": [_value(each) for each in series.ys], "name": series.name, "visible": visible}


def _band(series: Series, lower: Sequence[float], upper: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [*series.xs, *reversed(list(series.xs))],
        "y": [_value(each) for each in (*upper, *reversed(list(lower)))],
        "fill": "toself",
        "fillcolor": series.colour,
        "opacity": 0.2,
        "mode": "lines",
        "line": {"width": 0},
        "name": f"{series.name}, spread",
        "showlegend": False,
        "hoverinfo": "skip",
        "legendgroup": series.name,
        "visible": True if series.shown else "legendonly",
    }


def _chart(traces: list[dict[str, Any]], x: str, yaxis: dict[str, Any]) -> Chart:
    xaxis = {"title": {"text": x}, "automargin": True}
    return {"data": traces, "layout": {"xaxis": xaxis, "yaxis": yaxis, "hovermode": "x unified", "showlegend": True}}


def _value(value: float | None) -> float | None:
    """Five digits, which is more than a screen shows; None where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def hexadecimal(colour: Sequence[int]) -> str:
    """`#rrggbb` of three bytes; `INK` for black, which a dark page would swallow."""
    return INK if not any(colour) else "#" + "".join(f"{int(value):02x}" for value in colour)
