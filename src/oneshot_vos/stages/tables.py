"""Stage `tables`: the comparison with the paper and the summary of all scores."""

from pathlib import Path

from oneshot_vos.params import Params
from oneshot_vos.reporting.table2 import collect_table2
from oneshot_vos.reporting.tables import write_tables


def run(params: Params, metrics: Path, labels: Path, curves: Path, server_scores: Path, out: Path) -> None:
    """Write the tables of the profile into `out`, from the run list and what has been scored of it.

    `server_scores` are the scores that the YouTube-VOS server gave; they are read if the profile has such a set.
    """
    runs = {key: run.described(key) for key, run in params.runs.items()}
    data = params.profile.data
    table2 = collect_table2(
        runs,
        metrics,
        labels,
        data.youtube_sets("held-out"),
        params.profile_name,
        server_scores if data.youtube_sets("valid") else None,
        params.table1_strategy,
    )
    write_tables(
        runs,
        metrics,
        labels,
        curves,
        data.davis_sets,
        params.profile_name,
        out,
        table1_strategy=params.table1_strategy,
        table2=table2,
    )
