"""Starting the processes of a training, one per GPU, where nobody has started them.

`torchrun` starts them as well; a process that finds itself one of several trains, and starts nothing.
"""

import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from oneshot_vos.errors import UserError
from oneshot_vos.training.distributed import PARENT

log = logging.getLogger(__name__)

Processes = Literal["auto"] | int
SHARED = "ONESHOT_VOS_SHARED_GPU"  # environment: if set to anything, trainings do not wait for a card of their own
_LOOPBACK = "127.0.0.1"
_SAVING = 30  # seconds that processes have to save and end before they are killed
_PAUSE = 2.0  # seconds between two looks for a free card
_RUN = "from oneshot_vos.cli import app; app()"


@contextmanager
def company(wanted: Processes, clips: int) -> Iterator[bool]:
    """Whether this process is to train: alone, or as one of several. Otherwise others have trained on its behalf.

    wanted: how many processes; `auto`: one per GPU that can be seen, as many as share the `clips` of a micro-batch
    equally, and one where there is no GPU. Each process has a card of its own; no other training of this user on this
    machine has it at the same time, and the next one waits for it, unless `ONESHOT_VOS_SHARED_GPU` is set. A scheduler
    that gave the cards is believed.

    Raises `UserError` if a process died, naming it; then all are ended, and the training can be resumed.
    """
    if "WORLD_SIZE" in os.environ:
        yield True
        return
    cards = visible_cards()
    count = count_processes(wanted, len(cards), clips)
    with _held(cards, count):
        if count == 1:
            yield True
            return
        log.info("starting %d processes", count)
        run_in_processes(count, sys.argv[1:])
        yield False


def count_processes(wanted: Processes, cards: int, clips: int) -> int:
    """How many processes train; see `company`. Raises `UserError` for more than there are cards, if there are any."""
    if wanted == "auto":
        return next(count for count in range(max(1, cards), 0, -1) if clips % count == 0)
    if cards and wanted > cards:
        raise UserError(f"processes is {wanted}, but {cards} GPU(s) can be seen; expected at most one process per GPU")
    return wanted


def visible_cards() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return seen.split(",")[:count] if seen else [str(number) for number in range(count)]


@contextmanager
def _held(cards: list[str], count: int) -> Iterator[None]:
    """Keep `count` of the cards to this training and its processes."""
    if not cards or SHARED in os.environ or "SLURM_JOB_ID" in os.environ:  # SLURM counts the cards of a job from 0
        yield
        return
    with free_cards(cards, count) as own:
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(own)  # read when CUDA is first used
        try:
            yield
        finally:
            os.environ.pop("CUDA_VISIBLE_DEVICES")
            if before is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


@contextmanager
def free_cards(cards: list[str], count: int) -> Iterator[list[str]]:
    """`count` cards that no other process holds so; waits until there are as many. The system frees a dead one's."""
    folder = Path(tempfile.gettempdir()) / f"oneshot-vos-cards-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    while True:
        with ExitStack() as held:
            own: list[str] = []
            for card in cards:
                lock = FileLock(folder / f"{card.replace('/', '_')}.lock")
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                held.callback(lock.release)
                own.append(card)
                if len(own) == count:
                    yield own
                    return
        if not told:
            log.info("waiting for %d free GPU(s) among %s", count, ", ".join(cards))
            told = True
        time.sleep(_PAUSE)


def run_in_processes(count: int, arguments: list[str]) -> None:
    """Run `oneshot-vos` with these arguments in `count` processes that know of each other, and wait for them."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what went wrong is said below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{_LOOPBACK}:0",
        local_addr=_LOOPBACK,
        max_restarts=0,
        monitor_interval=0.5,
        shutdown_timeout=_SAVING,
    )
    os.environ[PARENT] = str(os.getpid())
    try:
        elastic_launch(config, sys.executable)("-c", _RUN, *arguments)
    except SignalException as ended:
        if ended.sigval == signal.SIGINT:
            raise KeyboardInterrupt from ended
        raise SystemExit(128 + ended.sigval) from ended
    except ChildFailedError as error:
        raise _explained(min(error.failures.values(), key=_blame), count) from error
    finally:
        os.environ.pop(PARENT)


def _blame(failure: ProcessFailure) -> tuple[bool, bool, int]:
    """Orders failures: a process killed from outside, one that gave up with a message or for want of another, one that
    was asked to end because of it; times are whole seconds and tell little.
    """
    return failure.exitcode == -signal.SIGTERM, failure.exitcode >= 0, failure.timestamp


def _explained(failure: ProcessFailure, count: int) -> Exception | SystemExit:
    """What to raise for the process that failed first."""
    if failure.exitcode > 0:  # it has said why
        return SystemExit(failure.exitcode)
    name = signal.Signals(-failure.exitcode).name
    hint = " The system kills a process when memory runs out: see accumulation." if name == "SIGKILL" else ""
    return UserError(
        f"process {failure.local_rank + 1} of {count} of this training was ended by {name}; the others were ended as "
        f"well.{hint} Rerun to resume"
    )
