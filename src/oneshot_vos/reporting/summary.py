"""`summary.json`, for `dvc metrics diff`, and `summary.md`, for the person who opens the results."""

from collections.abc import Mapping, Sequence
from typing import Any

from oneshot_vos.reporting.experiments import (
    Experiment,
    Table1Row,
    experiments,
    full_supervision,
    one_shot_ratio,
)
from oneshot_vos.reporting.labels import KINDS, LabelCounts
from oneshot_vos.reporting.markdown import runs_markdown, table1_markdown, variants_markdown
from oneshot_vos.reporting.results import COPY_FIRST, MEASURES, RunResult, SetScores, Spread, TrainingRecord
from oneshot_vos.reporting.text import duration, markdown_table, mean_and_spread, percent


def metrics_summary(
    results: Sequence[RunResult],
    baseline: Mapping[str, SetScores],
    rows: Sequence[Table1Row],
    sets: Sequence[str],
    labels: LabelCounts,
) -> dict[str, Any]:
    """`{run: {set: {JF, J, F}}}` in percent, `ratio: {model: {set: one-shot / full}}`, `labels_percent: {kind: …}`.

    What has not been run is absent, so that `dvc metrics diff` shows it as new once it is there.
    """
    scored = {result.spec.name: result.scores for result in results} | {COPY_FIRST: baseline}
    summary: dict[str, Any] = {
        run: {name: {key: round(entry.scores[key], 2) for key in MEASURES} for name, entry in scores.items()}
        for run, scores in scored.items()
        if scores
    }
    summary["ratio"] = {
        model: {name: round(ratio.mean, 4) for name, ratio in by_set.items()}
        for model, by_set in _ratios(rows, sets).items()
    }
    used = {kind: labels.percent(kind) for kind in KINDS}
    summary["labels_percent"] = {kind: round(value, 3) for kind, value in used.items() if value is not None}
    return summary


def _ratios(rows: Sequence[Table1Row], sets: Sequence[str]) -> dict[str, dict[str, Spread]]:
    """One-shot J&F over full J&F per model and set, where both have been run."""
    ratios: dict[str, dict[str, Spread]] = {}
    for row in _one_shot_rows(rows):
        full = full_supervision(rows, row.model or "")
        for name in sets:
            ratio = one_shot_ratio(row.ours or Experiment(()), full, name)
            if ratio:
                ratios.setdefault(row.model or "", {})[name] = ratio
    return ratios


def _one_shot_rows(rows: Sequence[Table1Row]) -> list[Table1Row]:
    return [row for row in rows if row.ours is not None and row.supervision != "full"]


def summary_markdown(
    results: Sequence[RunResult],
    pretrainings: Mapping[str, TrainingRecord],
    baseline: Mapping[str, SetScores],
    rows: Sequence[Table1Row],
    sets: Sequence[str],
    labels: LabelCounts,
    profile: str,
) -> str:
    """What ran, what came out of it, on how many labels and on what hardware."""
    parts = [
        f"# Results, profile `{profile}`",
        _in_short(results, baseline, rows, sets, labels),
        "## Table 1: ours and the paper's",
        "All scores are percent: J&F is the mean of region similarity J and contour accuracy F, each a mean over "
        "objects. `±` is the sample standard deviation over seeds; seeds share initial weights and pretraining.",
        table1_markdown(rows, sets, labels, profile),
        "## All runs",
        "`of full` is J&F divided by that of full supervision of the same network (mean over seeds).",
        runs_markdown(results, baseline, rows, sets, labels),
    ]
    several = variants_markdown(list(experiments(results).values()), rows, sets)
    if several:
        parts += ["## Over seeds", several]
    if labels.counts:
        parts += ["## Labels", _labels_table(labels)]
    trained = {**pretrainings, **{result.spec.name: result.training for result in results if result.training}}
    if trained:
        parts += ["## Training", _training_table(trained), _training_commands(trained)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _in_short(
    results: Sequence[RunResult],
    baseline: Mapping[str, SetScores],
    rows: Sequence[Table1Row],
    sets: Sequence[str],
    labels: LabelCounts,
) -> str:
    scored = sum(all(name in result.scores for name in sets) for result in results)
    lines = [f"- {scored} of {len(results)} runs are scored on every set of the profile ({', '.join(sets)})."]
    ratios = _ratios(rows, sets)
    for row in _one_shot_rows(rows):
        for name in sets if row.ours and row.ours.runs else ():
            ratio = ratios.get(row.model or "", {}).get(name)
            if ratio and row.ours:
                full = full_supervision(rows, row.model or "")
                lines.append(
                    f"- {row.model}, `{name}`: one-shot ({row.supervision}) J&F "
                    f"{mean_and_spread(row.ours.score(name, 'JF'))}, full supervision "
                    f"{mean_and_spread(full.score(name, 'JF'))}: ratio {mean_and_spread(ratio, digits=3)}."
                )
    for name, entry in baseline.items():
        lines.append(f"- Repeating the first mask, `{name}`: J&F {percent(entry.scores['JF'])}.")
    used = labels.percent("first")
    if used is not None:
        lines.append(f"- One-shot training uses {used:.2f} % of the training labels.")
    return "\n".join(lines)


def _labels_table(labels: LabelCounts) -> str:
    table = [
        [kind, name, str(count.labelled), str(count.annotated), f"{count.percent:.2f}"]
        for kind, by_set in labels.counts.items()
        for name, count in by_set.items()
    ]
    return markdown_table(["labels", "training set", "masks used", "masks there are", "percent"], table, left=2)


def _training_table(trained: Mapping[str, TrainingRecord]) -> str:
    header = ["run", "hardware", "processes x threads", "torch", "iterations", "wall time", "images/s", "finished"]
    table = []
    for name, record in trained.items():
        parallel = "" if record.threads is None else f"{record.processes or 1} x {record.threads}"
        table.append(
            [
                name,
                record.hardware or "",
                parallel,
                record.torch or "",
                "" if record.iterations is None else str(record.iterations),
                "" if record.seconds is None else duration(record.seconds),
                "" if record.images_per_second is None else f"{record.images_per_second:.1f}",
                record.finished or "",
            ]
        )
    return markdown_table(header, table, left=2)


def _training_commands(trained: Mapping[str, TrainingRecord]) -> str:
    commands = [record.command for record in trained.values() if record.command]
    return "\n".join(["```bash", *commands, "```"]) if commands else ""
