"""Stage `tables`: from the scores of all runs to the tables and the summary that people read.

`table1.*` to `table4.*` set our scores against the paper's, `runs.*` has every run of the list, each as CSV (all
columns) and as Markdown (what fits a screen); `sequences.csv` has J&F of every sequence and run, `curves.*` the scores
over the course of training, `takeoff.*` how much networks look at their references; `summary.json` is for `dvc metrics
diff`, `summary.md` is where a person starts.
Scores are percent. Equal inputs give equal bytes.
"""

import logging
from pathlib import Path

from oneshot_vos.files import write_json, write_text
from oneshot_vos.params import Params
from oneshot_vos.reporting.canvas import save_png
from oneshot_vos.reporting.comparison import paper_tables, runs_csv, sequences_csv, table_csv
from oneshot_vos.reporting.markdown import runs_markdown, table_markdown
from oneshot_vos.reporting.progress import curves_image, takeoff_image
from oneshot_vos.reporting.published import MEASURES
from oneshot_vos.reporting.results import COPY_FIRST, read_results
from oneshot_vos.reporting.summary import metrics_summary, summary_markdown
from oneshot_vos.reporting.text import csv_text

_log = logging.getLogger(__name__)


def run(
    params: Params, metrics: Path, labels: Path, curves: Path, probes: Path, server_scores: Path, out: Path
) -> None:
    """Write the paper's four tables, those of all runs and of all curves, and the summary into `out`.

    A run or set of the profile without scores is reported as not run.
    `server_scores` are the scores that the YouTube-VOS server gave; they are read if the profile has such a set.
    """
    results = read_results(params, metrics, labels, curves, probes, server_scores)
    tables = paper_tables(results)
    pages = {f"table{number}": table_markdown(table, results) for number, table in tables.items()}
    pages["runs"] = runs_markdown(results)
    for stem, text in pages.items():
        title = stem.replace("table", "Table ").replace("runs", "All runs")
        write_text(out / f"{stem}.md", f"# {title}, profile `{results.profile}`\n\n{text}\n")
    for number, table in tables.items():
        write_text(out / f"table{number}.csv", csv_text(table_csv(table)))
    write_text(out / "runs.csv", csv_text(runs_csv(results)))
    write_text(out / "sequences.csv", csv_text(sequences_csv(results)))
    write_text(out / "curves.csv", csv_text(results.curves[["run", "iteration", *MEASURES]]))
    save_png(out / "curves.png", curves_image(results.runs, results.curves))
    write_text(out / "takeoff.csv", csv_text(results.takeoff))
    save_png(out / "takeoff.png", takeoff_image(results.runs, results.takeoff))
    write_json(out / "summary.json", metrics_summary(results, tables))
    write_text(out / "summary.md", summary_markdown(results, tables[1], pages))
    scored = results.scores["run"].nunique() - (results.scores["run"] == COPY_FIRST).any()
    _log.info("%s of %d runs scored; see %s", scored, len(results.runs), out / "summary.md")
