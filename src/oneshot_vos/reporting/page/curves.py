"""What changes over a training, as charts of many runs and as tables for DVC: loss, scores, take-off.

Runs that differ in their seed alone are one line, their mean, in a band of one standard deviation.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import SetResult
from oneshot_vos.evaluation.score_files import load_result
from oneshot_vos.reporting.page.charts import Chart, Dash, Series, hexadecimal, line_chart
from oneshot_vos.reporting.progress import REFERENCES, colour_of, label_of
from oneshot_vos.reporting.results import COPY_FIRST, EXPERIMENT, Results, select

REPEATED = "first mask repeated"
GREY = "#8a8f98"
_DASHES: Mapping[str, Dash] = {"predicted": "solid", "true": "dash", "empty": "dot"}
_POINTS = 300  # of a loss curve; more are put together, whatever a training logs


def read_losses(results: Results, curves: Path) -> pd.DataFrame:
    """The loss of every run of the list that has been trained: run, iteration, loss."""
    tables = []
    for run in results.runs["run"]:
        path = curves / run / "plots/metrics/train/loss.tsv"
        if path.exists():
            tables.append(_read_loss(path).assign(run=run))
    columns = ["run", "iteration", "loss"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _read_loss(path: Path) -> pd.DataFrame:
    """At most `_POINTS` rows, each the mean of neighbours, at the iteration of the last of them."""
    try:
        table = pd.read_csv(path, sep="\t").astype({"step": int, "loss": float})
    except (KeyError, ValueError, pd.errors.ParserError) as error:
        raise UserError(
            f"{path}: {error}; expected tab-separated columns step and loss. Run the train stage again"
        ) from error
    group = np.arange(len(table)) // max(1, -(-len(table) // _POINTS))
    return table.rename(columns={"step": "iteration"}).groupby(group).agg({"iteration": "last", "loss": "mean"})


def repeated_scores(results: Results, metrics: Path) -> dict[str, float]:
    """J&F in percent of repeating the first mask, over the videos of the curves of each network that has any."""
    found = {}
    for network in results.runs["network"].unique():
        curves = results.curves[results.curves["run"].isin(select(results.runs, network=network)["run"])]
        shown = curves[["set", "videos"]].drop_duplicates().to_dict("records")
        path = metrics / COPY_FIRST / f"{shown[0]['set']}.json" if shown else None
        if path and path.exists():
            result = load_result(path)
            first = sorted(result.sequences, key=lambda sequence: sequence.name)[: shown[0]["videos"]]
            found[str(network)] = 100 * SetResult(tuple(first), result.tolerance).summary["J&F-Mean"]
    return found


def curve_charts(results: Results, losses: pd.DataFrame, repeated: Mapping[str, float]) -> dict[str, Chart]:
    """`loss-<network>`, `scores-<network>` and `takeoff-<network>`, as far as there is something to show."""
    charts = {}
    for network in results.runs["network"].unique():
        runs = select(results.runs, network=network)
        lines = _lines(runs, losses, "loss")
        if lines:
            charts[f"loss-{network}"] = line_chart(lines, x="iteration", y="loss", log_y=True)
        lines = _lines(runs, results.curves, "JF")
        if lines:
            if network in repeated:
                ends = [min(x for line in lines for x in line.xs), max(x for line in lines for x in line.xs)]
                lines.append(Series(REPEATED, ends, [repeated[network]] * 2, GREY, "dot"))
            charts[f"scores-{network}"] = line_chart(lines, x="iteration", y="J&F, %")
        lines = _takeoff_lines(runs, results.takeoff)
        if lines:
            charts[f"takeoff-{network}"] = line_chart(lines, x="iteration", y="J of the first frame, %")
    return charts


def _lines(runs: pd.DataFrame, table: pd.DataFrame, column: str) -> list[Series]:
    """One line per experiment; dashed without pretraining."""
    lines = []
    for _, group in runs.groupby(EXPERIMENT, sort=False):
        points = table[table["run"].isin(group["run"])].astype({column: float})
        found = points.groupby("iteration")[column].agg(["mean", "std", "size"]).reset_index()
        found = found[found["size"] == found["size"].max()]
        if not len(found):
            continue
        first = group.sort_values("seed").iloc[0].to_dict()
        several = points["run"].nunique()
        name = label_of({**first, "seed": 0} if several > 1 else first) + (f", {several} seeds" if several > 1 else "")
        spread = found["std"].fillna(0.0)
        band = (list(found["mean"] - spread), list(found["mean"] + spread)) if several > 1 else None
        dash: Dash = "dash" if first["init"] == "backbone" else "solid"
        colour = hexadecimal(colour_of(first["strategy"]))
        lines.append(Series(name, list(found["iteration"]), list(found["mean"]), colour, dash, band=band))
    return lines


def _takeoff_lines(runs: pd.DataFrame, takeoff: pd.DataFrame) -> list[Series]:
    """Three lines per run, first seeds; those trained one-shot from scratch are shown, the others wait."""
    lines = []
    firsts = runs[runs["comparable"].astype(bool)].sort_values("seed", kind="stable").drop_duplicates(EXPERIMENT)
    for run in firsts.sort_index().to_dict("records"):
        points = takeoff[takeoff["run"] == run["run"]]
        lines += [
            Series(
                f"{label_of(run)}: {name}",
                points["iteration"].tolist(),
                points[name].tolist(),
                GREY if name == "empty" else hexadecimal(colour_of(run["strategy"])),
                _DASHES[name],
                shown=bool(run["one_shot"]) and run["init"] == "backbone",
            )
            for name in (REFERENCES if len(points) else ())
        ]
    return lines


def plot_tables(results: Results, losses: pd.DataFrame, repeated: Mapping[str, float]) -> dict[str, pd.DataFrame]:
    """Tables in long form for `dvc plots`, by name: one row per network, run and iteration."""
    networks = results.runs[["run", "network"]]
    scores = results.curves[["run", "iteration", "JF"]].merge(networks, on="run")
    ends = scores.groupby("network", sort=False)["iteration"].agg(["min", "max"])
    lines = [
        {"network": network, "run": REPEATED, "iteration": at, "JF": value}
        for network, value in repeated.items()
        for at in ends.loc[network]
    ]
    if lines:
        scores = pd.concat([scores, pd.DataFrame(lines)], ignore_index=True)
    long = results.takeoff.melt(["run", "iteration"], list(REFERENCES), "references", "J").merge(networks, on="run")
    return {
        "loss": losses.merge(networks, on="run")[["network", "run", "iteration", "loss"]],
        "scores": scores[["network", "run", "iteration", "JF"]],
        "takeoff": long[["network", "run", "references", "iteration", "J"]],
    }
