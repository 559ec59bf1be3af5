"""The course of trainings: scores, and from which iteration on a network looks at its references (take-off)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, taken_apart
from oneshot_vos.reporting.plot import Line, draw_panels
from oneshot_vos.reporting.published import MEASURES
from oneshot_vos.reporting.text import markdown_table, number
from oneshot_vos.supervision import STRATEGIES

_EXPECTED = "the scores of a run over its training: 'set', 'videos', 'iterations' and as many 'JF', 'J' and 'F'"
# One colour per way of training, told apart by people who see few colours too (Okabe and Ito's set).
_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "full": (0, 0, 0),
    "two_step": (0, 114, 178),
    "t_step": (213, 94, 0),
    "one_step": (0, 158, 115),
    "empty": (150, 150, 150),
}
REFERENCES = ("predicted", "true", "empty")
MARGIN = 25.0  # points of J by which a predicted reference has to beat an empty one; a blind network has about none
_PROBED = ("iteration", *REFERENCES)
EXPLANATION = (
    "J of the first frame, found again from the later ones, whose masks are the network's own predictions, the "
    "true ones, or empty; at the end of training. Take-off: the first probed iteration at which predicted masks "
    f"beat empty ones by {MARGIN:.0f} points."
)


def read_curves(runs: Sequence[str], metrics: Path) -> pd.DataFrame:
    """`<metrics>/<run>/curve.json` of the runs that have one: run, iteration, JF, J, F (percent), set, videos."""
    paths = {run: metrics / run / "curve.json" for run in runs}
    rows = [{"run": run, **point} for run, path in paths.items() if path.exists() for point in _read_curve(path)]
    return pd.DataFrame(rows, columns=["run", "iteration", *MEASURES, "set", "videos"])


def _read_curve(path: Path) -> list[dict[str, Any]]:
    """The points of one curve; their iterations rise."""
    content = read_json(path, _EXPECTED)
    with taken_apart(path, _EXPECTED, "Run the evaluate stage again"):
        shown = {"set": str(content["set"]), "videos": int(content["videos"])}
        iterations = [int(value) for value in content["iterations"]]
        scores = {measure: [float(value) for value in content[measure]] for measure in MEASURES}
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
    panels = {}
    for network in runs["network"].unique():
        lines = []
        drawn = curves[curves["run"].isin(runs["run"][runs["network"] == network])]
        for run in runs[runs["run"].isin(drawn["run"])].to_dict("records"):
            points = drawn[drawn["run"] == run["run"]]
            xs, ys = points["iteration"].tolist(), points["JF"].tolist()
            lines.append(Line(label_of(run), xs, ys, colour_of(run["strategy"]), dashed=run["init"] == "backbone"))
        sets = _sets(drawn, "{}, {} videos")
        panels[f"{network}  ({'; '.join(sets)})" if sets else network] = lines
    return draw_panels(panels, "J&F in percent")


def _sets(curves: pd.DataFrame, form: str) -> list[str]:
    return [form.format(*row) for row in curves[["set", "videos"]].drop_duplicates().itertuples(index=False)]


def colour_of(strategy: str) -> tuple[int, int, int]:
    """The colour of a way of training in every picture."""
    return _COLOURS.get(strategy, (204, 121, 167))


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


def read_takeoff(runs: Sequence[str], probes: Path) -> pd.DataFrame:
    """`<probes>/<run>.tsv` of the runs that have one: run, iteration, and J in percent from each of `REFERENCES`."""
    paths = {run: probes / f"{run}.tsv" for run in runs}
    tables = [_read_probe(path).assign(run=run) for run, path in paths.items() if path.exists()]
    empty = pd.DataFrame(columns=["run", *_PROBED])
    return pd.concat(tables, ignore_index=True)[["run", *_PROBED]] if tables else empty


def _read_probe(path: Path) -> pd.DataFrame:
    expected = f"tab-separated columns {', '.join(_PROBED)}, a line for each rising iteration, J from 0 to 100"
    try:
        table = pd.read_csv(path, sep="\t").astype({"iteration": int, **dict.fromkeys(REFERENCES, float)})
    except (KeyError, ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: {error}; expected {expected}. Run the probe stage again") from error
    scores = table[list(REFERENCES)].to_numpy()
    rising = table["iteration"].is_monotonic_increasing and table["iteration"].is_unique
    if not len(table) or not rising or not ((scores >= 0) & (scores <= 100)).all():
        raise UserError(f"{path}: expected {expected}. Run the probe stage again")
    return table


def takeoff_iteration(points: pd.DataFrame) -> float:
    """The first probed iteration at which a predicted reference beats an empty one by `MARGIN`; NaN: none."""
    off = points["iteration"][points["predicted"] - points["empty"] >= MARGIN]
    return float(off.iloc[0]) if len(off) else math.nan


def takeoff_image(runs: pd.DataFrame, takeoff: pd.DataFrame) -> Image.Image:
    """J over iterations, a panel per network: one-shot training from scratch, the first seed of each strategy.

    Solid: from predicted references; dashed: from true ones; grey: from empty ones.
    """
    shown = runs[runs["one_shot"].astype(bool) & (runs["init"] == "backbone") & runs["run"].isin(takeoff["run"])]
    shown = shown[shown["strategy"].isin(list(STRATEGIES))]
    shown = shown.sort_values("seed", kind="stable").drop_duplicates(["network", "strategy"])
    panels: dict[str, list[Line]] = {}
    for network in runs["network"].unique():
        lines = panels[network] = []
        for run in shown[shown["network"] == network].to_dict("records"):
            points = takeoff[takeoff["run"] == run["run"]]
            xs = points["iteration"].tolist()
            for name in REFERENCES:
                colour = (150, 150, 150) if name == "empty" else colour_of(run["strategy"])
                label = f"{label_of(run)}: {name} references"
                lines.append(Line(label, xs, points[name].tolist(), colour, dashed=name == "true"))
    return draw_panels(panels, "J of the first frame, in percent")


def takeoff_table(runs: pd.DataFrame, takeoff: pd.DataFrame) -> str:
    """When each run took off, and what it reached; empty text if nothing was probed."""
    comparable = runs[runs["comparable"].astype(bool) & runs["run"].isin(takeoff["run"])]
    if not len(comparable):
        return ""
    ends = [takeoff[takeoff["run"] == run] for run in comparable["run"]]
    columns = {"run": list(comparable["run"])}
    columns["take-off"] = [number(takeoff_iteration(points), ".0f", "none") for points in ends]
    columns["of"] = [str(points["iteration"].iloc[-1]) for points in ends]
    columns |= {name: [number(points[name].iloc[-1]) for points in ends] for name in REFERENCES}
    return markdown_table(columns)


def takeoff_markdown(runs: pd.DataFrame, takeoff: pd.DataFrame) -> str:
    """`takeoff_table` with what it shows, and the picture; empty text if nothing was probed."""
    table = takeoff_table(runs, takeoff)
    if not table:
        return ""
    return (
        f"{EXPLANATION} All points: [takeoff.csv](takeoff.csv).\n\n{table}"
        "\n\n![J of the first frame over iterations, from predicted, true and empty references](takeoff.png)"
    )
