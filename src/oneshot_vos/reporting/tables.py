"""Stage `tables`: from the scores of all runs to the tables and the summary that people read.

`table1.*` to `table4.*` set our scores against the paper's, `runs.*` has every run of the list, each as
CSV (all columns), JSON (the same, nested) and Markdown (what fits a screen); `curves.*` has the scores over the course
of training; `summary.json` is for `dvc metrics diff`, `summary.md` is where a person starts. Scores are percent. Equal
inputs give equal bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oneshot_vos.files import write_json, write_text
from oneshot_vos.reporting.canvas import save_png
from oneshot_vos.reporting.comparison import TABLE1_STRATEGY
from oneshot_vos.reporting.markdown import ablation_markdown, runs_markdown, table1_markdown
from oneshot_vos.reporting.progress import curves_csv, curves_image
from oneshot_vos.reporting.report import Report, collect
from oneshot_vos.reporting.run_files import runs_csv, runs_json
from oneshot_vos.reporting.summary import metrics_summary, summary_markdown
from oneshot_vos.reporting.table2 import Table2, write_table2
from oneshot_vos.reporting.table_files import table_csv, table_json
from oneshot_vos.reporting.text import csv_text


def write_tables(
    runs: Mapping[str, Mapping[str, Any]],
    metrics_dir: Path,
    labels_dir: Path,
    curves_dir: Path,
    evaluate_sets: Sequence[str],
    profile: str,
    out_dir: Path,
    table1_strategy: Mapping[str, str] = TABLE1_STRATEGY,
    figures: str = "../figures",
    table2: Table2 | None = None,
) -> None:
    """Write the paper's four tables, those of all runs and of all curves, and the summary into `out_dir`.

    `runs` is the list of runs of params.yaml: name to network, strategy, labels, init, seed. Scores are read from
    `<metrics_dir>/<run>/<set>.json`, those over training from `<metrics_dir>/<run>/curve.json`, label counts from
    `label_ratio.json` of `labels_dir` (the folder of one kind of labels, or the one above both), training records from
    `<curves_dir>/{<run>,pretrain-<network>}/run.json`; only runs of the list are looked at. A run or set without scores
    is reported as not run. `table1_strategy` names the strategy that stands for one-shot training in Table 1, per
    network. `figures` is the folder of the figures as seen from `out_dir`, for the links to them. `table2` has
    other sets than `evaluate_sets`; None: it is not written.
    """
    report = collect(runs, metrics_dir, labels_dir, curves_dir, evaluate_sets, profile, table1_strategy)
    for table in (report.table1, report.table3, report.table4):
        stem = f"table{table.number}"
        write_text(out_dir / f"{stem}.csv", csv_text(*table_csv(table, report)))
        write_json(out_dir / f"{stem}.json", table_json(table, report))
    if table2 is not None:
        write_table2(table2, out_dir)
    _write_markdown(report, out_dir)
    write_text(out_dir / "runs.csv", csv_text(*runs_csv(report)))
    write_json(out_dir / "runs.json", runs_json(report))
    write_text(out_dir / "curves.csv", csv_text(*curves_csv(report.curves)))
    save_png(out_dir / "curves.png", curves_image(report.specs, report.curves))
    write_json(out_dir / "summary.json", metrics_summary(report, table2))
    write_text(out_dir / "summary.md", summary_markdown(report, figures, table2))


def _write_markdown(report: Report, out_dir: Path) -> None:
    pages = {
        "table1": ("Table 1", table1_markdown(report)),
        "table3": ("Table 3", ablation_markdown(report.table3, report)),
        "table4": ("Table 4", ablation_markdown(report.table4, report)),
        "runs": ("All runs", runs_markdown(report)),
    }
    for stem, (title, text) in pages.items():
        write_text(out_dir / f"{stem}.md", f"# {title}, profile `{report.profile}`\n\n{text}\n")
