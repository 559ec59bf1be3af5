"""`summary.json`, for `dvc metrics diff`, and `summary.md`, for the person who opens the results."""

from collections.abc import Sequence
from typing import Any

from oneshot_vos.reporting.labels import KINDS, LabelCounts
from oneshot_vos.reporting.markdown import ablation_markdown, runs_markdown, table1_markdown, variants_markdown
from oneshot_vos.reporting.progress import curves_markdown
from oneshot_vos.reporting.report import Report
from oneshot_vos.reporting.results import COPY_FIRST, MEASURES, TrainingRecord
from oneshot_vos.reporting.statements import lead, pretraining_gain, scratch_scores
from oneshot_vos.reporting.table2 import Table2, table2_markdown
from oneshot_vos.reporting.text import duration, markdown_table, mean_and_spread, percent

_FIGURES = {
    4: "full supervision beside one-shot training, on the same frames",
    5: "the same on YouTube-VOS",
    6: "masks of a network that was trained with an empty reference and is given an empty one",
    7: "T-step from scratch: truth in green, prediction in red",
}


def metrics_summary(report: Report, table2: Table2 | None = None) -> dict[str, Any]:
    """`{run: {set: {JF, J, F}}}` in percent, and what is compared, per network and set.

    Held-out sets of YouTube-VOS, which `table2` has, have `{G, J_seen, …}` instead, of the groups that they show.

    `ratio`: one-shot / full. `table3`: J&F after pretraining minus without. `table4`: J&F of two_step minus each other
    strategy. `labels_percent: {kind: …}`. What has not been run is absent, so that `dvc metrics diff` shows it as new
    once it is there.
    """
    scored = {result.spec.name: result.scores for result in report.runs} | {COPY_FIRST: report.baseline}
    summary: dict[str, Any] = {
        run: {name: {key: round(entry.scores[key], 2) for key in MEASURES} for name, entry in scores.items()}
        for run, scores in scored.items()
        if scores
    }
    for name, by_run in (table2.local if table2 else {}).items():
        for run, entry in by_run.items():
            measured = {key: round(value, 2) for key, value in entry.scores.items() if value is not None}
            summary.setdefault(run, {})[name] = measured
    summary["ratio"] = {
        network: {name: round(ratio.mean, 4) for name, ratio in by_set.items()}
        for network, by_set in report.ratios().items()
    }
    summary["table3"] = _table3_metrics(report)
    summary["table4"] = _table4_metrics(report)
    used = {kind: report.labels.percent(kind) for kind in KINDS}
    summary["labels_percent"] = {kind: round(value, 3) for kind, value in used.items() if value is not None}
    return summary


def _table3_metrics(report: Report) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for name in report.sets:
        for network in report.table3.networks:
            gain = pretraining_gain(report.table3, network, name)
            if gain:
                entry = {"static_minus_backbone": round(gain.mean, 2)}
                metrics.setdefault(network, {})[name] = entry
    return metrics


def _table4_metrics(report: Report) -> dict[str, Any]:
    """Against two_step, not against the best: the sign of a metric should not depend on who leads."""
    metrics: dict[str, Any] = {}
    table = report.table4
    for network in table.networks:
        for name in report.sets:
            for other in scratch_scores(table, network, name):
                ahead = lead(table, network, name, "two_step", other)
                if ahead and other != "two_step":
                    entry = metrics.setdefault(network, {}).setdefault(name, {})
                    entry[f"two_step_minus_{other}"] = round(ahead.mean, 2)
    return metrics


def summary_markdown(report: Report, figures: str, table2: Table2 | None = None) -> str:
    """What ran, what came out of it, on how many labels and on what hardware.

    `figures`: the folder of the figures. `table2`: shown, and Figure 5 with it, if the profile has such a set.
    """
    youtube = table2 if table2 and not table2.note else None
    parts = [
        f"# Results, profile `{report.profile}`",
        _in_short(report),
        "## Table 1: ours and the paper's",
        "All scores are percent: J&F is the mean of region similarity J and contour accuracy F, each a mean over "
        "objects. `±` is the sample standard deviation over seeds; seeds share initial weights and pretraining.",
        table1_markdown(report),
    ]
    if youtube:
        parts += ["## Table 2: ours and the paper's", table2_markdown(youtube)]
    for table in (report.table3, report.table4):
        parts += [f"## Table {table.number}: ours and the paper's", ablation_markdown(table, report)]
    parts += ["## Figures", _figure_links(figures, [number for number in _FIGURES if youtube or number != 5])]
    parts += [
        "## All runs",
        "`of full` is J&F divided by that of full supervision of the same network (mean over seeds).",
        runs_markdown(report),
    ]
    several = variants_markdown(report)
    if several:
        parts += ["## Over seeds", several]
    parts += ["## Over training", curves_markdown(report.specs, report.curves)]
    if report.labels.counts:
        parts += ["## Labels", _labels_table(report.labels)]
    trained = {**report.pretrainings, **{run.spec.name: run.training for run in report.runs if run.training}}
    if trained:
        parts += ["## Training", _training_table(trained), _training_commands(trained)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figure_links(folder: str, numbers: Sequence[int]) -> str:
    return "\n".join(f"- [Figure {number}]({folder}/figure{number}.png): {_FIGURES[number]}." for number in numbers)


def _in_short(report: Report) -> str:
    scored = sum(all(name in result.scores for name in report.sets) for result in report.runs)
    lines = [
        f"- {scored} of {len(report.runs)} runs are scored on every set of the profile ({', '.join(report.sets)})."
    ]
    lines += _ratio_lines(report)
    for name, entry in report.baseline.items():
        lines.append(f"- Repeating the first mask, `{name}`: J&F {percent(entry.scores['JF'])}.")
    used = report.labels.percent("first")
    if used is not None:
        lines.append(f"- One-shot training uses {used:.2f} % of the training labels.")
    return "\n".join(lines)


def _ratio_lines(report: Report) -> list[str]:
    """One line per network and set of Table 1; once per network where there is no ratio on any set."""
    ratios, lines = report.ratios(), []
    for row in report.table1.rows:
        if row.network is None or row.supervision == "full" or row.ours is None:
            continue
        full = report.table1.experiment(row.network, "full", "static")
        for name, ratio in ratios.get(row.network, {}).items():
            lines.append(
                f"- {row.network}, `{name}`: one-shot ({row.supervision}) J&F "
                f"{mean_and_spread(row.ours.score(name, 'JF'))}, full supervision "
                f"{mean_and_spread(full.score(name, 'JF'))}: ratio {mean_and_spread(ratio, digits=3)}."
            )
        if row.network not in ratios:
            lines.append(
                f"- {row.network}: no ratio yet, full or one-shot ({row.supervision}) after pretraining is not run."
            )
    return lines


def _labels_table(labels: LabelCounts) -> str:
    table = [
        [kind, name, str(count.labelled), str(count.annotated), f"{count.percent:.2f}"]
        for kind, by_set in labels.counts.items()
        for name, count in by_set.items()
    ]
    return markdown_table(["labels", "training set", "masks used", "masks there are", "percent"], table, left=2)


def _training_table(trained: dict[str, TrainingRecord]) -> str:
    header = [
        "run",
        "hardware",
        "processes x threads",
        "precision",
        "torch",
        "iterations",
        "wall time",
        "images/s",
        "finished",
    ]
    table = []
    for name, record in trained.items():
        parallel = "" if record.threads is None else f"{record.processes or 1} x {record.threads}"
        table.append(
            [
                name,
                record.hardware or "",
                parallel,
                record.precision or "",
                record.torch or "",
                "" if record.iterations is None else str(record.iterations),
                "" if record.seconds is None else duration(record.seconds),
                "" if record.images_per_second is None else f"{record.images_per_second:.1f}",
                record.finished or "",
            ]
        )
    return markdown_table(header, table, left=2)


def _training_commands(trained: dict[str, TrainingRecord]) -> str:
    commands = [record.command for record in trained.values() if record.command]
    return "\n".join(["```bash", *commands, "```"]) if commands else ""
