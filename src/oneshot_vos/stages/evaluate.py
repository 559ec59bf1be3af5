"""Stage `evaluate`: J and F of the masks of a run."""

from pathlib import Path

from oneshot_vos.datasets.index import read_index
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.report import save_result, write_official_csv
from oneshot_vos.files import replacing_folder
from oneshot_vos.params import Params


def run(params: Params, run_key: str, masks: Path, sets: Path, out: Path) -> None:
    """Score `masks/<set>.zip` for every evaluation set: `out/<set>.json` and the two official CSV files of each."""
    score_sets(params, masks, sets, out)


def score_sets(params: Params, masks: Path, sets: Path, out: Path) -> None:
    """Score every evaluation set of the profile; what the stages `evaluate` and `baseline` share."""
    settings = params.profile.evaluate
    with replacing_folder(out) as folder:
        for name in params.profile.data.evaluate:
            result = evaluate_set(
                read_index(sets / f"{name}.json"),
                masks / f"{name}.zip",
                processes=settings.processes,
                tolerance=settings.tolerance,
            )
            save_result(folder / f"{name}.json", result)
            write_official_csv(folder, name, result)
