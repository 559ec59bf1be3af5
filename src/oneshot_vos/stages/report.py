"""Stage `report`: the page to look at, of everything that the profile measured."""

from pathlib import Path

from oneshot_vos.params import Params
from oneshot_vos.reporting.page.pipeline import write_pipeline_report
from oneshot_vos.reporting.results import read_results
from oneshot_vos.videos.index import read_index


def run(
    params: Params,
    metrics: Path,
    masks: Path,
    labels: Path,
    curves: Path,
    probes: Path,
    sets: Path,
    server_scores: Path,
    out: Path,
) -> None:
    """Write `out/index.html` and all it needs, and `out/plots/*.csv`, from the run list and what has been run of it.

    `server_scores` are the scores that the YouTube-VOS server gave; they are read if the profile has such a set.
    """
    results = read_results(params, metrics, labels, curves, probes, server_scores)
    videos = {name: read_index(sets / f"{name}.json") for name in results.sets}
    write_pipeline_report(results, metrics, masks, curves, videos, out)
