"""Batches in a fixed order: what comes at an iteration depends on the seed and the iteration alone."""

import ctypes
import signal
from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from oneshot_vos.clips.batch import Clip, ClipBatch, collate
from oneshot_vos.training.distributed import World

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of glibc's mallopt, from malloc.h
_NEVER = 2**31 - 1  # bytes at the top of the heap that are kept: the largest number that mallopt takes


def positions(world: World, batch_size: int, accumulation: int, start: int, stop: int) -> Iterator[list[int]]:
    """The positions of this process's micro-batches, from iteration `start` on."""
    for iteration in range(start, stop):
        first = iteration * batch_size
        mine = range(first, first + batch_size)[world.share(batch_size)]
        size = len(mine) // accumulation
        for micro in range(accumulation):
            yield list(mine[micro * size : (micro + 1) * size])


def load_batches(
    dataset: Dataset[Clip], batches: Iterable[list[int]], workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """The micro-batches of these positions on `device`, prepared by `workers` processes ahead of their use.

    dataset: answers any position from 0 on, epoch after epoch.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
        worker_init_fn=_prepare_worker,
    )
    for batch in loader:
        yield batch.to(device)


def _prepare_worker(worker: int) -> None:
    """The training process decides when to stop; its workers end when it tells them to, or when it is gone.

    A signal to the whole group must not take the clips away from the iteration that is finished before saving.
    PyTorch's workers look for their parent every few seconds.
    """
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, which costs a few per cent of memory; False where there is no glibc.

    A clip is made of arrays of a few megabytes that live for a moment. By default glibc asks the system for such a
    block and gives it back at once, and the system clears every page of it anew, which costs a good part of the
    loader's time and some of a training step's on a processor.

    For processes that do nothing but train or load: it holds for all that the process does from now on.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such library, no such function, no handle to the process itself
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
