"""Scoring the videos of a set, one after the other or shared out to worker processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.predictions import Predictions

Video = TypeVar("Video")  # of whatever kind
Result = TypeVar("Result")
Score = Callable[[Video, Predictions], Result]


def score_videos(
    score: Score[Video, Result],
    videos: Mapping[str, Video],
    stems: Mapping[str, Sequence[str]],
    predictions: Path,
    processes: int,
) -> list[Result]:
    """`score` of every video and the opened `predictions`, once the masks of all its `stems` are known to be there.

    videos, stems: by name. At most `processes` workers share the videos, those of most stems first; the results come in
    the order of `videos`. What `score` raises is raised here; a worker that dies raises `UserError`. Videos and results
    must be picklable and `score` importable.
    """
    if processes < 1:
        raise UserError(f"evaluate: processes is {processes}, expected 1 or more")
    with Predictions(predictions) as opened:
        for name in videos:
            opened.require(name, stems[name])
        if processes == 1 or len(videos) < 2:
            return [score(video, opened) for video in videos.values()]
    # Threads of other libraries in this process make forking unsafe, so the workers start afresh.
    context = multiprocessing.get_context("spawn")
    longest_first = sorted(videos, key=lambda name: -len(stems[name]))
    with ProcessPoolExecutor(min(processes, len(videos)), mp_context=context) as pool:
        futures = {name: pool.submit(_score_in_worker, score, videos[name], predictions) for name in longest_first}
        try:
            with telling_of_dead_workers("evaluate"):
                return [futures[name].result() for name in videos]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def telling_of_dead_workers(command: str) -> Iterator[None]:
    """Raise `UserError` in the place of what a pool raises whose worker died inside the block."""
    try:
        yield
    except BrokenProcessPool as error:
        raise UserError(
            f"{command}: a worker process died, probably for lack of memory; run again with fewer `processes`. (From a "
            'script of your own: workers read it too, so what it does belongs under `if __name__ == "__main__":`)'
        ) from error


def _score_in_worker(score: Score[Video, Result], video: Video, predictions: Path) -> Result:
    return score(video, _opened(predictions))


@cache
def _opened(predictions: Path) -> Predictions:
    """Opened once in each worker: the list of an archive's files is long."""
    return Predictions(predictions)
