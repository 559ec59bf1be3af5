"""Charts as Plotly draws them in the browser: built here, without colours that only suit a light page.

"black" stands for the colour of the text: `page.js` puts in that of the page, light or dark.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go  # type: ignore[import-untyped]

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
    figure = go.Figure()
    for each in series:
        if each.band:
            _add_band(figure, each)
        single = len(each.xs) == 1
        figure.add_scatter(
            x=list(each.xs),
            y=[_value(value) for value in each.ys],
            name=each.name,
            mode="markers" if each.points else "lines+markers" if single else "lines",
            line=None if each.points else {"color": each.colour, "dash": each.dash, "width": each.width},
            marker={
                "color": each.colour,
                "size": 9 if each.points else 6,
                "symbol": "diamond" if each.points else None,
            },
            visible=True if each.shown else "legendonly",
            legendgroup=each.name,
        )
    return _finished(figure, x, y, y_range, log_y=log_y)


def bar_chart(categories: Sequence[str], series: Sequence[Series], *, x: str, y: str) -> Chart:
    """Bars side by side in each category; `xs` of a series are its categories."""
    figure = go.Figure()
    for each in series:
        figure.add_bar(
            x=list(each.xs),
            y=[_value(value) for value in each.ys],
            name=each.name,
            marker={"color": each.colour, "pattern": {"shape": {"solid": "", "dash": "/", "dot": "."}[each.dash]}},
            visible=True if each.shown else "legendonly",
        )
    chart = _finished(figure, x, y, (0.0, 100.0), log_y=False)
    chart["layout"]["xaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": list(categories)}
    chart["layout"] |= {"barmode": "group", "hovermode": "closest"}
    return chart


def _add_band(figure: go.Figure, series: Series) -> None:
    lower, upper = series.band or ((), ())
    figure.add_scatter(
        x=[*series.xs, *reversed(list(series.xs))],
        y=[*upper, *reversed(list(lower))],
        fill="toself",
        fillcolor=series.colour,
        opacity=0.2,
        mode="lines",
        line={"width": 0},
        name=f"{series.name}, spread",
        showlegend=False,
        hoverinfo="skip",
        legendgroup=series.name,
        visible=True if series.shown else "legendonly",
    )


def _finished(figure: go.Figure, x: str, y: str, y_range: tuple[float, float] | None, *, log_y: bool) -> Chart:
    figure.update_layout(
        template=None,
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True, "range": y_range, "type": "log" if log_y else "linear"},
        hovermode="x unified",
        showlegend=True,
    )
    chart: Chart = json.loads(figure.to_json())
    chart["layout"].pop("template", None)
    return chart


def _value(value: float | None) -> float | None:
    """Five digits, which is more than a screen shows; None where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def hexadecimal(colour: Sequence[int]) -> str:
    """`#rrggbb` of three bytes; `INK` for black, which a dark page would swallow."""
    return INK if not any(colour) else "#" + "".join(f"{int(value):02x}" for value in colour)
