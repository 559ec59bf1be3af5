"""Processes beside that of the tests."""

import multiprocessing
from multiprocessing.context import ForkServerContext


def forkserver() -> ForkServerContext:
    """Starts processes as forks of one that has imported what trainings need, and what torch imports late."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "oneshot_vos.training.launch", "tests.training.test_equality"])
    return context
