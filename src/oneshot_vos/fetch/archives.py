"""What archives and folders hold: unpacking with every member checked before it is written, and counting.

Nobody vouches for an archive: absolute names, `..`, links, devices and repeated names end the unpacking.
"""

import glob
import lzma
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, require_space, shown_bytes
from oneshot_vos.fetch.sources import Part

# More than any of the data sets needs, less than what fills a disk by surprise.
MOST_MEMBERS = 2_000_000
MOST_BYTES = 200 * 10**9

_DEEPEST = 4  # folders above a part in an archive, at most
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
            refused = isinstance(error, _RefusedError)
            found = error if refused else f"damaged or cut off ({error}); expected a whole archive"
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
            most = f"{shown_bytes(MOST_BYTES)} or {MOST_MEMBERS} members"
            raise _RefusedError(f"unpacks to more than {most}; expected less")
        return True


class Finding(NamedTuple):
    """What is at a place: nothing or an empty folder, what is expected, or something else; `details` say more."""

    state: Literal["absent", "complete", "differs"]
    path: Path
    details: str = ""


def inspect_folder(part: Part, folder: Path) -> Finding:
    """What is at `folder`, measured by the marks and counts of `part`. Links to folders elsewhere are followed."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            return Finding("differs", folder, "a file or a dead link, not a folder")
        return Finding("absent", folder)
    if not _matching(folder, "*"):
        return Finding("absent", folder)
    wrong = [f"no {mark}" for mark in part.marks if not (folder / mark).exists()]
    counted: list[str] = []
    for what, pattern, number, sure in part.counts:
        names = _matching(folder, pattern)
        # What a power cut may leave of a file.
        empty = [name for name in names if (folder / name).is_file() and not (folder / name).stat().st_size]
        wrong += [f"{name} is empty" for name in empty[:1]]
        found = len(names)
        right = found == number or (found > 0 and (number is None or not sure))
        usual = "" if number in (None, found) else f" (expected {number})"
        (counted if right else wrong).append(f"{found} {what}{usual}")
    return Finding("differs" if wrong else "complete", folder, ", ".join(wrong or counted))


def locate(part: Part, unpacked: Path) -> Path:
    """The folder of `part` in an unpacked archive: the highest one with all its marks, or of its name.

    Raises `UserError` if there is none, if two of them lie equally high, or if it does not hold what it must.
    """
    name, level = Path(part.target).name, [unpacked]
    for _ in range(_DEEPEST + 1):
        if part.marks:
            found = [folder for folder in level if all((folder / mark).exists() for mark in part.marks)]
        else:
            found = [folder for folder in level if folder.name == name]
        if len(found) == 1:
            finding = inspect_folder(part, found[0])
            if finding.state != "complete":
                raise UserError(f"{part.target} in it has {finding.details or 'nothing'}")
            return found[0]
        if found:
            raise UserError(f"holds {part.target} twice, as {found[0].name} and {found[1].name}; expected it once")
        level = [folder / child for folder in level for child in _matching(folder, "*/")]
    top = ", ".join(sorted(_matching(unpacked, "*"))[:5]) or "nothing"
    raise UserError(f"holds {top}; expected a folder {'with ' + ', '.join(part.marks) if part.marks else name}")


def _matching(folder: Path, pattern: str) -> list[str]:
    """What a pattern matches below a folder, without hidden files and folders."""
    return glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (which shows hidden ones)
