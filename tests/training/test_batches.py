"""What a process frees stays with it; what a worker cannot read is told in a sentence."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch.utils.data import Dataset

from oneshot_vos.clips.batch import Clip
from oneshot_vos.errors import UserError
from oneshot_vos.training.batches import keep_freed_memory, load_batches

# 40 MB is above the largest block that glibc keeps by itself. Prints the pages that the system had to hand out, before
# it was told to keep them and after.
PROGRAM = """
import ctypes
import resource
import numpy as np
from oneshot_vos.training.batches import keep_freed_memory

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of one size, that they can be counted

def pages():
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.full(40_000_000, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first

print(pages())
assert keep_freed_memory()
print(pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_blocks_are_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 5


def test_another_c_library_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr("oneshot_vos.training.batches.ctypes.CDLL", lambda _: object())
    assert keep_freed_memory() is False


class Clips(Dataset[Clip]):
    """Clips without content; at position 2 something happens first."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def __getitem__(self, position: int) -> Clip:
        if position == 2:
            self._happens()
        nothing = torch.zeros(0)
        return Clip(nothing, nothing, nothing, nothing, nothing, str(position))


def load(happens: Callable[[], object], workers: int) -> list[list[str]]:
    """The names of two batches. No worker may be left: Python waits for them at its end, and no signal ends them."""
    loaded = load_batches(Clips(happens), [[0, 1], [2, 3]], workers, torch.device("cpu"))
    try:
        return [batch.names for batch in loaded]
    except Exception:
        assert multiprocessing.active_children() == []
        raise


def missing() -> None:
    raise UserError("cat.jpg: no such file")


def forbidden() -> None:
    raise PermissionError(13, "Permission denied", "cat.jpg")


def wrong() -> None:
    raise ValueError("a fault of the program")


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_order(workers) -> None:
    assert load(lambda: None, workers) == [["0", "1"], ["2", "3"]]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (missing, "cat.jpg: no such file"),
        (forbidden, "cat.jpg: Permission denied; expected rights to read or to write it"),
    ],
)
def test_an_image_that_cannot_be_read_is_named_alone(happens, told, workers) -> None:
    """A worker's traceback is nothing to show a user."""
    with pytest.raises(UserError, match=f"^{re.escape(told)}") as caught:
        load(happens, workers)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_of_the_program_stays_one(workers) -> None:
    with pytest.raises(ValueError, match="a fault of the program"):
        load(wrong, workers)


def test_who_takes_no_more_batches_closes_the_workers() -> None:
    batches = load_batches(Clips(lambda: None), [[0, 1], [2, 3]], 1, torch.device("cpu"))
    assert next(batches).names == ["0", "1"]
    assert multiprocessing.active_children()
    batches.close()
    assert multiprocessing.active_children() == []


def test_a_worker_that_was_ended_is_told() -> None:
    with pytest.raises(UserError, match=r"ended \(DataLoader worker \(pid.*lower training.workers"):
        load(lambda: os.kill(os.getpid(), signal.SIGKILL), 1)
