"""Batches in a fixed order: what comes at an iteration depends on the seed and the iteration alone."""

import ctypes
import signal
import traceback
from collections.abc import Generator, Iterable, Iterator, Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from oneshot_vos.clips.batch import Clip, ClipBatch, collate
from oneshot_vos.errors import UserError, refusal
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
) -> Generator[ClipBatch, None, None]:
    """The micro-batches of these positions on `device`, prepared by `workers` processes ahead of their use.

    dataset: answers any position from 0 on, epoch after epoch.

    Raises `UserError` for a file that cannot be read (any more), and when a worker was ended from outside. Who
    does not take all batches has to close it: Python waits for workers when it ends.
    """
    loader = DataLoader(
        _Told(dataset),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
        worker_init_fn=_prepare_worker,
    )
    prepared = iter(loader)
    try:
        while isinstance(batch := _next(prepared), ClipBatch):
            yield batch.to(device)
        if isinstance(batch, UserError):
            raise batch
    except BaseException as error:
        # Whoever holds the error holds these frames, they hold the workers, and at its end Python would wait for them.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        del prepared


def _next(prepared: Iterator[ClipBatch | UserError]) -> ClipBatch | UserError | None:
    """What comes next; None at the end."""
    try:
        return next(prepared, None)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            f"a process that prepares clips was ended ({str(error).splitlines()[0]}). Most often memory ran out, or a "
            "container's shared memory (docker run --shm-size 8g): give it more, or lower training.workers (0 needs no "
            "such process), then rerun to resume"
        ) from error


class _Told(Dataset[Clip | UserError]):
    """Answers with the error that a user can act on: raised in a worker it would come with the worker's traceback."""

    def __init__(self, dataset: Dataset[Clip]) -> None:
        self._dataset = dataset

    def __getitem__(self, position: int) -> Clip | UserError:
        try:
            return self._dataset[position]
        except UserError as error:
            return error
        except OSError as error:
            told = refusal(error)
            if told is None:
                raise
            return UserError(told)


def _collate(clips: Sequence[Clip | UserError]) -> ClipBatch | UserError:
    """The batch, or the first error among its clips."""
    told = next((clip for clip in clips if isinstance(clip, UserError)), None)
    return told or collate([clip for clip in clips if isinstance(clip, Clip)])


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
