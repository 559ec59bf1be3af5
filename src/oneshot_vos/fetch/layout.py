"""What lies at the place of a part, whether it is complete, and where a part lies in an unpacked archive."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.sources import Part, Source
from oneshot_vos.files import sha256_of

_DEEPEST = 4  # folders above a part in an archive, at most


class Finding(NamedTuple):
    """What is at a place: nothing or an empty folder, what is expected, or something else; `details` say more."""

    state: Literal["absent", "complete", "differs"]
    path: Path
    details: str = ""


def inspect(source: Source, root: Path) -> list[Finding]:
    """What is at the place of every part of a source."""
    if source.kind == "archive":
        return [inspect_folder(part, root / part.target) for part in source.parts]
    import torch.hub  # takes seconds, and only weights need it

    path = Path(torch.hub.get_dir(), "checkpoints", source.parts[0].target)
    if not path.exists():
        return [Finding("absent", path)]
    if path.stat().st_size != source.size or sha256_of(path) != source.sha256:
        return [Finding("differs", path, f"{path.stat().st_size} bytes, not the {source.size} with the known SHA-256")]
    return [Finding("complete", path, f"{source.size} bytes")]


def inspect_folder(part: Part, folder: Path) -> Finding:
    """What is at `folder`, measured by the marks and counts of `part`. Links to folders elsewhere are followed."""
    if not folder.is_dir():
        present = folder.exists() or folder.is_symlink()
        return (
            Finding("differs", folder, "a file or a dead link, not a folder") if present else Finding("absent", folder)
        )
    if not any(_visible(folder)):
        return Finding("absent", folder)
    wrong = [f"no {mark}" for mark in part.marks if not (folder / mark).exists()]
    counted: list[str] = []
    for count in part.counts:
        found = _count(folder / count.folder, count.suffix)
        right = found == count.number or (found > 0 and (count.number is None or not count.sure))
        usual = "" if count.number in (None, found) else f" (expected {count.number})"
        (counted if right else wrong).append(f"{found} {count.what}{usual}")
    return Finding("differs" if wrong else "complete", folder, ", ".join(wrong or counted))


def locate(part: Part, unpacked: Path) -> Path:
    """The folder of `part` in an unpacked archive: the highest one with all its marks, or of its name.

    Raises `UserError` if there is none, or if two of them lie equally high.
    """
    level = [unpacked]
    for _ in range(_DEEPEST + 1):
        found = [folder for folder in level if _is_part(part, folder)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"holds {part.target} twice, as {found[0].name} and {found[1].name}; expected it once")
        level = [child for folder in level for child in _visible(folder) if child.is_dir()]
    top = ", ".join(sorted(child.name for child in _visible(unpacked))[:5]) or "nothing"
    raise UserError(f"holds {top}; expected a folder {part.named or 'with ' + ', '.join(part.marks)}")


def _is_part(part: Part, folder: Path) -> bool:
    return folder.name == part.named if part.named else all((folder / mark).exists() for mark in part.marks)


def _count(folder: Path, suffix: str | None) -> int:
    """Sub-folders of `folder`, or files of a suffix in it and one level below."""
    if not folder.is_dir():
        return 0
    folders = [child for child in _visible(folder) if child.is_dir()]
    if suffix is None:
        return len(folders)
    return sum(path.suffix.lower() == suffix for path in chain(_visible(folder), *map(_visible, folders)))


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder without hidden ones."""
    return (child for child in folder.iterdir() if not child.name.startswith("."))
