"""Tables 1, 3 and 4 as CSV, all columns, and as JSON, the same nested. Scores are percent."""

from typing import Any

from oneshot_vos.reporting.comparison import Table, TableRow
from oneshot_vos.reporting.experiments import Experiment
from oneshot_vos.reporting.labels import LabelCounts
from oneshot_vos.reporting.report import Report
from oneshot_vos.reporting.results import MEASURES, reproduce
from oneshot_vos.reporting.text import NOT_RUN, Cell


def table_csv(table: Table, report: Report) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows: what tells rows apart, the printed numbers, ours, what makes them."""
    header = list(_keys(table, table.rows[0]))
    header += ["paper_labels_percent"] if table.number == 1 else []
    header += [f"paper_{printed.name}_{measure}" for printed in table.published_sets for measure in MEASURES]
    header += ["labels_percent"]
    for name in report.sets:
        header += [f"{name}_{measure}{suffix}" for measure in MEASURES for suffix in ("", "_std")]
        header += [f"{name}_sequences"]
        if table.corresponds(name):
            header += [f"{name}_{measure}_minus_paper" for measure in MEASURES]
    header += ["seeds", "runs", "status", "profile", "command"]
    return header, [_cells(table, row, report) for row in table.rows]


def _keys(table: Table, row: TableRow) -> dict[str, str]:
    """What tells the rows of a table apart."""
    if table.number == 1:
        return {"method": row.method, "supervision": row.supervision}
    return {"method": row.method, "strategy": row.supervision, "init": row.init}


def _cells(table: Table, row: TableRow, report: Report) -> list[Cell]:
    ours = row.ours or Experiment(())
    cells: list[Cell] = [*_keys(table, row).values()]
    if table.number == 1:
        cells.append(row.published.labels_percent if row.published else None)
    cells += [row.printed(printed.name, measure) for printed in table.published_sets for measure in MEASURES]
    cells.append(_labels_percent(ours, report.labels))
    for name in report.sets:
        for measure in MEASURES:
            score = ours.score(name, measure)
            cells += [score.mean, score.deviation] if score else [None, None]
        sizes = ours.sizes(name)
        cells.append(sizes[0] if sizes else None)
        if table.corresponds(name):
            cells += [row.difference(name, measure) for measure in MEASURES]
    cells += [" ".join(map(str, ours.seeds)), " ".join(run.spec.name for run in ours.runs), _status(row, report)]
    return [*cells, report.profile, " && ".join(reproduce(run.spec.name) for run in ours.runs)]


def _labels_percent(ours: Experiment, labels: LabelCounts) -> float | None:
    """Percent of the training labels used, only where something was trained and scored."""
    return labels.percent(ours.runs[0].spec.labels) if ours.seeds else None


def _status(row: TableRow, report: Report) -> str:
    if row.ours is None:
        return "published only"
    scored = sum(name in run.scores for run in row.ours.runs for name in report.sets)
    if scored == 0:
        return NOT_RUN
    return "run" if scored == len(row.ours.runs) * len(report.sets) else "partly run"


def table_json(table: Table, report: Report) -> dict[str, Any]:
    """Rows as in the CSV."""
    return {
        "profile": report.profile,
        "sets": list(report.sets),
        "rows": [_entry(table, row, report) for row in table.rows],
    }


def _entry(table: Table, row: TableRow, report: Report) -> dict[str, Any]:
    printed, ours = row.published, row.ours
    entry: dict[str, Any] = {
        **_keys(table, row),
        "status": _status(row, report),
        "paper": {"labels_percent": printed.labels_percent, "scores": printed.scores} if printed else None,
        "ours": None,
    }
    if ours and ours.seeds:
        entry["ours"] = {
            "labels_percent": _rounded(_labels_percent(ours, report.labels)),
            "seeds": ours.seeds,
            "runs": [run.spec.name for run in ours.runs],
            "commands": [reproduce(run.spec.name) for run in ours.runs],
            "scores": {name: _set_entry(row, ours, name) for name in report.sets if ours.scored_on(name)},
        }
    return entry


def _set_entry(row: TableRow, ours: Experiment, name: str) -> dict[str, Any]:
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
