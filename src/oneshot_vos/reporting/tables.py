"""Stage `tables`: from the scores of all runs to the tables and the summary that people read.

`table1.*` sets our scores against the paper's, `runs.*` has every run of the list, each as CSV (all columns), JSON
(the same, nested) and Markdown (what fits a screen); `summary.json` is for `dvc metrics diff`, `summary.md` is where a
person starts. Scores are percent. Equal inputs give equal bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from oneshot_vos.files import write_json, write_text
from oneshot_vos.reporting.experiments import TABLE1_BACKWARD, Experiment, Table1Row, ratio_to_full, table1
from oneshot_vos.reporting.labels import LabelCounts, read_label_counts
from oneshot_vos.reporting.markdown import runs_markdown, table1_markdown
from oneshot_vos.reporting.published import PUBLISHED_SETS, published_set
from oneshot_vos.reporting.results import (
    COPY_FIRST,
    MEASURES,
    RunResult,
    SetScores,
    TrainingRecord,
    parse_runs,
    read_pretrainings,
    read_results,
    read_run_scores,
    reproduce,
)
from oneshot_vos.reporting.summary import metrics_summary, summary_markdown
from oneshot_vos.reporting.text import NOT_RUN, Cell, csv_text


def write_tables(
    runs: Mapping[str, Mapping[str, Any]],
    metrics_dir: Path,
    labels_dir: Path,
    curves_dir: Path,
    evaluate_sets: Sequence[str],
    profile: str,
    out_dir: Path,
    table1_backward: Mapping[str, str] = TABLE1_BACKWARD,
) -> None:
    """Write `table1.*`, `runs.*`, `summary.json` and `summary.md` into `out_dir`.

    `runs` is the list of runs of params.yaml: name to model, backward, labels, init, seed. Scores are read from
    `<metrics_dir>/<run>/<set>.json`, label counts from `label_ratio.json` of `labels_dir` (the folder of one kind of
    labels, or the one above both), training records from `<curves_dir>/{<run>,pretrain-<model>}/run.json`; only runs of
    the list are looked at. A run or set without scores is reported as not run. `table1_backward` names the backward
    pass that stands for one-shot training in Table 1, per model.
    """
    specs = parse_runs(runs)
    results = read_results(specs, metrics_dir, curves_dir, evaluate_sets)
    pretrainings = read_pretrainings(specs, curves_dir)
    baseline = read_run_scores(metrics_dir / COPY_FIRST, evaluate_sets)
    labels = read_label_counts(labels_dir)
    rows = table1(results, table1_backward)
    sets = list(evaluate_sets)

    write_text(out_dir / "table1.csv", csv_text(*_table1_csv(rows, sets, labels, profile)))
    write_json(out_dir / "table1.json", _table1_json(rows, sets, labels, profile))
    write_text(
        out_dir / "table1.md", f"# Table 1, profile `{profile}`\n\n{table1_markdown(rows, sets, labels, profile)}\n"
    )
    write_text(out_dir / "runs.csv", csv_text(*_runs_csv(results, baseline, rows, sets, labels, profile)))
    write_json(out_dir / "runs.json", _runs_json(results, baseline, sets, labels, profile))
    text = runs_markdown(results, baseline, rows, sets, labels)
    write_text(out_dir / "runs.md", f"# All runs, profile `{profile}`\n\n{text}\n")
    write_json(out_dir / "summary.json", metrics_summary(results, baseline, rows, sets, labels))
    text = summary_markdown(results, pretrainings, baseline, rows, sets, labels, profile)
    write_text(out_dir / "summary.md", text)


def _table1_csv(
    rows: Sequence[Table1Row], sets: Sequence[str], labels: LabelCounts, profile: str
) -> tuple[list[str], list[list[Cell]]]:
    header = ["method", "supervision", "paper_labels_percent"]
    header += [f"paper_{printed.name}_{measure}" for printed in PUBLISHED_SETS for measure in MEASURES]
    header += ["labels_percent"]
    for name in sets:
        header += [f"{name}_{measure}{suffix}" for measure in MEASURES for suffix in ("", "_std")]
        header += [f"{name}_sequences"]
        if published_set(name):
            header += [f"{name}_{measure}_minus_paper" for measure in MEASURES]
    header += ["seeds", "runs", "status", "profile", "command"]
    return header, [_table1_cells(row, sets, labels, profile) for row in rows]


def _table1_cells(row: Table1Row, sets: Sequence[str], labels: LabelCounts, profile: str) -> list[Cell]:
    printed = row.published
    ours = row.ours or Experiment(())
    cells: list[Cell] = [row.method, row.supervision, printed.labels_percent if printed else None]
    cells += [row.printed(table.name, measure) for table in PUBLISHED_SETS for measure in MEASURES]
    cells.append(_ours_percent(ours, labels))
    for name in sets:
        for measure in MEASURES:
            score = ours.score(name, measure)
            cells += [score.mean, score.deviation] if score else [None, None]
        sizes = ours.sizes(name)
        cells.append(sizes[0] if sizes else None)
        if published_set(name):
            cells += [row.difference(name, measure) for measure in MEASURES]
    cells += [" ".join(map(str, ours.seeds)), " ".join(run.spec.name for run in ours.runs), _status(row, sets)]
    return [*cells, profile, " && ".join(reproduce(run.spec.name) for run in ours.runs)]


def _ours_percent(ours: Experiment, labels: LabelCounts) -> float | None:
    """Percent of the training labels used, only where something was trained and scored."""
    return labels.percent(ours.runs[0].spec.labels) if ours.seeds else None


def _status(row: Table1Row, sets: Sequence[str]) -> str:
    if row.ours is None:
        return "published only"
    scored = sum(name in run.scores for run in row.ours.runs for name in sets)
    if scored == 0:
        return NOT_RUN
    return "run" if scored == len(row.ours.runs) * len(sets) else "partly run"


def _table1_json(rows: Sequence[Table1Row], sets: Sequence[str], labels: LabelCounts, profile: str) -> dict[str, Any]:
    return {"profile": profile, "sets": list(sets), "rows": [_table1_entry(row, sets, labels) for row in rows]}


def _table1_entry(row: Table1Row, sets: Sequence[str], labels: LabelCounts) -> dict[str, Any]:
    printed, ours = row.published, row.ours
    entry: dict[str, Any] = {
        "method": row.method,
        "supervision": row.supervision,
        "status": _status(row, sets),
        "paper": {"labels_percent": printed.labels_percent, "scores": printed.scores} if printed else None,
        "ours": None,
    }
    if ours and ours.seeds:
        entry["ours"] = {
            "labels_percent": _rounded(_ours_percent(ours, labels)),
            "seeds": ours.seeds,
            "runs": [run.spec.name for run in ours.runs],
            "commands": [reproduce(run.spec.name) for run in ours.runs],
            "scores": {name: _set_entry(row, ours, name) for name in sets if ours.scored_on(name)},
        }
    return entry


def _set_entry(row: Table1Row, ours: Experiment, name: str) -> dict[str, Any]:
    sequences, objects = ours.sizes(name) or (0, 0)
    entry: dict[str, Any] = {"sequences": sequences, "objects": objects, "seeds": len(ours.scored_on(name))}
    for measure in MEASURES:
        score = ours.score(name, measure)
        entry[measure] = {
            "mean": _rounded(score.mean if score else None),
            "std": _rounded(score.deviation if score else None),
            "minus_paper": _rounded(row.difference(name, measure)),
        }
    return entry


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


_RECORD = [item.name for item in fields(TrainingRecord)]


def _runs_csv(
    results: Sequence[RunResult],
    baseline: Mapping[str, SetScores],
    rows: Sequence[Table1Row],
    sets: Sequence[str],
    labels: LabelCounts,
    profile: str,
) -> tuple[list[str], list[list[Cell]]]:
    header = ["run", "model", "backward", "labels", "init", "seed", "labels_percent", "status"]
    for name in sets:
        header += [f"{name}_{measure}" for measure in MEASURES] + [f"{name}_of_full"]
    header += ["profile", "reproduce", *(f"train_{key}" for key in _RECORD)]
    cells = [_run_cells(result, rows, sets, labels, profile) for result in results]
    copied: list[Cell] = [COPY_FIRST, *[None] * 6, _run_status(baseline, sets)]
    for name in sets:
        copied += [*_score_cells(baseline, name), None]
    return header, [*cells, [*copied, profile, *[None] * (1 + len(_RECORD))]]


def _run_cells(
    result: RunResult, rows: Sequence[Table1Row], sets: Sequence[str], labels: LabelCounts, profile: str
) -> list[Cell]:
    run = result.spec
    cells: list[Cell] = [run.name, run.model, run.backward, run.labels, run.init, run.seed]
    cells += [labels.percent(run.labels), _run_status(result.scores, sets)]
    for name in sets:
        ratio = ratio_to_full(run, result.scores[name].scores["JF"], name, rows) if name in result.scores else None
        cells += [*_score_cells(result.scores, name), None if ratio is None else f"{ratio:.4f}"]
    record = asdict(result.training or TrainingRecord())
    return [*cells, profile, reproduce(run.name), *(record[key] for key in _RECORD)]


def _score_cells(scores: Mapping[str, SetScores], name: str) -> list[Cell]:
    return [scores[name].scores[measure] if name in scores else None for measure in MEASURES]


def _run_status(scores: Mapping[str, SetScores], sets: Sequence[str]) -> str:
    scored = sum(name in scores for name in sets)
    return NOT_RUN if scored == 0 else "run" if scored == len(sets) else "partly run"


def _runs_json(
    results: Sequence[RunResult],
    baseline: Mapping[str, SetScores],
    sets: Sequence[str],
    labels: LabelCounts,
    profile: str,
) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {
            **asdict(result.spec),
            "status": _run_status(result.scores, sets),
            "labels_percent": _rounded(labels.percent(result.spec.labels)),
            "scores": _scores_entry(result.scores),
            "reproduce": reproduce(result.spec.name),
            "training": asdict(result.training) if result.training else None,
        }
        for result in results
    ]
    copied = {"name": COPY_FIRST, "status": _run_status(baseline, sets), "scores": _scores_entry(baseline)}
    return {"profile": profile, "sets": list(sets), "runs": [*entries, copied]}


def _scores_entry(scores: Mapping[str, SetScores]) -> dict[str, Any]:
    return {
        name: {
            **{measure: round(entry.scores[measure], 2) for measure in MEASURES},
            "sequences": entry.sequences,
            "objects": entry.objects,
        }
        for name, entry in scores.items()
    }
