"""The disk: room for what comes, its errors in words, and one process at a time."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from oneshot_vos.errors import UserError

log = logging.getLogger(__name__)

_SPARE = 64 << 20  # bytes that stay free on the disk


def shown_bytes(number: int) -> str:
    """`833MB`: decimal units, as download pages use them."""
    return str(tqdm.format_sizeof(number, "B"))


def free_bytes(path: Path) -> int:
    """Room on the disk of `path`, which need not exist."""
    return shutil.disk_usage(next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())).free


def require_space(target: Path, needed: int) -> None:
    """Raise `UserError` unless the disk of `target` has room for `needed` bytes and a little."""
    free = free_bytes(target)
    if free < needed + _SPARE:
        raise UserError(
            f"{target}: needs {shown_bytes(needed or _SPARE)}, and the disk has {shown_bytes(free)} left; expected "
            "room for it. Free some space or choose a folder on another disk, then rerun to resume"
        )


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read or written ({error.strerror or error}); expected a sound disk with room and the "
            "right to write. Free some space or choose another folder, then rerun to resume"
        ) from error


@contextmanager
def one_process(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block; while another process has it, say so and wait."""
    with on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process is at work on it; waiting", what)
            held = lock.acquire()
    with held:
        yield
