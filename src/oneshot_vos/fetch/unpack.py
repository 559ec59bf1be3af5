"""Unpacking archives that nobody vouches for: every member is checked before it is written."""

import lzma
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, require_space, shown_bytes

# More than any of the data sets needs, less than what fills a disk by surprise.
MOST_MEMBERS = 2_000_000
MOST_BYTES = 200 * 10**9

_DEBRIS = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what some systems add to archives and nobody wants
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
_CLASHES = (IsADirectoryError, NotADirectoryError, FileExistsError)


class _RefusedError(Exception):
    """What is wrong with an archive, and what was expected: the middle of a message."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip with its end in place, or begins like a tar, plain or compressed."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (*_DAMAGE, OSError):  # is_tarfile lets errors of the compression through
        return False


def unpack(archive: Path, target: Path, *, title: str) -> None:
    """Unpack `archive` into the new folder `target`: files and folders only, with names that stay below it.

    A file that is no archive, is damaged, or has a member that must not be unpacked raises `UserError`; what was
    written until then is left to the caller to remove.
    """
    with on_disk(target):
        target.mkdir(parents=True)
        try:
            if not is_archive(archive):
                raise _RefusedError(f"neither a zip nor a tar file, or cut off; expected the archive of {title}")
            (_unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar)(archive, target, title)
        except (_RefusedError, *_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _CLASHES):
                raise  # of the disk; those of gzip and bz2 have no number
            found = (
                error if isinstance(error, _RefusedError) else f"damaged or cut off ({error}); expected a whole archive"
            )
            raise UserError(
                f"{archive}: {found}. Nothing of it was used: delete it and get it again from a source that you trust"
            ) from error


def _unpack_zip(archive: Path, target: Path, title: str) -> None:
    with zipfile.ZipFile(archive) as content:
        members, checks = [], _Checks()
        for info in content.infolist():
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            if checks.accept(info.orig_filename, info.file_size, plain, info.is_dir()):
                members.append(info)
        require_space(target, checks.bytes)
        for info in tqdm(members, f"unpack {title}", unit="file", leave=False):
            content.extract(info, target)


def _unpack_tar(archive: Path, target: Path, title: str) -> None:
    """In one pass: a compressed tar would have to be read twice to see all members first."""
    require_space(target, archive.stat().st_size)
    checks = _Checks()
    with tarfile.open(archive) as content:
        for info in tqdm(content, f"unpack {title}", unit="file", leave=False):
            if checks.accept(info.name, info.size, info.isreg() or info.isdir(), info.isdir()):
                content.extract(info, target, set_attrs=False, filter="data")


class _Checks:
    """Sizes added up, and the names that were accepted."""

    def __init__(self) -> None:
        self.bytes = 0
        self._seen: set[str] = set()

    def accept(self, name: str, size: int, plain: bool, folder: bool) -> bool:
        """Whether to take a member, which debris is not; raises `_RefusedError` for what must not be unpacked."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not plain:
            raise _RefusedError(f"member '{name}' is a link or a device; expected files and folders only")
        if name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":" or not name.isprintable():
            raise _RefusedError(f"member {name[:80]!r} leads out of the archive; expected plain names below its top")
        path = PurePosixPath(*parts)
        if not parts or parts[0] in _DEBRIS or path.name in _DEBRIS or path.name.startswith("._"):
            return False
        key = unicodedata.normalize("NFC", str(path))
        if key in self._seen and not folder:
            raise _RefusedError(f"member '{name}' takes the place of another one; expected every name once")
        self._seen.add(key)
        self.bytes += size
        if self.bytes > MOST_BYTES or len(self._seen) > MOST_MEMBERS:
            raise _RefusedError(
                f"unpacks to more than {shown_bytes(MOST_BYTES)} or {MOST_MEMBERS} members; expected less"
            )
        return True
