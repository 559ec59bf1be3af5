"""Stage `evaluate`: scores of the masks of a run, and of its earlier states; archives for the YouTube-VOS server."""

import logging
from collections.abc import Mapping
from pathlib import Path

from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.listing import sequence_table
from oneshot_vos.evaluation.results import SHORT_NAMES, SetResult
from oneshot_vos.evaluation.score_files import save_result, save_youtube_result, write_official_csv, write_youtube_csv
from oneshot_vos.evaluation.server_zip import write_server_zip
from oneshot_vos.evaluation.youtube import evaluate_youtube
from oneshot_vos.files import replacing_folder, write_json
from oneshot_vos.params import Params
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.objects_index import read_youtube_index
from oneshot_vos.videos.video import evaluation_videos

_log = logging.getLogger(__name__)


def run(params: Params, run_key: str, masks: Path, sets: Path, out: Path, summary: Path) -> None:
    """Score `masks/<set>.zip` for every evaluation set: `out/<set>.json` and the two official CSV files of each.

    For a set of YouTube-VOS without ground truth it writes `out/<set>-server.zip` instead, ready to hand in. The sets
    of YouTube-VOS of a network that is shown no object have no masks and are left out.
    `out/curve.json` has the scores of the earlier states, from `masks/curve/<iteration>.zip`, and of the last one.
    `summary` has the scores of every set in percent, for `dvc metrics diff`; a table per set is logged, then these.
    """
    profile, chosen = params.profile, params.runs[run_key]
    given = chosen.given
    with replacing_folder(out) as folder:
        results = score_sets(params, masks, sets, folder, given)
        summaries = {name: percent(result.summary) for name, result in results.items()}
        if given == "first":
            summaries |= _score_youtube(params, masks, sets, folder)
        curve = profile.curve
        videos = evaluation_videos(read_index(sets / f"{curve.set}.json"), given, curve.videos)
        files = sorted((masks / "curve").glob("*.zip"))
        how = profile.evaluate.model_dump()
        states = {int(file.stem): evaluate_set(videos, file, **how).summary for file in files}
        names = {video.name for video in videos}
        last = [entry for entry in results[curve.set].sequences if entry.name in names]
        states[params.trainings[run_key].iterations] = SetResult(tuple(last), profile.evaluate.tolerance).summary
        scores = [percent(states[iteration]) for iteration in sorted(states)]  # in the order of the iterations
        over_training = {short: [each[short] for each in scores] for short in SHORT_NAMES}
        about = {"set": curve.set, "videos": len(videos), "iterations": sorted(states)}
        write_json(folder / "curve.json", {**about, **over_training})
    write_json(summary, summaries)
    for name, result in results.items():
        _log.info("\n%s\n%s\n", name, sequence_table(result))
    log_summaries(run_key, summaries)


def log_summaries(what: str, summaries: Mapping[str, Mapping[str, float]]) -> None:
    """One line: the scores of every set in percent."""
    lines = [
        f"{name} " + ", ".join(f"{key.replace('JF', 'J&F')} {value:.1f}" for key, value in scores.items())
        for name, scores in summaries.items()
    ]
    _log.info("%s: %s", what, "; ".join(lines))


def percent(summary: Mapping[str, float]) -> dict[str, float]:
    """J&F, J and F of a set in percent, under short names."""
    return {short: round(100 * summary[official], 2) for short, official in SHORT_NAMES.items()}


def _score_youtube(params: Params, masks: Path, sets: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Score the sets of YouTube-VOS, or pack their masks for the server; what is scored, in percent."""
    how, summaries = params.profile.evaluate.model_dump(), {}
    for name in params.profile.data.evaluate:
        dataset = read_youtube_index(sets / f"{name}.json")
        if dataset is None:
            continue
        archive = masks / f"{name}.zip"
        if any(video.truth for video in dataset.videos):
            result = evaluate_youtube(dataset, archive, **how)
            save_youtube_result(folder / f"{name}.json", result)
            write_youtube_csv(folder, name, result)
            known = {key: value for key, value in result.summary.items() if value is not None}
            summaries[name] = {key: round(100 * value, 2) for key, value in known.items()}
        else:
            write_server_zip(dataset, archive, folder / f"{name}-server.zip")
    return summaries


def score_sets(params: Params, masks: Path, sets: Path, folder: Path, given: str = "first") -> dict[str, SetResult]:
    """Score every evaluation set but those of YouTube-VOS into `folder`; what `evaluate` and `baseline` share."""
    results = {}
    for name in params.profile.data.davis_sets:
        videos = evaluation_videos(read_index(sets / f"{name}.json"), given)
        result = evaluate_set(videos, masks / f"{name}.zip", **params.profile.evaluate.model_dump())
        save_result(folder / f"{name}.json", result)
        write_official_csv(folder, name, result)
        results[name] = result
    return results
