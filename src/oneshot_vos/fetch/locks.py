"""One process at a time: a lock that the operating system releases with the process that holds it."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oneshot_vos.errors import UserError

_PAUSE = 0.2  # seconds between two looks at a lock that is taken


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` inside the block; calls `waiting` once if another process has it, and waits.

    The file stays: removing it would let two processes hold locks on different files of one name. A folder that
    cannot be written to, or a file system without locks, raises `UserError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); expected a folder that can be written to. Choose "
            "another --root"
        ) from error
    try:
        _wait_for(handle, path, waiting)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, path: Path, waiting: Callable[[], None]) -> None:
    said = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise UserError(
                    f"{path}: cannot be locked ({error.strerror}); expected a file system with locks. Choose a --root "
                    "on another disk"
                ) from error
        else:
            return
        if not said:
            waiting()
            said = True
        time.sleep(_PAUSE)
