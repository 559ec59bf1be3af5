"""From a source to finished folders: recognise what is there, else download, verify, unpack, count, rename, pin.

Every step can be interrupted. What is unpacked lies in a hidden folder beside its target until all counts are right,
so that a target is either absent or whole. One lock per source keeps processes apart.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import drive, web
from oneshot_vos.fetch.archives import DEFAULT_LIMITS, Limits, is_tar, is_zip, unpack
from oneshot_vos.fetch.checksums import WORK_FOLDER, Pin, add_pin, hashed, mismatch, read_pins
from oneshot_vos.fetch.layout import base_folder, inspect, inspect_folder, locate, refuse_differing
from oneshot_vos.fetch.locks import locked
from oneshot_vos.fetch.sources import Drive, Part, Source, Web
from oneshot_vos.fetch.transfer import DEFAULT_PATIENCE, MirrorError, Patience, discard, require_space, written

Say = Callable[[str], None]


@dataclass(frozen=True)
class Archive:
    """The file of a source on this disk, verified; `ours` says whether it was downloaded and may be removed."""

    path: Path
    sha256: str
    origin: str
    ours: bool


def fetch(
    source: Source,
    root: Path,
    say: Say,
    *,
    archive: Path | None = None,
    keep: bool = False,
    patience: Patience = DEFAULT_PATIENCE,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Make every part of `source` below `root`; parts that are there in full are used as they are.

    `archive` is a file that the user has already: it is read, never changed. `keep` keeps what was downloaded. `say`
    gets one line per event. Raises `UserError`, and leaves what has arrived for the next try.
    """
    if _all_there(source, root, say):
        return
    work = root / WORK_FOLDER
    with locked(work / f"{source.name}.lock", lambda: say(f"{source.name}: another process fetches it; waiting")):
        if _all_there(source, root, say):  # the other process has done it
            return
        pin = read_pins(root).get(source.name)
        found = _given(source, archive, pin) if archive else _downloaded(source, work, pin, patience, say)
        if source.kind == "file":
            _place_file(source, found, root)
        else:
            _place_parts(source, found, root, say, limits)
        add_pin(root, source.name, Pin(found.path.stat().st_size, found.sha256, found.origin))
        if found.ours and not keep:
            found.path.unlink()
        for finding in inspect(source, root):
            say(f"{source.name}: {finding.path} is there" + (f" ({finding.counted})" if finding.counted else ""))


def _all_there(source: Source, root: Path, say: Say) -> bool:
    findings = inspect(source, root)
    refuse_differing(source, findings)
    if any(finding.state == "absent" for finding in findings):
        return False
    for finding in findings:
        counted = f" ({finding.counted})" if finding.counted else ""
        say(f"{source.name}: {finding.path} was there before{counted}; used as it is")
        for remark in finding.remarks:
            say(f"{source.name}: note: {remark}")
    return True


def _given(source: Source, path: Path, pin: Pin | None) -> Archive:
    """The archive that the user has."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the archive of {source.title}. Check --archive")
    sha256 = hashed(path, source.name)
    wrong = mismatch(source, path, sha256, pin)
    if wrong is not None:
        raise UserError(
            f"{path}: {wrong}; it is not the archive of {source.title}. Get it from {source.page}, or unpack yours by "
            f"hand into {', '.join(part.target for part in source.parts)}"
        )
    return Archive(path, sha256, "a file of the user", ours=False)


def _downloaded(source: Source, work: Path, pin: Pin | None, patience: Patience, say: Say) -> Archive:
    """The archive from the first mirror that has the right one."""
    done = work / source.file_name
    problems = []
    if done.exists():
        try:
            return _verified(source, done, pin, "an earlier download")
        except MirrorError as error:
            say(f"{source.name}: {error}")
    known = source.size if source.size is not None else pin.size if pin is not None else None
    if known is not None and source.kind == "archive":
        require_space(done, 2 * known)  # pictures take as much room outside the archive as in it
    for mirror in _ordered(source, work):
        try:
            say(f"{source.name}: from {mirror}")
            _from_mirror(mirror, source, work, patience)
            return _verified(source, done, pin, str(mirror))
        except MirrorError as error:
            say(f"{source.name}: {error}")
            problems.append(str(error))
    listed = "".join(f"\n  - {problem}" for problem in problems)
    raise UserError(
        f"{source.name}: no source gave {source.file_name}:{listed}\nTry again later (what has arrived is kept), or "
        f"get the file from {source.page} and run `oneshot-vos fetch {source.name} --archive {source.name}=FILE`"
    )


def _verified(source: Source, done: Path, pin: Pin | None, origin: str) -> Archive:
    """The downloaded file if it is the right one; otherwise it is deleted, and `MirrorError` says why."""
    sha256 = hashed(done, source.name)
    wrong = mismatch(source, done, sha256, pin)
    if wrong is None and source.kind == "archive" and not (is_zip(done) or is_tar(done)):
        wrong = "is neither a zip nor a tar file, or was cut off"
    if wrong is None:
        return Archive(done, sha256, origin, ours=True)
    done.unlink()
    raise MirrorError(f"{origin}: the file {wrong}; it was deleted")


def _ordered(source: Source, work: Path) -> list[Web | Drive]:
    """The mirrors, one of which a part was fetched already first."""
    part = _part_file(source, work)
    return sorted(source.mirrors, key=lambda mirror: not (isinstance(mirror, Web) and web.belongs(part, mirror.url)))


def _part_file(source: Source, work: Path) -> Path:
    return work / f"{source.file_name}.part"


def _from_mirror(mirror: Web | Drive, source: Source, work: Path, patience: Patience) -> None:
    """Download to `work`/<file name>."""
    done = work / source.file_name
    if isinstance(mirror, Drive):
        folder = work / f"{source.name}.drive"
        path = drive.download(mirror.file_id, folder, source.file_name, title=source.name, patience=patience)
        with written(done):
            os.replace(path, done)
            folder.rmdir()
    else:
        part = _part_file(source, work)
        web.download(mirror.url, part, size=source.size, title=source.name, patience=patience)
        with written(done):
            os.replace(part, done)
    discard(_part_file(source, work))


def _place_file(source: Source, archive: Archive, root: Path) -> None:
    """Copy a single file to its place, visible only when it is whole."""
    (part,) = source.parts
    target = base_folder(source, root) / part.target
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    require_space(target, archive.path.stat().st_size)
    with written(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive.path, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _place_parts(source: Source, archive: Archive, root: Path, say: Say, limits: Limits) -> None:
    """Unpack beside the targets, check every part that is missing, then rename."""
    above = root / os.path.commonpath([str(Path(part.target).parent) for part in source.parts])
    staging = above / f".{source.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        unpack(archive.path, staging, title=source.name, limits=limits)
        missing = [part for part in source.parts if inspect_folder(part, root / part.target).state == "absent"]
        located = [(part, _checked(source, archive, part, staging, say)) for part in missing]
        os.sync()  # a power cut after the renames must not leave empty files
        for part, folder in located:
            target = root / part.target
            with written(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)  # also onto an empty folder, never onto another
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _checked(source: Source, archive: Archive, part: Part, staging: Path, say: Say) -> Path:
    """The folder of a part in the unpacked archive, if it holds what it must."""
    try:
        folder = locate(part, staging)
    except UserError as error:
        raise UserError(
            f"{archive.path}: {error}. It is not the archive of {source.title}: delete it and get it from {source.page}"
        ) from error
    finding = inspect_folder(part, folder)
    if finding.state != "complete":
        remarks = "; ".join(finding.remarks) or "an empty folder"
        raise UserError(
            f"{archive.path}: {part.target} in it has {remarks}. It is not the whole of {source.title}: delete it and "
            f"get it from {source.page}"
        )
    for remark in finding.remarks:
        say(f"{source.name}: note: {part.target} has {remark}; accepted")
    return folder
