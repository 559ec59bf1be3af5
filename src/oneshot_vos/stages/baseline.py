"""Stage `baseline`: repeat the first mask over every video, and score that; what every network has to beat."""

from pathlib import Path

from oneshot_vos.files import replacing_folder
from oneshot_vos.inference.writer import copy_first
from oneshot_vos.params import Params
from oneshot_vos.stages.evaluate import log_summaries, percent, score_sets
from oneshot_vos.videos.index import read_index


def run(params: Params, sets: Path, masks: Path, metrics: Path) -> None:
    """Write `masks/<set>.zip` and the scores of every evaluation set below `metrics`.

    Sets of YouTube-VOS are left out: their objects begin at different times, so there is no first mask to repeat.
    """
    with replacing_folder(masks) as folder:
        for name in params.profile.data.davis_sets:
            copy_first(read_index(sets / f"{name}.json"), folder / f"{name}.zip")
    with replacing_folder(metrics) as folder:
        results = score_sets(params, masks, sets, folder)
    log_summaries("repeating the first mask", {name: percent(result.summary) for name, result in results.items()})
