"""From a source to finished folders: use what is there, else download, verify, unpack, count, rename, pin.

Every step can be interrupted. What is unpacked lies in a hidden folder beside its target until all counts are right,
so that a target is either absent or whole. One lock per source keeps processes apart.
"""

import logging
import os
import shutil
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.archives import Finding, inspect_folder, is_archive, locate, unpack
from oneshot_vos.fetch.disk import on_disk, one_process, require_space
from oneshot_vos.fetch.download import MirrorError, download
from oneshot_vos.fetch.pins import WORK_FOLDER, Pin, add_pin, read_pins, verified
from oneshot_vos.fetch.sources import Source
from oneshot_vos.files import replacing

log = logging.getLogger(__name__)


def fetch(source: Source, root: Path, *, archive: Path | None = None, keep: bool = False) -> list[Finding]:
    """Make every part of `source` below `root`, and say what is there then.

    Parts that are there in full are used as they are; a place that holds something else is neither used nor
    overwritten. `archive` is a file that the user has already: it is read, never changed. `keep` keeps what was
    downloaded. Raises `UserError`, and leaves what has arrived for the next call.
    """
    if found := _all_there(source, root):
        return found
    work = root / WORK_FOLDER
    with one_process(work / f"{source.name}.lock", source.name):
        if found := _all_there(source, root):  # the other process has done it
            return found
        path, pin = _given(source, archive, root) if archive else _downloaded(source, work, root)
        if source.parts:
            _place_parts(source, path, root)
        else:
            place = _place(source, root)
            require_space(place, pin.size)
            with replacing(place) as temporary:
                shutil.copyfile(path, temporary)
        if source.checksum is None and source.name not in read_pins(root):
            log.info("%s: nobody published a checksum; pinned as first seen, SHA-256 %s", source.name, pin.sha256)
        add_pin(root, source.name, pin)
        if archive is None and not keep:
            path.unlink()
        return _all_there(source, root)


def inspect(source: Source, root: Path) -> list[Finding]:
    """What is at the place of every part of a source, or at that of its file."""
    if source.parts:
        return [inspect_folder(part, root / part.target) for part in source.parts]
    place = _place(source, root)
    if not place.exists():
        return [Finding("absent", place)]
    try:
        return [Finding("complete", place, f"{verified(source, place, root, '').size} bytes")]
    except UserError as error:
        return [Finding("differs", place, str(error).removeprefix(f"{place}: "))]


def _place(source: Source, root: Path) -> Path:
    """Where a file without parts goes."""
    if not source.torch_hub:
        return root / source.file_name
    import torch.hub  # takes seconds, and only these files need it

    return Path(torch.hub.get_dir(), "checkpoints", source.file_name)


def _all_there(source: Source, root: Path) -> list[Finding]:
    """What is there, if nothing is missing; something else at a place raises."""
    findings = inspect(source, root)
    for finding in findings:
        if finding.state == "differs":
            raise UserError(
                f"{finding.path}: {finding.details}: this is not {source.title}, or not all of it, and nothing there "
                f"was touched. Complete it, or move it away and rerun to fetch {source.name}"
            )
    return [] if any(finding.state == "absent" for finding in findings) else findings


def _given(source: Source, path: Path, root: Path) -> tuple[Path, Pin]:
    """The archive that the user has."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the archive of {source.title}. Check --archive")
    try:
        return path, verified(source, path, root, "a file of the user")
    except UserError as error:
        raise UserError(f"{error}. Get it from {source.page}, or unpack yours by hand") from error


def _downloaded(source: Source, work: Path, root: Path) -> tuple[Path, Pin]:
    """The file from the first mirror that has the right one; a mirror with a part of it is asked first."""
    done, pin = work / source.file_name, read_pins(root).get(source.name)
    folders = {mirror: work / f"{source.name}.{number}" for number, mirror in enumerate(source.mirrors)}
    earlier = ["an earlier download"] if done.exists() else []
    problems = []
    begun = {mirror for mirror, folder in folders.items() if any(each.suffix != ".json" for each in folder.glob("*"))}
    for mirror in earlier + sorted(folders, key=lambda mirror: mirror not in begun):
        try:
            if mirror not in earlier:
                log.info("%s: from %s", source.name, mirror)
                # pictures take as much room outside the archive as in it
                require_space(done, 2 * (source.size or (pin.size if pin else 0)))
                download(mirror, folders[mirror] / done.name, size=source.size, title=source.name)
                with on_disk(done):
                    os.replace(folders[mirror] / done.name, done)
            right = _right(source, done, root, mirror)
            for folder in folders.values():  # parts from other mirrors are of no use now
                shutil.rmtree(folder, ignore_errors=True)
            return done, right
        except MirrorError as error:
            log.info("%s: %s", source.name, error)
            problems.append(str(error))
    by_hand = f"run `oneshot-vos fetch {source.name} --archive {source.name}=FILE`"
    raise UserError(
        "\n  - ".join([f"{source.name}: no mirror gave {source.file_name}:", *problems])
        + f"\nRerun later to resume, or get the file from {source.page} and "
        + (by_hand if source.parts or source.torch_hub else f"put it at {_place(source, root)}")
    )


def _right(source: Source, done: Path, root: Path, mirror: str) -> Pin:
    """The pin of a downloaded file; a wrong file is deleted, and raises `MirrorError`."""
    try:
        if source.parts and not is_archive(done):
            raise UserError(f"{done}: neither a zip nor a tar file, or cut off; expected the archive of {source.title}")
        return verified(source, done, root, mirror)
    except UserError as error:
        done.unlink()
        raise MirrorError(f"{mirror}: {error}. It was deleted") from error


def _place_parts(source: Source, path: Path, root: Path) -> None:
    """Unpack beside the targets, check every part that is missing, then rename."""
    above = root / os.path.commonpath([str(Path(part.target).parent) for part in source.parts])
    staging = above / f".{source.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        unpack(path, staging, title=source.title)
        missing = [part for part in source.parts if inspect_folder(part, root / part.target).state == "absent"]
        try:
            folders = [locate(part, staging) for part in missing]
        except UserError as error:
            wrong = f"It is not the whole of {source.title}: delete it and get it from {source.page}"
            raise UserError(f"{path}: {error}. {wrong}") from error
        os.sync()  # a power cut after the renames must not leave empty files
        for part, folder in zip(missing, folders, strict=True):
            target = root / part.target
            with on_disk(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)  # also onto an empty folder, never onto another
    finally:
        shutil.rmtree(staging, ignore_errors=True)
