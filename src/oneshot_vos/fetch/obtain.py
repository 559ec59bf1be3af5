"""From a source to finished folders: use what is there, else download, verify, unpack, count, rename, pin.

Every step can be interrupted. What is unpacked lies in a hidden folder beside its target until all counts are right,
so that a target is either absent or whole. One lock per source keeps processes apart.
"""

import logging
import os
import shutil
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, one_process, require_space
from oneshot_vos.fetch.download import MirrorError, download
from oneshot_vos.fetch.layout import inspect, inspect_folder, locate
from oneshot_vos.fetch.pins import WORK_FOLDER, Pin, add_pin, read_pins, verified
from oneshot_vos.fetch.sources import Part, Source
from oneshot_vos.fetch.unpack import is_archive, unpack
from oneshot_vos.files import replacing

log = logging.getLogger(__name__)


def fetch(source: Source, root: Path, *, archive: Path | None = None, keep: bool = False) -> None:
    """Make every part of `source` below `root`; parts that are there in full are used as they are.

    `archive` is a file that the user has already: it is read, never changed. `keep` keeps what was downloaded. Raises
    `UserError`, and leaves what has arrived for the next call.
    """
    if _all_there(source, root):
        return
    work = root / WORK_FOLDER
    with one_process(work / f"{source.name}.lock", source.name):
        if _all_there(source, root):  # the other process has done it
            return
        pin = read_pins(root).get(source.name)
        path, found = _given(source, archive, pin) if archive else _downloaded(source, work, pin)
        (_place_weights if source.kind == "weights" else _place_parts)(source, path, root)
        add_pin(root, source.name, found)
        if archive is None and not keep:
            path.unlink()
        _all_there(source, root)


def _all_there(source: Source, root: Path) -> bool:
    """Whether every part is there; a place that holds something else raises, and is neither used nor overwritten."""
    findings = inspect(source, root)
    for finding in findings:
        if finding.state == "differs":
            raise UserError(
                f"{finding.path}: {finding.details}: this is not the whole of {source.title}, and nothing there was "
                f"touched. Complete it, or move it away and rerun `oneshot-vos fetch {source.name}`"
            )
    if any(finding.state == "absent" for finding in findings):
        return False
    for finding in findings:
        log.info("%s: %s is there, complete (%s)", source.name, finding.path, finding.details)
    return True


def _given(source: Source, path: Path, pin: Pin | None) -> tuple[Path, Pin]:
    """The archive that the user has."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the archive of {source.title}. Check --archive")
    try:
        return path, verified(source, path, pin, "a file of the user")
    except UserError as error:
        raise UserError(f"{error}. Get it from {source.page}, or unpack yours by hand") from error


def _downloaded(source: Source, work: Path, pin: Pin | None) -> tuple[Path, Pin]:
    """The archive from the first mirror that has the right one; a mirror with a part of it is asked first."""
    done = work / source.file_name
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
            right = _right(source, done, pin, mirror)
            for folder in folders.values():  # parts from other mirrors are of no use now
                shutil.rmtree(folder, ignore_errors=True)
            return done, right
        except MirrorError as error:
            log.info("%s: %s", source.name, error)
            problems.append(str(error))
    raise UserError(
        "\n  - ".join([f"{source.name}: no mirror gave {source.file_name}:", *problems])
        + f"\nRerun later to resume, or get the file from {source.page} and run "
        f"`oneshot-vos fetch {source.name} --archive {source.name}=FILE`"
    )


def _right(source: Source, done: Path, pin: Pin | None, mirror: str) -> Pin:
    """The pin of a downloaded file; a wrong file is deleted, and raises `MirrorError`."""
    try:
        if source.kind == "archive" and not is_archive(done):
            raise UserError(f"{done}: neither a zip nor a tar file, or cut off; expected the archive of {source.title}")
        return verified(source, done, pin, mirror)
    except UserError as error:
        done.unlink()
        raise MirrorError(f"{mirror}: {error}. It was deleted") from error


def _place_weights(source: Source, path: Path, root: Path) -> None:
    (finding,) = inspect(source, root)
    require_space(finding.path, path.stat().st_size)
    with replacing(finding.path) as temporary:
        shutil.copyfile(path, temporary)


def _place_parts(source: Source, path: Path, root: Path) -> None:
    """Unpack beside the targets, check every part that is missing, then rename."""
    above = root / os.path.commonpath([str(Path(part.target).parent) for part in source.parts])
    staging = above / f".{source.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        unpack(path, staging, title=source.title)
        missing = [part for part in source.parts if inspect_folder(part, root / part.target).state == "absent"]
        folders = [_checked(source, path, part, staging) for part in missing]
        os.sync()  # a power cut after the renames must not leave empty files
        for part, folder in zip(missing, folders, strict=True):
            target = root / part.target
            with on_disk(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)  # also onto an empty folder, never onto another
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _checked(source: Source, path: Path, part: Part, staging: Path) -> Path:
    """The folder of a part in the unpacked archive, if it holds what it must."""
    try:
        folder = locate(part, staging)
        finding = inspect_folder(part, folder)
        if finding.state != "complete":
            raise UserError(f"{part.target} in it has {finding.details or 'nothing'}")
    except UserError as error:
        raise UserError(
            f"{path}: {error}. It is not the whole of {source.title}: delete it and get it from {source.page}"
        ) from error
    return folder
