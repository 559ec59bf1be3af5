"""Scores over the course of training: read, and drawn as one picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.reporting.plot import Line, Panel, draw_panels
from oneshot_vos.reporting.published import MEASURES

CURVE_FILE = "curve.json"
_EXPECTED = "the scores of a run over its training: 'set', 'videos', 'iterations' and as many 'JF', 'J' and 'F'"
# One colour per way of training, told apart by people who see few colours too (Okabe and Ito's set).
_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "full": (0, 0, 0),
    "two_step": (0, 114, 178),
    "t_step": (213, 94, 0),
    "one_step": (0, 158, 115),
    "empty": (150, 150, 150),
}
_OTHER = (204, 121, 167)


def read_curves(runs: Sequence[str], metrics: Path) -> pd.DataFrame:
    """`<metrics>/<run>/curve.json` of the runs that have one: run, iteration, JF, J, F (percent), set, videos."""
    paths = {run: metrics / run / CURVE_FILE for run in runs}
    rows = [{"run": run, **point} for run, path in paths.items() if path.exists() for point in _read(path)]
    return pd.DataFrame(rows, columns=["run", "iteration", *MEASURES, "set", "videos"])


def _read(path: Path) -> list[dict[str, Any]]:
    """The points of one curve; their iterations rise."""
    content = read_json(path, _EXPECTED)
    try:
        shown = {"set": str(content["set"]), "videos": int(content["videos"])}
        iterations = [int(value) for value in content["iterations"]]
        scores = {measure: [float(value) for value in content[measure]] for measure in MEASURES}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: incomplete ({type(error).__name__}: {error}); expected {_EXPECTED}. Run the evaluate stage again"
        ) from error
    for measure, values in scores.items():
        if len(values) != len(iterations):
            raise UserError(
                f"{path}: {len(values)} values of {measure} at {len(iterations)} iterations; expected as many"
            )
        wrong = [value for value in values if not (math.isfinite(value) and 0.0 <= value <= 100.0)]
        if wrong:
            raise UserError(f"{path}: {measure} is {wrong[0]}; expected percent from 0 to 100")
    if not iterations or iterations != sorted(set(iterations)):
        raise UserError(f"{path}: iterations {iterations}; expected at least one, in rising order")
    points = zip(*scores.values(), strict=True)
    return [
        {"iteration": iteration, **dict(zip(MEASURES, point, strict=True)), **shown}
        for iteration, point in zip(iterations, points, strict=True)
    ]


def curves_image(runs: pd.DataFrame, curves: pd.DataFrame) -> Image.Image:
    """J&F over iterations: one panel per network, one line per run; dashed without static pretraining."""
    panels = []
    for network in runs["network"].unique():
        lines = []
        drawn = curves[curves["run"].isin(runs["run"][runs["network"] == network])]
        for run in runs[runs["run"].isin(drawn["run"])].to_dict("records"):
            points = drawn[drawn["run"] == run["run"]]
            colour = colour_of(run["strategy"])
            xs, ys = tuple(points["iteration"].tolist()), tuple(points["JF"].tolist())
            lines.append(Line(label_of(run), xs, ys, colour, dashed=run["init"] == "backbone"))
        sets = _sets(drawn, "{}, {} videos")
        panels.append(Panel(f"{network}  ({'; '.join(sets)})" if sets else network, tuple(lines)))
    return draw_panels(panels, x_title="iteration", y_title="J&F in percent", empty="not run")


def _sets(curves: pd.DataFrame, form: str) -> list[str]:
    return [form.format(*row) for row in curves[["set", "videos"]].drop_duplicates().itertuples(index=False)]


def colour_of(strategy: str) -> tuple[int, int, int]:
    """The colour of a way of training in every picture."""
    return _COLOURS.get(strategy, _OTHER)


def label_of(run: Mapping[Any, Any]) -> str:
    """What a legend calls a run of `run_list`, below the name of its network."""
    start = "pretrained" if run["init"] == "static" else "from scratch"
    merged = "" if run["comparable"] else " (all objects as one)"
    return f"{run['strategy']}, {start}{merged}" + (f", seed {run['seed']}" if run["seed"] else "")


def curves_markdown(runs: pd.DataFrame, curves: pd.DataFrame) -> str:
    """The picture with what it shows, and which runs have no curve."""
    parts = []
    if len(curves):
        parts.append(
            f"J&F in the course of training, on {' and '.join(_sets(curves, '`{}` ({} videos)'))}: "
            "[curves.csv](curves.csv).\n\n![J&F over iterations, one panel per network](curves.png)"
        )
    missing = [f"`{run}`" for run in runs["run"] if run not in set(curves["run"])]
    if missing:
        parts.append(f"Without a curve: {', '.join(missing)}.")
    return "\n\n".join(parts)
