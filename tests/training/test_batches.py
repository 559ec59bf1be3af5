"""What a process frees stays with it."""

import subprocess
import sys

import pytest

from oneshot_vos.training.batches import keep_freed_memory

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
