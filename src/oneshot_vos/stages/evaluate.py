"""Stage `evaluate`: J and F of the masks of a run, and of its earlier states."""

from collections.abc import Mapping
from pathlib import Path

from oneshot_vos.catalogue import STRATEGIES
from oneshot_vos.datasets.index import read_index
from oneshot_vos.datasets.video import shown_videos
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.report import save_result, write_official_csv
from oneshot_vos.evaluation.results import SetResult
from oneshot_vos.files import replacing_folder, write_json
from oneshot_vos.params import Params


def run(params: Params, run_key: str, masks: Path, sets: Path, out: Path) -> None:
    """Score `masks/<set>.zip` for every evaluation set: `out/<set>.json` and the two official CSV files of each.

    `out/curve.json` has the scores of the earlier states, from `masks/curve/<iteration>.zip`, and of the last one.
    """
    profile, chosen = params.profile, params.run(run_key)
    given = STRATEGIES[chosen.backward].given
    with replacing_folder(out) as folder:
        results = score_sets(params, masks, sets, folder, given)
        curve = profile.curve
        videos = shown_videos(read_index(sets / f"{curve.set}.json"), given, curve.videos)
        states = {
            int(file.stem): evaluate_set(
                videos, file, processes=profile.evaluate.processes, tolerance=profile.evaluate.tolerance
            ).summary
            for file in sorted((masks / "curve").glob("*.zip"))
        }
        names = {video.name for video in videos}
        last = [entry for entry in results[curve.set].sequences if entry.name in names]
        states[profile.train[chosen.model].iterations] = SetResult(tuple(last), profile.evaluate.tolerance).summary
        write_json(folder / "curve.json", _curve(curve.set, len(videos), states))


def _curve(name: str, videos: int, states: Mapping[int, Mapping[str, float]]) -> dict[str, object]:
    """Scores in percent over iterations."""
    columns = {"JF": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
    scores = {
        short: [round(100 * states[iteration][official], 2) for iteration in sorted(states)]
        for short, official in columns.items()
    }
    return {"set": name, "videos": videos, "iterations": sorted(states), **scores}


def score_sets(params: Params, masks: Path, sets: Path, folder: Path, given: str = "first") -> dict[str, SetResult]:
    """Score every evaluation set of the profile into `folder`; what the stages `evaluate` and `baseline` share."""
    settings = params.profile.evaluate
    results = {}
    for name in params.profile.data.evaluate:
        result = evaluate_set(
            shown_videos(read_index(sets / f"{name}.json"), given),
            masks / f"{name}.zip",
            processes=settings.processes,
            tolerance=settings.tolerance,
        )
        save_result(folder / f"{name}.json", result)
        write_official_csv(folder, name, result)
        results[name] = result
    return results
