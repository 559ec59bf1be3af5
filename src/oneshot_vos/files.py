"""Writing files so that a reader never meets half of one, and folders that one process works in at a time."""

import csv
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from oneshot_vos.errors import UserError

# Files that say that a process works in a folder, and which.
LOCK, OWNER = "lock", "lock.pid"
_MAKE_AGAIN = "Restore the file, or run the command again that makes it"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it becomes `target` in one step, on failure it is removed.

    The data reach the disk before the rename, so a power cut leaves either the old file or the new one. A full disk
    or a missing right to write raises `UserError` with the file's name and leaves the old file untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise UserError(
            f"{target}: could not be written ({error.strerror or error}); the file that was there before, if any, "
            "is unchanged. Free some space or choose another folder, then run the same command again: it resumes"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Like `replacing`, for a folder: yields a new empty one that takes the place of `target` at the end."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(
            f"{target}: could not be written ({error.strerror or error}). Free some space or choose another folder, "
            "then run the same command again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def held(folder: Path, doing: str) -> Iterator[None]:
    """Hold `folder`, which need not exist, inside the block; a folder that is empty then is removed.

    Temporary files below it, which a process left that was killed as it wrote them, are removed first.
    While another process holds it, `UserError` names that process and the folder at once. doing: what a process holds
    it for, such as "training this run".
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(
            f"{folder}: {_owner(folder)} is {doing}. Wait for it, or end it (an interrupted pipeline can leave its "
            "stages behind), then rerun to resume"
        ) from error
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be used ({error.strerror or error}); expected a folder that can be written to. Choose "
            "another one, or mend its rights"
        ) from error
    try:
        (folder / OWNER).write_text(f"{os.getpid()}\n", encoding="utf-8")
        _remove_leftovers(folder)
        yield
    finally:
        for name in (OWNER, LOCK):  # while they are ours
            (folder / name).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """Remove what `replacing` did not finish, but in folders below that another process may hold."""
    for part in list(folder.rglob(".*.part")):
        inner = part.relative_to(folder).parents
        if any((folder / above / LOCK).exists() for above in inner if above != Path()):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _owner(folder: Path) -> str:
    try:
        return f"process {int((folder / OWNER).read_text(encoding='utf-8'))}"
    except (OSError, ValueError):
        return "another process"


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically; raises `UserError` if it has a path that is not UTF-8."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        odd = text[max(0, error.start - 40) : error.end]
        raise UserError(
            f"{path}: cannot be written, since it names a path that is not UTF-8 (…{odd!r}); expected names that can "
            "be written into files. Rename that file or folder"
        ) from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a table atomically."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_text(path, stream.getvalue())


def read_json(path: Path, expected: str) -> Any:
    """Read JSON; `expected` says in a few words what the file should be, for the error message."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except IsADirectoryError as error:
        raise UserError(f"{path}: is a folder; expected {expected}. Name the file in it") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; expected {expected}. {_MAKE_AGAIN}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not text, or nested without end
        raise UserError(f"{path}: not readable as JSON ({error}); expected {expected}. {_MAKE_AGAIN}") from error


@contextmanager
def taken_apart(path: Path, expected: str, remedy: str = _MAKE_AGAIN) -> Iterator[None]:
    """Take a document that was read from `path` apart inside the block: what it lacks raises `UserError`.

    expected: what the file should be, in a few words.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: incomplete ({found}); expected {expected}. {remedy}") from error


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's contents."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip whose bytes depend on names and contents alone (stored, fixed times and rights), atomically.

    Members are written in the order given, one at a time, so the iterable may be a generator over a long video.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


def fingerprint(values: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `values`: equal values give equal text on every machine."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`name: former value, now value` of everything in which two JSON objects differ, by dotted names."""
    lines = []
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [f"{key}.{line}" for line in changes(old, new)]
        elif json.dumps(old) != json.dumps(new):
            lines.append(f"{key}: {old}, now {new}")
    return lines
