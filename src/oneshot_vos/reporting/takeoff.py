"""Take-off: from which iteration on a network looks at its references, as a table and as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.plot import Line, Panel, draw_panels
from oneshot_vos.reporting.progress import colour_of, label_of
from oneshot_vos.reporting.text import markdown_table, number
from oneshot_vos.supervision import STRATEGIES

REFERENCES = ("predicted", "true", "empty")
MARGIN = 25.0  # points of J by which a predicted reference has to beat an empty one; a blind network has about none
_COLUMNS = ("iteration", *REFERENCES)
EXPLANATION = (
    "J of the first frame, found again from the later ones, whose masks are the network's own predictions, the "
    "true ones, or empty; at the end of training. Take-off: the first probed iteration at which predicted masks "
    f"beat empty ones by {MARGIN:.0f} points."
)


def read_takeoff(runs: Sequence[str], probes: Path) -> pd.DataFrame:
    """`<probes>/<run>.tsv` of the runs that have one: run, iteration, and J in percent from each of `REFERENCES`."""
    paths = {run: probes / f"{run}.tsv" for run in runs}
    tables = [_read(path).assign(run=run) for run, path in paths.items() if path.exists()]
    empty = pd.DataFrame(columns=["run", *_COLUMNS])
    return pd.concat(tables, ignore_index=True)[["run", *_COLUMNS]] if tables else empty


def _read(path: Path) -> pd.DataFrame:
    expected = f"tab-separated columns {', '.join(_COLUMNS)}, a line for each rising iteration, J from 0 to 100"
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
    panels = []
    for network in runs["network"].unique():
        lines = []
        for run in shown[shown["network"] == network].to_dict("records"):
            points = takeoff[takeoff["run"] == run["run"]]
            xs = tuple(points["iteration"].tolist())
            for name in REFERENCES:
                colour = (150, 150, 150) if name == "empty" else colour_of(run["strategy"])
                label = f"{label_of(run)}: {name} references"
                lines.append(Line(label, xs, tuple(points[name].tolist()), colour, dashed=name == "true"))
        panels.append(Panel(network, tuple(lines)))
    return draw_panels(panels, x_title="iteration", y_title="J of the first frame, in percent", empty="not run")


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
