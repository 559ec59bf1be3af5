"""What both kinds of download share: how patient they are, how they fail, and where their bytes go."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oneshot_vos.errors import UserError

_SPARE = 64 << 20  # bytes that stay free on the disk


class MirrorError(Exception):
    """One mirror cannot give the file; the text is a sentence that names it. Another mirror may be tried."""


@dataclass(frozen=True)
class Patience:
    """How much a download puts up with.

    `attempts` in a row that bring nothing new end it. `timeout` is how long the server may be silent, `pause` the wait
    before the second attempt, doubled each time; both in seconds.
    """

    attempts: int = 5
    timeout: float = 60.0
    pause: float = 1.0


DEFAULT_PATIENCE = Patience()


def require_space(target: Path, needed: int) -> None:
    """Raise `UserError` unless the disk of `target` (which need not exist) has room for `needed` bytes and a little."""
    folder = next(parent for parent in (target, *target.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise UserError(
            f"{target}: needs {shown_bytes(needed)}, and the disk has {shown_bytes(free)} left; expected room for it. "
            "Free some space, or choose a --root on another disk, then run the same command again: it goes on"
        )


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn an error of the disk inside the block into a `UserError`: no other mirror could help."""
    try:
        yield
    except OSError as error:
        remedy = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose another --root"
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); expected room and the right to write. {remedy}, "
            "then run the same command again: it goes on"
        ) from error


def discard(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)


def shown_bytes(number: int) -> str:
    """`832.8 MB`: decimal units, as download pages use them."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
