"""`summary.json`, for `dvc metrics diff`, and `summary.md`, for the person who opens the results."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import pandas as pd

from oneshot_vos.reporting.comparison import Table
from oneshot_vos.reporting.markdown import shows_youtube, variants_markdown
from oneshot_vos.reporting.progress import curves_markdown, takeoff_markdown
from oneshot_vos.reporting.results import LOCAL, Results, deviation, select
from oneshot_vos.reporting.statements import by_seed, gain, leads, one_shot_rows, ratios
from oneshot_vos.reporting.text import duration, markdown_table, mean_and_spread, number

_FIGURES = {
    4: "full supervision beside one-shot training, on the same frames",
    5: "the same on YouTube-VOS",
    6: "masks of a network that was trained with an empty reference and is given an empty one",
    7: "T-step from scratch: truth in green, prediction in red",
}


def metrics_summary(results: Results, tables: Mapping[int, Table]) -> dict[str, Any]:
    """`{run: {set: {measure: …}}}` in percent, and what is compared, per network and set: nothing but numbers.

    Measures are JF, J, F, or those of YouTube-VOS on its held-out sets, of the groups that they show.

    `ratio`: one-shot / full. `table3`: J&F after pretraining minus without. `table4`: J&F of two_step minus each
    other strategy. `labels_percent: {kind: …}`. What has not been run is absent, so that `dvc metrics diff` shows it as
    new once it is there.
    """
    summary: dict[str, Any] = {}
    for row in select(results.scores, source=LOCAL).dropna(subset="value").to_dict("records"):
        summary.setdefault(row["run"], {}).setdefault(row["set"], {})[row["measure"]] = round(row["value"], 2)
    summary |= {"ratio": {}, "table3": {}, "table4": {}}
    for network, name, _, ratio, _ in ratios(results, tables[1]):
        summary["ratio"].setdefault(network, {})[name] = round(ratio, 4)
    for name in results.sets:
        for network in tables[3].networks:
            difference = gain(results, tables[3], network, name)
            if difference:
                entry = summary["table3"].setdefault(network, {}).setdefault(name, {})
                entry["static_minus_backbone"] = round(difference.mean, 2)
        for network in tables[4].networks:
            for other, lead in leads(results, tables[4], network, name, "two_step").items():
                entry = summary["table4"].setdefault(network, {}).setdefault(name, {})
                entry[f"two_step_minus_{other}"] = round(lead.mean, 2)
    used = {kind: results.labels_percent(kind) for kind in results.labels["kind"].unique()}
    summary["labels_percent"] = {kind: round(value, 3) for kind, value in used.items() if pd.notna(value)}
    return summary


def summary_markdown(results: Results, table1: Table, pages: Mapping[str, str]) -> str:
    """What ran, what came out of it, on how many labels and on what hardware; `pages`: table1 to table4 and runs."""
    youtube = shows_youtube(results)
    parts = [
        f"# Results, profile `{results.profile}`",
        in_short(results, table1),
        "All scores are percent: J&F is the mean of region similarity J and contour accuracy F, each a mean over "
        "objects. `±` is the sample standard deviation over seeds; seeds share initial weights and pretraining.",
    ]
    for table in (1, 2, 3, 4) if youtube else (1, 3, 4):
        parts += [f"## Table {table}: ours and the paper's", pages[f"table{table}"]]
    shown = [figure for figure in _FIGURES if youtube or figure != 5]
    parts += ["## Figures", "\n".join(f"- [Figure {n}](../figures/figure{n}.png): {_FIGURES[n]}." for n in shown)]
    parts += ["## All runs", pages["runs"]]
    several = variants_markdown(results)
    if several:
        parts += ["## Over seeds", several]
    parts += ["## Over training", curves_markdown(results.runs, results.curves)]
    off = takeoff_markdown(results.runs, results.takeoff)
    if off:
        parts += ["## Take-off", off]
    parts += ["## Labels", labels_table(results.labels)]
    if len(results.trainings):
        commands = list(results.trainings["command"].dropna())
        parts += ["## Training", training_table(results.trainings)]
        parts += ["\n".join(["```bash", *commands, "```"])] if commands else []
    return "\n\n".join(part for part in parts if part) + "\n"


def in_short(results: Results, table1: Table) -> str:
    """What came out, as a list of a few lines."""
    pairs = results.scores[results.scores["set"].isin(results.sets)].drop_duplicates(["run", "set"])
    complete = pairs[pairs["run"].isin(results.runs["run"])].groupby("run").size() == len(results.sets)
    lines = [
        f"- {complete.sum()} of {len(results.runs)} runs are scored on every set of the profile "
        f"({', '.join(results.sets)})."
    ]
    lines += _ratio_lines(results, table1)
    for name in results.sets:
        if pd.notna(results.baseline(name, "JF")):
            lines.append(f"- Repeating the first mask, `{name}`: J&F {results.baseline(name, 'JF'):.1f}.")
    used = results.labels_percent("first")
    if pd.notna(used):
        lines.append(f"- One-shot training uses {used:.2f} % of the training labels.")
    return "\n".join(lines)


def _ratio_lines(results: Results, table1: Table) -> list[str]:
    """One line per network and set of Table 1; one per network where there is no ratio on any set."""
    lines: dict[str, list[str]] = {}
    for network, name, strategy, ratio, spread in ratios(results, table1):
        scores = [by_seed(results, network, each, "static", name) for each in (strategy, "full")]
        one_shot, full = (mean_and_spread(fmean(each), deviation(each)) for each in scores)
        lines.setdefault(network, []).append(
            f"- {network}, `{name}`: one-shot ({strategy}) J&F {one_shot}, full supervision {full}: ratio "
            f"{mean_and_spread(ratio, spread, form='.3f')}."
        )
    chosen = one_shot_rows(table1)
    for network, strategy in chosen.items():
        scored = any(
            all(len(by_seed(results, network, each, "static", name)) for each in (strategy, "full"))
            for name in table1.sets
        )
        unrun = f"no ratio yet, full or one-shot ({strategy}) after pretraining is not run"
        lines.setdefault(network, [f"- {network}: {'no ratio, full supervision scores 0' if scored else unrun}."])
    return [line for network in chosen for line in lines[network]]


def labels_table(labels: pd.DataFrame) -> str:
    """How many masks each kind of labels uses, per training set."""
    texts = (
        labels.drop(columns="per_video")
        .assign(percent=(100.0 * labels["labelled"] / labels["annotated"]).map("{:.2f}".format))
        .astype(str)
    )
    titles = ["labels", "training set", "masks used", "masks there are", "percent"]
    return markdown_table({title: list(texts[column]) for title, column in zip(titles, texts, strict=True)}, left=2)


def training_table(trainings: pd.DataFrame) -> str:
    """On what and for how long every training ran."""
    cells = trainings.fillna("").astype(str)
    threads = [f"{p or 1} x {t}" if t else "" for p, t in zip(cells["processes"], cells["threads"], strict=True)]
    columns = {"run": list(cells["run"]), "hardware": list(cells["hardware"]), "processes x threads": threads}
    columns |= {key: list(cells[key]) for key in ("precision", "torch", "iterations")}
    columns["wall time"] = ["" if pd.isna(each) else duration(each) for each in trainings["seconds"]]
    columns["images/s"] = [number(each) for each in trainings["images_per_second"]]
    return markdown_table({**columns, "finished": list(cells["finished"])}, left=2)
