"""Sharing out the videos of a set to worker processes."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from oneshot_vos.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_longest_first(
    function: Callable[[Task], Result], tasks: Sequence[Task], lengths: Sequence[int], processes: int
) -> list[Result]:
    """`function` of every task, in the order of `tasks`, by at most `processes` workers; the longest are begun first.

    What `function` raises is raised here; a worker that dies raises `UserError`. Tasks and results must be picklable
    and `function` importable.
    """
    # Threads of other libraries in this process make forking unsafe, so the workers start afresh.
    context = multiprocessing.get_context("spawn")
    longest_first = sorted(range(len(tasks)), key=lambda index: -lengths[index])
    with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context) as pool:
        futures: dict[int, Future[Result]] = {index: pool.submit(function, tasks[index]) for index in longest_first}
        try:
            return [futures[index].result() for index in range(len(tasks))]
        except BrokenProcessPool as error:
            raise UserError(
                "evaluate: a worker process died, probably for lack of memory; run again with fewer `processes`"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
