"""Freed memory is used again instead of given back to the system.

A clip is made of arrays of a few megabytes that live for a moment. By default glibc asks the system for such a block
and gives it back at once, and the system clears every page of it anew, which costs a good part of the loader's time and
some of a training step's on a processor.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of glibc's mallopt, from malloc.h
_NEVER = 2**31 - 1  # bytes at the top of the heap that are kept: the largest number that mallopt takes


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, which costs a few per cent of memory; False where there is no glibc.

    For processes that do nothing but train or load: it holds for all that the process does from now on.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such library, no such function, no handle to the process itself
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
