"""Unpacking archives that nobody vouches for: every member is checked before one byte of it is written.

Zip and tar (plain or compressed) are told apart by their content. Only files and folders are taken, with names that
stay below the target; anything else, a repeated name, too many members or too many bytes end the unpacking.
"""

import lzma
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.transfer import require_space, shown_bytes, written

_BLOCK = 1 << 20
_LONGEST_NAME = 255  # bytes in one part of a path, what common file systems take
_ENCRYPTED = 0x1
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError)
_TAR_ERRORS = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
# What some systems add to archives and nobody wants.
_DEBRIS = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Limits:
    """More than any of the data sets needs, less than what fills a disk by surprise."""

    members: int = 2_000_000
    bytes: int = 200 * 10**9


DEFAULT_LIMITS = Limits()


class _Members:
    """Checks names and adds up sizes; every path below the target that was accepted."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._bytes = 0

    def refuse(self, finding: str, expected: str) -> UserError:
        return UserError(
            f"{self._archive}: {finding}; expected {expected}. Nothing of it was used: delete the file and get it "
            "again from a source that you trust"
        )

    def accept(self, name: str, size: int, is_folder: bool) -> PurePosixPath | None:
        """The path of a member below the target; None for debris. Raises `UserError` for what must not be unpacked."""
        path = self._path(name)
        if path is None or path.parts[0] in _DEBRIS or path.name in _DEBRIS or path.name.startswith("._"):
            return None
        self._bytes += size
        if len(self._files) + len(self._folders) >= self._limits.members:
            raise self.refuse(f"more than {self._limits.members} members", "fewer")
        if self._bytes > self._limits.bytes:
            raise self.refuse(f"unpacks to more than {shown_bytes(self._limits.bytes)}", "less")
        self._enter(path, name, is_folder)
        return path

    def _path(self, name: str) -> PurePosixPath | None:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or "\\" in name or (parts and len(parts[0]) == 2 and parts[0][1] == ":"):
            raise self.refuse(f"member '{name}' has an absolute path or a backslash", "names below the archive's top")
        if ".." in parts:
            raise self.refuse(f"member '{name}' leads out of the target by '..'", "names below the archive's top")
        if any(ord(letter) < 32 for letter in name) or any(len(part.encode()) > _LONGEST_NAME for part in parts):
            raise self.refuse(f"member {name[:80]!r} has control characters or an endless name", "plain names")
        return PurePosixPath(*parts) if parts else None

    def _enter(self, path: PurePosixPath, name: str, is_folder: bool) -> None:
        """Note the path; the same file twice, or a file where a folder is, cannot both be unpacked."""
        key = unicodedata.normalize("NFC", str(path))
        parents = [unicodedata.normalize("NFC", str(parent)) for parent in path.parents][:-1]
        clash = key in self._files or (not is_folder and key in self._folders)
        if clash or any(parent in self._files for parent in parents):
            raise self.refuse(f"member '{name}' takes the place of another one", "every name once")
        self._folders.update(parents)
        (self._folders if is_folder else self._files).add(key)


def unpack(archive: Path, target: Path, *, title: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Unpack `archive` into the new folder `target`.

    Rights, owners and times of the archive are not taken over. A file that is no archive, is damaged, or has a member
    that must not be unpacked raises `UserError`; what was written until then is left to the caller to remove.
    """
    with written(target):
        target.mkdir(parents=True)
    if is_zip(archive):
        _unpack_zip(archive, target, title, limits)
    elif is_tar(archive):
        _unpack_tar(archive, target, title, limits)
    else:
        raise UserError(
            f"{archive}: neither a zip nor a tar file, or cut off ({archive.stat().st_size} bytes); expected the "
            f"archive of {title}. Delete it and get it again"
        )


def is_zip(archive: Path) -> bool:
    """Whether a file is a zip with its end in place: one that was cut off is not."""
    return zipfile.is_zipfile(archive)


def is_tar(archive: Path) -> bool:
    """Whether a file begins like a tar, plain or compressed."""
    try:
        return tarfile.is_tarfile(archive)
    except _TAR_ERRORS:  # is_tarfile lets errors of the compression through
        return False


def _unpack_zip(archive: Path, target: Path, title: str, limits: Limits) -> None:
    members = _Members(archive, limits)
    with _damage(archive, _ZIP_ERRORS), zipfile.ZipFile(archive) as content:
        accepted = []
        for info in content.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise members.refuse(f"member '{info.filename}' is a link or a device", "files and folders only")
            if info.flag_bits & _ENCRYPTED:
                raise members.refuse(f"member '{info.filename}' is encrypted", "files without a password")
            path = members.accept(info.orig_filename, info.file_size, info.is_dir())
            if path is not None:
                accepted.append((info, path))
        require_space(target, sum(info.file_size for info, _ in accepted))
        with _bar(title, sum(info.file_size for info, _ in accepted)) as bar:
            for info, path in accepted:
                if info.is_dir():
                    _make_folder(target / path)
                else:
                    with content.open(info) as stream:
                        _write(stream, target / path, bar)


def _unpack_tar(archive: Path, target: Path, title: str, limits: Limits) -> None:
    """In one pass: a compressed tar would have to be read twice to see all members first."""
    members = _Members(archive, limits)
    require_space(target, archive.stat().st_size)
    with _damage(archive, _TAR_ERRORS), tarfile.open(archive) as content, _bar(title, None) as bar:
        for info in content:
            if not (info.isreg() or info.isdir()):
                raise members.refuse(f"member '{info.name}' is a link or a device", "files and folders only")
            path = members.accept(info.name, info.size, info.isdir())
            if path is None:
                continue
            if info.isdir():
                _make_folder(target / path)
                continue
            stream = content.extractfile(info)
            assert stream is not None
            _write(stream, target / path, bar)


@contextmanager
def _damage(archive: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn the errors of a damaged archive into one that names it."""
    try:
        yield
    except errors as error:
        raise UserError(
            f"{archive}: damaged or cut off ({str(error) or type(error).__name__}); expected a whole archive. Delete "
            "it and get it again"
        ) from error


def _bar(title: str, total: int | None) -> Any:
    return tqdm(total=total, desc=f"unpack {title}", unit="B", unit_scale=True, mininterval=0.5, leave=False)


def _make_folder(folder: Path) -> None:
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _write(stream: IO[bytes], path: Path, bar: Any) -> None:
    """Copy one member; `x` refuses names that only differ in ways that this file system does not see."""
    _make_folder(path.parent)
    with written(path):
        output = path.open("xb")
    with output:
        while block := stream.read(_BLOCK):
            with written(path):
                output.write(block)
            bar.update(len(block))
