"""Scores over the course of training, as one CSV and one picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.reporting.plot import Line, Panel, draw_panels
from oneshot_vos.reporting.results import MEASURES, RunSpec
from oneshot_vos.reporting.text import Cell

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


@dataclass(frozen=True)
class Curve:
    """Scores in percent after `iterations` (rising) of training, on `videos` videos of a set."""

    set: str
    videos: int
    iterations: tuple[int, ...]
    scores: Mapping[str, tuple[float, ...]]  # by MEASURES


def read_curves(runs: Sequence[RunSpec], metrics: Path) -> dict[str, Curve]:
    """`<metrics>/<run>/curve.json` of the runs of the list that have one; its scores are percent."""
    paths = {run.name: metrics / run.name / CURVE_FILE for run in runs}
    return {name: _read(path) for name, path in paths.items() if path.exists()}


def _read(path: Path) -> Curve:
    content = read_json(path, _EXPECTED)
    try:
        iterations = tuple(int(value) for value in content["iterations"])
        scores = {measure: tuple(float(value) for value in content[measure]) for measure in MEASURES}
        curve = Curve(str(content["set"]), int(content["videos"]), iterations, scores)
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
    if not iterations or list(iterations) != sorted(set(iterations)):
        raise UserError(f"{path}: iterations {list(iterations)}; expected at least one, in rising order")
    return curve


def curves_csv(curves: Mapping[str, Curve]) -> tuple[list[str], list[list[Cell]]]:
    """Header and one row per run and point: run, iteration, JF, J, F in percent."""
    rows: list[list[Cell]] = [
        [run, iteration, *(curve.scores[measure][index] for measure in MEASURES)]
        for run, curve in curves.items()
        for index, iteration in enumerate(curve.iterations)
    ]
    return ["run", "iteration", *MEASURES], rows


def curves_image(runs: Sequence[RunSpec], curves: Mapping[str, Curve]) -> Image.Image:
    """J&F over iterations: one panel per network, one line per run; dashed without static pretraining."""
    panels = []
    for network in dict.fromkeys(run.network for run in runs):
        drawn = [run for run in runs if run.network == network and run.name in curves]
        lines = [
            Line(
                _label(run),
                curves[run.name].iterations,
                curves[run.name].scores["JF"],
                _COLOURS.get(run.strategy, _OTHER),
                dashed=run.init == "backbone",
            )
            for run in drawn
        ]
        sets = dict.fromkeys(f"{curves[run.name].set}, {curves[run.name].videos} videos" for run in drawn)
        panels.append(Panel(f"{network}  ({'; '.join(sets)})" if sets else network, tuple(lines)))
    return draw_panels(panels, x_title="iteration", y_title="J&F in percent", empty="not run")


def _label(run: RunSpec) -> str:
    start = "pretrained" if run.init == "static" else "from scratch"
    merged = "" if run.comparable else " (all objects as one)"
    return f"{run.strategy}, {start}{merged}" + (f", seed {run.seed}" if run.seed else "")


def curves_markdown(runs: Sequence[RunSpec], curves: Mapping[str, Curve]) -> str:
    """The picture with what it shows, and which runs have no curve."""
    parts = []
    if curves:
        sets = dict.fromkeys(f"`{curve.set}` ({curve.videos} videos)" for curve in curves.values())
        parts.append(
            f"J&F in the course of training, on {' and '.join(sets)}: [curves.csv](curves.csv).\n\n"
            "![J&F over iterations, one panel per network](curves.png)"
        )
    missing = [f"`{run.name}`" for run in runs if run.name not in curves]
    if missing:
        parts.append(f"Without a curve: {', '.join(missing)}.")
    return "\n\n".join(parts)
