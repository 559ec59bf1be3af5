"""What lies in the folder of a part, whether it is complete, and where a part lies in an unpacked archive."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.sources import Count, Part, Source
from oneshot_vos.files import sha256_of

_DEEPEST = 4  # folders above a part in an archive, at most


@dataclass(frozen=True)
class Finding:
    """What is at the place of a part.

    `absent`: nothing, or an empty folder. `complete`: what is expected; `remarks` then name numbers that are only
    unusual. `differs`: something else, and `remarks` say how.
    """

    state: Literal["absent", "complete", "differs"]
    path: Path
    counted: str = ""
    remarks: tuple[str, ...] = ()


def base_folder(source: Source, root: Path) -> Path:
    """The folder that the targets of a source are relative to."""
    if source.place == "root":
        return root
    import torch.hub  # takes seconds, and only weights need it

    return Path(torch.hub.get_dir()) / "checkpoints"


def inspect(source: Source, root: Path) -> list[Finding]:
    """What is at the place of every part of a source; nothing is opened but single files, which are hashed."""
    base = base_folder(source, root)
    if source.kind == "file":
        return [_inspect_file(source, base / part.target) for part in source.parts]
    return [inspect_folder(part, base / part.target) for part in source.parts]


def inspect_folder(part: Part, folder: Path) -> Finding:
    """What is at `folder`, measured by the marks and counts of `part`. Links to folders elsewhere are followed."""
    if folder.is_symlink() and not folder.exists():
        return Finding("differs", folder, remarks=(f"a link to {folder.readlink()}, which does not exist",))
    if not folder.exists():
        return Finding("absent", folder)
    if not folder.is_dir():
        return Finding("differs", folder, remarks=("a file, where a folder is expected",))
    if not any(_visible(folder)):
        return Finding("absent", folder)
    wrong = [f"no {mark}" for mark in part.marks if not (folder / mark).exists()]
    unusual: list[str] = []
    counted: list[str] = []
    for count in part.counts:
        found = _count(folder / count.folder, count)
        counted.append(f"{found} {count.what}")
        if found == count.number or (count.number is None and found > 0):
            continue
        place = "" if count.folder == "." else f" in {count.folder}"
        expected = "at least 1" if count.number is None else str(count.number)
        remark = f"{found} {count.what}{place}, expected {expected}"
        (wrong if count.sure or found == 0 else unusual).append(remark)
    if wrong:
        return Finding("differs", folder, ", ".join(counted), tuple(wrong))
    return Finding("complete", folder, ", ".join(counted), tuple(unusual))


def refuse_differing(source: Source, findings: list[Finding]) -> None:
    """Raise `UserError` if the place of a part holds something else: it is neither used nor overwritten."""
    for finding in findings:
        if finding.state == "differs":
            raise UserError(
                f"{finding.path}: {'; '.join(finding.remarks)}: this is not the whole of {source.title}, and nothing "
                f"there was touched. Complete it, or move it away and run `oneshot-vos fetch {source.name}` again"
            )


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
            names = " and ".join(str(folder.relative_to(unpacked)) for folder in found[:2])
            raise UserError(f"holds {part.target} twice, as {names}; expected it once")
        level = [child for folder in level for child in _visible(folder) if child.is_dir()]
    wanted = f"a folder '{part.named}'" if part.named is not None else f"a folder with {', '.join(part.marks)}"
    top = ", ".join(sorted(child.name for child in _visible(unpacked))[:5]) or "nothing"
    raise UserError(f"holds {top}; expected {wanted} for {part.target}")


def _is_part(part: Part, folder: Path) -> bool:
    if part.named is not None:
        return folder.name == part.named
    return all((folder / mark).exists() for mark in part.marks)


def _inspect_file(source: Source, path: Path) -> Finding:
    if not path.exists():
        return Finding("absent", path)
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return Finding("differs", path, remarks=(f"{size} bytes, expected {source.size}",))
    if source.sha256 is not None and sha256_of(path) != source.sha256:
        return Finding("differs", path, remarks=(f"another SHA-256 than {source.sha256}",))
    return Finding("complete", path, f"{size} bytes")


def _count(folder: Path, count: Count) -> int:
    """Sub-folders of `folder`, or files of one suffix in it and one level below."""
    if not folder.is_dir():
        return 0
    if count.suffix is None:
        return sum(child.is_dir() for child in _visible(folder))
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                with os.scandir(entry.path) as files:
                    total += sum(_has_suffix(file.name, count.suffix) for file in files)
            else:
                total += _has_suffix(entry.name, count.suffix)
    return total


def _has_suffix(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix) and not name.startswith(".")


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder without hidden ones."""
    return (child for child in folder.iterdir() if not child.name.startswith("."))
