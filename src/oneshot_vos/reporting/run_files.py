"""Every run of the list, and the baseline that repeats the first mask, as CSV and as JSON. Scores are percent."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from oneshot_vos.reporting.report import Report
from oneshot_vos.reporting.results import COPY_FIRST, MEASURES, RunResult, SetScores, TrainingRecord, reproduce
from oneshot_vos.reporting.text import NOT_RUN, Cell

_RECORD = [item.name for item in fields(TrainingRecord)]


def runs_csv(report: Report) -> tuple[list[str], list[list[Cell]]]:
    """Header and one row per run, the baseline last."""
    header = ["run", "network", "strategy", "labels", "init", "seed", "labels_percent", "comparable", "status"]
    for name in report.sets:
        header += [f"{name}_{measure}" for measure in MEASURES] + [f"{name}_of_full"]
    header += ["profile", "reproduce", *(f"train_{key}" for key in _RECORD)]
    copied: list[Cell] = [COPY_FIRST, *[None] * 6, "yes", _status(report.baseline, report)]
    for name in report.sets:
        copied += [*_scores(report.baseline, name), None]
    rows = [_cells(result, report) for result in report.runs]
    return header, [*rows, [*copied, report.profile, *[None] * (1 + len(_RECORD))]]


def _cells(result: RunResult, report: Report) -> list[Cell]:
    run = result.spec
    cells: list[Cell] = [run.name, run.network, run.strategy, run.labels, run.init, run.seed]
    comparable = "yes" if run.comparable else "no"
    cells += [report.labels.percent(run.labels), comparable, _status(result.scores, report)]
    for name in report.sets:
        score = result.scores.get(name)
        ratio = report.ratio_to_full(run, score.scores["JF"], name) if score else None
        cells += [*_scores(result.scores, name), None if ratio is None else f"{ratio:.4f}"]
    record = asdict(result.training or TrainingRecord())
    return [*cells, report.profile, reproduce(run.name), *(record[key] for key in _RECORD)]


def _scores(scores: Mapping[str, SetScores], name: str) -> list[Cell]:
    return [scores[name].scores[measure] if name in scores else None for measure in MEASURES]


def _status(scores: Mapping[str, SetScores], report: Report) -> str:
    scored = sum(name in scores for name in report.sets)
    return NOT_RUN if scored == 0 else "run" if scored == len(report.sets) else "partly run"


def runs_json(report: Report) -> dict[str, Any]:
    """The same, nested."""
    entries: list[dict[str, Any]] = [_entry(result, report) for result in report.runs]
    copied = {
        "name": COPY_FIRST,
        "status": _status(report.baseline, report),
        "scores": _scores_entry(report.baseline),
    }
    return {"profile": report.profile, "sets": list(report.sets), "runs": [*entries, copied]}


def _entry(result: RunResult, report: Report) -> dict[str, Any]:
    used = report.labels.percent(result.spec.labels)
    return {
        **asdict(result.spec),
        "status": _status(result.scores, report),
        "comparable": result.spec.comparable,
        "labels_percent": None if used is None else round(used, 2),
        "scores": _scores_entry(result.scores),
        "reproduce": reproduce(result.spec.name),
        "training": asdict(result.training) if result.training else None,
    }


def _scores_entry(scores: Mapping[str, SetScores]) -> dict[str, Any]:
    return {
        name: {
            **{measure: round(entry.scores[measure], 2) for measure in MEASURES},
            "sequences": entry.sequences,
            "objects": entry.objects,
        }
        for name, entry in scores.items()
    }
