"""Masks as people have them, brought to one form: a PNG file of ids per frame.

What is in this form already is taken as it is. Zips, one binary mask per object, exports of CVAT, and polygons or runs
of labelme and COCO are written as such files below a scratch folder of the caller's.
"""

import logging
import lzma
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.sets.coco import is_coco, read_coco
from oneshot_vos.sets.labelme import is_labelme, read_labelme
from oneshot_vos.videos.frame_files import entry_named, frame_files, frame_name, is_litter, natural_key, visible_entries
from oneshot_vos.videos.images import IMAGE_SUFFIXES
from oneshot_vos.videos.label_map import CVAT_OBJECTS
from oneshot_vos.videos.masks import LARGEST_ID, Ids, inspect_mask, object_ids, write_mask

ACCEPTED = (
    "a PNG file of object ids, a labelme or COCO .json, or a folder or .zip of them (docs/data.md lists every form)"
)
# Of members of a zip: what is read, and what is unpacked to be refused by name.
_MEMBER_SUFFIXES = frozenset({".json", ".txt", ".npy", ".npz", ".mat", *IMAGE_SUFFIXES})
_NO_MASKS = frozenset({".npy", ".npz", ".mat"})
_MOST_BYTES = 50 * 10**9  # of all members of a zip: more than any set has, less than what a hostile one can claim
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error, lzma.LZMAError)
_INNER = ("Annotations", "masks")  # of data sets, and of what `segment` writes
_CVAT_CLASSES = "SegmentationClass"
_log = logging.getLogger(__name__)

Frames = dict[str, Path]  # mask files by the names of their frames


def read_masks(path: Path, scratch: Path, video: str, frames: Collection[str] = ()) -> Frames:
    """The masks of one video: a file, or a folder or zip of files, in any of the forms that docs/data.md lists.

    scratch: an empty folder for what has to be written. video: its name, by which it is found among others. frames:
    the names of its frames, where they are known, which tell `<frame>_<object>.png` from a frame of that name.

    Raises `UserError` for what is no mask, or cannot be read without guessing.
    """
    if path.suffix.lower() == ".json":
        return _read_json([path], scratch, video)
    if path.suffix.lower() == ".zip":
        path = _unpack(path, scratch / path.name)
    elif not path.is_dir():
        _require_png(path)
        return {frame_name(path): path}
    return _read_folder(path, scratch, video, frames)


def read_mask_tree(path: Path, scratch: Path, known: Collection[str] = ()) -> dict[str, Frames]:
    """The masks of several videos, a folder or zip with one entry per video, or one COCO .json; by names of videos.

    known: names of videos, if there are any, which tell a folder above all videos from that of one. A folder that
    holds masks itself is a video of its own name. Arguments and errors otherwise as with `read_masks`.
    """
    if path.suffix.lower() == ".json":
        return _read_coco_tree(path, scratch)
    if path.suffix.lower() == ".zip":
        path = _unpack(path, scratch / path.name)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected masks of videos, a folder or a .zip. Check the name")
    top = _below_top(path, known)
    folders = _folders(top / _CVAT_CLASSES)  # none where there is no such folder
    if folders:
        return {video_name(folder): _read_cvat(top, scratch, folder.name) for folder in folders}
    whole = _files(top, ".json")
    if len(whole) == 1 and not _folders(top) and is_coco(read_json(whole[0], ACCEPTED)):
        return _read_coco_tree(whole[0], scratch)
    folders = [entry for entry in _folders(top) if not (entry / "index.html").is_file()]  # the report on results
    entries = folders + _files(top, ".zip")
    if _holds_masks(top) or (top / _CVAT_CLASSES).is_dir():
        name = (top.parent if top.name in _INNER else top).name.removesuffix(".zip")
        return {name: _read_folder(top, scratch, name, ())}
    if not entries:
        raise UserError(f"{path}: no mask in it; expected one folder of masks per video, {ACCEPTED}")
    return {video_name(entry): read_masks(entry, scratch, video_name(entry)) for entry in entries}


@contextmanager
def told_as(*names: tuple[object, object]) -> Iterator[None]:
    """Put other names for paths into a `UserError` of the block: what was given, for what lies in a scratch folder."""
    try:
        yield
    except UserError as error:
        text = str(error)
        for path, name in names:
            text = text.replace(str(path), str(name))
        raise UserError(text) from error


def video_name(entry: Path) -> str:
    """The name of a video or of its masks: that of the folder, or of the file without suffix; in NFC."""
    return unicodedata.normalize("NFC", entry.name if entry.is_dir() else entry.stem)


# --- folders --------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path, scratch: Path, video: str, frames: Collection[str]) -> Frames:
    top = _below_top(folder, (video,))
    own = entry_named(top, video)
    if own.is_dir():
        top = _below_top(own, ())
    if (top / _CVAT_CLASSES).is_dir() or (top / CVAT_OBJECTS).is_dir():
        return _read_cvat(top, scratch, video)
    jsons = sorted(_files(top, ".json"), key=lambda file: natural_key(file.name))
    files = frame_files(top)
    masks = [file for file in files if file.suffix.lower() == ".png"]
    if jsons and (not masks or is_labelme(read_json(jsons[0], ACCEPTED))):  # labelme writes beside the frames
        if files:
            _log.info("%s: masks are read from .json; %d image(s) beside them are taken for frames", top, len(files))
        return _read_json(jsons, scratch, video)
    objects = _folders(top)
    if files:
        for file in files:
            _require_png(file)
        return _merge_named_by_object(top, files, scratch, frames) or _by_frame(files)
    if objects and all(entry.name.isdecimal() for entry in objects):
        return _merge_folders(objects, scratch / f"{video} merged")
    for entry in sorted(top.iterdir()):
        if entry.suffix.lower() in _NO_MASKS:
            _require_png(entry)
    named = [entry for entry in objects if _holds_masks(entry)]
    if named:
        raise UserError(
            f"{folder}: masks in the folder(s) {', '.join(entry.name for entry in named)}; expected them in one "
            f"folder, or a folder per object named by its number. Rename them, '{named[0].name}' to 1 say"
        )
    raise UserError(f"{folder}: no mask in it; expected {ACCEPTED}, named like their frames. Draw one")


def _by_frame(files: Iterable[Path]) -> Frames:
    found: Frames = {}
    for file in files:
        before = found.setdefault(frame_name(file), file)
        if before != file:
            raise UserError(
                f"{file}: frame '{frame_name(file)}' has a mask already, {before}; expected one. Take one away"
            )
    return found


def _merge_folders(objects: list[Path], out: Path) -> Frames:
    """One folder per object, named by its number, as SAM 2 and SA-V write them; counted from 0, all move up by one."""
    numbers: dict[int, Path] = {}
    for entry in objects:
        number = int(entry.name)
        other = numbers.setdefault(number, entry)
        if other != entry:
            raise UserError(f"{entry}: object {number}, as {other.name} is; expected each object once. Take one away")
    first = 1 if 0 in numbers else 0
    if first:
        _log.info("%s: objects are counted from 0; the ids are one higher, since 0 is background", objects[0].parent)
    by_frame: dict[str, dict[int, Path]] = {}
    for number, entry in numbers.items():
        for frame, file in _by_frame(frame_files(entry)).items():
            by_frame.setdefault(frame, {})[number + first] = file
    return _write_merged(by_frame, out)


def _merge_named_by_object(top: Path, files: list[Path], scratch: Path, frames: Collection[str]) -> Frames:
    """Files `<frame>_<object>.png`, if all are named so and none is named like a frame; else nothing."""
    by_frame: dict[str, dict[int, Path]] = {}
    for file in files:
        frame, _, number = frame_name(file).rpartition("_")
        if frame_name(file) in frames or frame not in frames or not number.isdecimal() or int(number) == 0:
            return {}
        by_frame.setdefault(frame, {})[int(number)] = file
    return _write_merged(by_frame, scratch / f"{top.name} merged")


def _write_merged(by_frame: Mapping[str, Mapping[int, Path]], out: Path) -> Frames:
    merged: Frames = {}
    for frame, files in sorted(by_frame.items()):
        ids: Ids | None = None
        overlap = 0
        for number, file in sorted(files.items(), reverse=True):  # the lowest number lies on top, as SAM 2 has it
            mask = inspect_mask(file).ids
            if number > LARGEST_ID:
                raise UserError(f"{file}: object {number}; expected numbers up to {LARGEST_ID}. Renumber the objects")
            if len(object_ids(mask)) > 1:
                raise UserError(
                    f"{file}: ids {object_ids(mask)} in a mask of object {number} alone; expected one value beside 0. "
                    "Give each object a file of its own, or one file all objects"
                )
            ids = np.zeros(mask.shape, np.uint16) if ids is None else ids
            if mask.shape != ids.shape:
                raise UserError(
                    f"{file}: another size than the masks of other objects in that frame; expected the same"
                )
            overlap += int(((ids > 0) & (mask > 0)).sum())
            ids[mask > 0] = number
        assert ids is not None
        if overlap:
            _log.warning("%s: objects overlap in %d pixels; the lowest id is on top", min(files.values()), overlap)
        merged[frame] = out / f"{frame}.png"
        write_mask(merged[frame], ids)
    return merged


def _read_cvat(top: Path, scratch: Path, video: str) -> Frames:
    """CVAT's "Segmentation mask": colours of classes mean the same in all frames, those of objects in one alone."""
    kinds = []
    for kind in (_CVAT_CLASSES, CVAT_OBJECTS):
        folder = top / kind / video if (top / kind / video).is_dir() else top / kind
        kinds.append(_by_frame(frame_files(folder)) if folder.is_dir() else {})
    classes, objects = kinds
    if not classes and not objects:
        raise UserError(f"{top}: no mask in {_CVAT_CLASSES} or {CVAT_OBJECTS}; expected an export of CVAT with masks")
    if len(objects) == 1:
        return objects
    for frame in sorted(classes.keys() & objects.keys()):
        labels, instances = (len(object_ids(inspect_mask(found[frame]).ids)) for found in (classes, objects))
        if instances > labels:
            raise UserError(
                f"{objects[frame]}: {instances} objects of {labels} label(s), numbered anew in each frame of an "
                "export; expected an object to have one number in all. Give each object a label of its own in "
                "CVAT, or export one frame"
            )
    if not classes:
        raise UserError(
            f"{top}: no folder {_CVAT_CLASSES}; the objects of {CVAT_OBJECTS} are numbered anew in each frame. Export "
            "both folders"
        )
    return classes


# --- polygons and runs ----------------------------------------------------------------------------------------------


def _read_json(files: list[Path], scratch: Path, video: str) -> Frames:
    contents = {file: read_json(file, ACCEPTED) for file in files}
    if all(map(is_labelme, contents.values())):
        return _write(read_labelme(contents), scratch / f"{video} labelme")
    if len(files) > 1 or not is_coco(contents[files[0]]):
        other = next(file for file, content in contents.items() if not is_labelme(content))
        raise UserError(
            f"{other}: neither labelme ('shapes') nor COCO ('images', 'annotations'); expected {ACCEPTED}. Export the "
            "masks in one of these forms"
        )
    tree = read_coco(files[0], contents[files[0]])
    if len(tree) > 1 and video not in tree:
        raise UserError(
            f"{files[0]}: masks of the videos {', '.join(sorted(tree))}, by the folders of file_name; expected those "
            f"of '{video}'. Rename the folder in file_name, or the video"
        )
    chosen = tree[video] if video in tree else next(iter(tree.values()))
    return _write(chosen(), scratch / f"{video} coco")


def _read_coco_tree(path: Path, scratch: Path) -> dict[str, Frames]:
    content = read_json(path, ACCEPTED)
    if not is_coco(content):
        raise UserError(f"{path}: no COCO file ('images', 'annotations'); expected {ACCEPTED}")
    return {video: _write(masks(), scratch / f"{video} coco") for video, masks in read_coco(path, content).items()}


def _write(masks: Iterable[tuple[str, Ids]], out: Path) -> Frames:
    files: Frames = {}
    for frame, ids in masks:
        if frame in files or "\0" in frame:
            found = "several masks of one frame" if frame in files else "no name of a frame"
            raise UserError(f"{out.name}: {frame!r}: {found}; expected one image per frame, named like it. Rename it")
        files[frame] = out / f"{frame}.png"
        write_mask(files[frame], ids)
    return files


# --- folders above and archives -------------------------------------------------------------------------------------


def _below_top(folder: Path, known: Collection[str]) -> Path:
    """`folder`, or the one below it that stands alone there or is called `Annotations` or `masks`, and so on.

    A folder of a known name is that of a video. Where none is known, one with masks is, or with objects by number.
    """
    while True:
        entries = [entry for entry in folder.iterdir() if not is_litter(entry.name)]
        inner = [folder / name for name in _INNER if (folder / name).is_dir() and name not in known]
        if inner:
            folder = inner[0]
        elif len(entries) == 1 and entries[0].is_dir() and _is_above_masks(entries[0], known):
            folder = entries[0]
        else:
            return folder


def _is_above_masks(folder: Path, known: Collection[str]) -> bool:
    if folder.name in known or folder.name.isdecimal() or folder.name in (_CVAT_CLASSES, CVAT_OBJECTS):
        return False
    inner = _folders(folder)
    return bool(known) or not (_holds_masks(folder) or (inner and all(entry.name.isdecimal() for entry in inner)))


def _holds_masks(folder: Path) -> bool:
    return any(not is_litter(file.name) and file.suffix.lower() in (".png", ".json") for file in folder.iterdir())


def _files(folder: Path, suffix: str) -> list[Path]:
    return [file for file in sorted(folder.glob(f"*{suffix}")) if not is_litter(file.name)]


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in visible_entries(folder) if entry.is_dir()]


def _unpack(archive: Path, out: Path) -> Path:
    """Write the masks of a zip below `out`, and nothing else that it has."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _wanted(archive, opened.infolist())
            out.mkdir(parents=True, exist_ok=True)
            size, free = sum(member.file_size for member in members.values()), shutil.disk_usage(out).free
            if size > min(free, _MOST_BYTES):
                raise UserError(
                    f"{archive}: {size / 1e9:.0f} GB of masks; expected at most {_MOST_BYTES / 1e9:.0f} GB, and room "
                    f"for it in {out.parent} ({free / 1e9:.0f} GB are free). Unpack it yourself, or set TMPDIR"
                )
            for name, member in members.items():
                target = out.joinpath(*name.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not member.is_dir():
                    with opened.open(member) as stream, target.open("wb") as copy:
                        shutil.copyfileobj(stream, copy)
    except FileNotFoundError as error:
        raise UserError(f"{archive}: no such file; expected a zip of masks. Check the name") from error
    except PermissionError:
        raise
    except _DAMAGED as error:
        raise UserError(
            f"{archive}: not readable as a zip ({error}); expected a zip of masks. Pack it again"
        ) from error
    if not members:
        raise UserError(f"{archive}: no mask in it; expected {ACCEPTED}, named like their frames")
    return out


def _wanted(archive: Path, members: Iterable[zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The members to unpack, by their names; some programs write a backslash between folders."""
    wanted: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise UserError(
                f"{archive}: the member {member.filename!r} would lie outside the folder that the zip is unpacked in; "
                "expected names below one folder. Pack the masks again"
            )
        if any(map(is_litter, name.parts)) or name.suffix.lower() not in _MEMBER_SUFFIXES:
            continue
        if name in wanted:
            raise UserError(f"{archive}: several members are named {name}; expected each once. Pack the masks again")
        wanted[name] = member
    return wanted


def _require_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UserError(
            f"{path}: a mask saved as {path.suffix or 'a file without suffix'}; expected {ACCEPTED}. Export "
            "the masks again as PNG"
        )
