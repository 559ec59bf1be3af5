"""What archives and folders hold: unpacking by the standard library, and counting."""

import errno
import glob
import lzma
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, require_space
from oneshot_vos.fetch.sources import Part

_DEEPEST = 4  # folders above a part in an archive, at most
_DEBRIS = "__MACOSX"  # what some systems add to archives: a second tree of the same names
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
# Two members that claim one place. Errors of the decompression have no number, others are of the disk.
_CLASHES = (None, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip with its end in place, or begins like a tar, plain or compressed."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (*_DAMAGE, OSError):  # is_tarfile lets errors of the compression through
        return False


def unpack(archive: Path, target: Path, *, title: str) -> None:
    """Unpack `archive` into the new folder `target`, whatever the names in it: nothing lands outside.

    `zipfile` makes plain files of links and drops what leads up from names; the filter of `tarfile` refuses both. A
    file that is no archive, or is damaged, raises `UserError`; what was written until then is left to the caller to
    remove.
    """
    found = f"neither a zip nor a tar file, or cut off; expected the archive of {title}"
    bar = partial(tqdm, desc=f"unpack {title}", unit="file", leave=False)
    with on_disk(target):
        target.mkdir(parents=True)
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened:
                    require_space(target, sum(member.file_size for member in opened.infolist()))
                    for member in bar(opened.infolist()):
                        opened.extract(member, target)
                return
            if is_archive(archive):
                require_space(target, archive.stat().st_size)
                with tarfile.open(archive) as content:
                    for info in bar(content):
                        content.extract(info, target, set_attrs=False, filter="data")
                return
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _CLASHES:
                raise
            found = f"damaged or cut off ({error}); expected a whole archive"
    raise UserError(
        f"{archive}: {found}. Nothing of it was used: delete it and get it again from a source that you trust"
    )


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
        level = [folder / child for folder in level for child in _matching(folder, "*/") if child != f"{_DEBRIS}/"]
    top = ", ".join(sorted(_matching(unpacked, "*"))[:5]) or "nothing"
    raise UserError(f"holds {top}; expected a folder {'with ' + ', '.join(part.marks) if part.marks else name}")


def _matching(folder: Path, pattern: str) -> list[str]:
    """What a pattern matches below a folder, without hidden files and folders."""
    return glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (which shows hidden ones)
