"""Stage `tables`: the comparison with the paper and the summary of all scores."""

from pathlib import Path

from oneshot_vos.params import Params
from oneshot_vos.reporting.tables import write_tables


def run(params: Params, metrics: Path, labels: Path, curves: Path, out: Path) -> None:
    """Write the tables of the profile into `out`, from the run list and what has been scored of it."""
    write_tables(
        {key: run.model_dump() for key, run in params.runs.items()},
        metrics,
        labels,
        curves,
        params.profile.data.evaluate,
        params.profile_name,
        out,
        table1_backward=params.table1_backward,
    )
