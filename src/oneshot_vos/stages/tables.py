"""Stage `tables`: the comparison with the paper and the summary of all scores."""

import logging
from pathlib import Path

from oneshot_vos.params import Params
from oneshot_vos.reporting.results import COPY_FIRST, read_profile
from oneshot_vos.reporting.tables import write_tables

_log = logging.getLogger(__name__)


def run(
    params: Params, metrics: Path, labels: Path, curves: Path, probes: Path, server_scores: Path, out: Path
) -> None:
    """Write the tables of the profile into `out`, from the run list and what has been scored of it.

    `server_scores` are the scores that the YouTube-VOS server gave; they are read if the profile has such a set.
    """
    results = read_profile(params, metrics, labels, curves, probes, server_scores)
    write_tables(results, params.table1_strategy, out)
    scored = results.scores["run"].nunique() - (results.scores["run"] == COPY_FIRST).any()
    _log.info("%s of %d runs scored; see %s", scored, len(results.runs), out / "summary.md")
