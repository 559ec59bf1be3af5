"""Data sets in the layout of DAVIS: one folder of frames and one of masks per video, and lists of video names."""

from collections.abc import Collection
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import entry_named, frame_files, frame_name, require_unbroken, visible_entries
from oneshot_vos.videos.frames import VIDEO_SUFFIXES
from oneshot_vos.videos.images import IMAGE_SUFFIXES
from oneshot_vos.videos.problems import Problem, Problems, folder_problems, repeated
from oneshot_vos.videos.video import Video

_NO_IMAGES = frozenset({".json", ".mat", ".npy", ".npz"})  # what other programs save masks as


def read_davis(
    root: Path,
    *,
    images: str = "JPEGImages/480p",
    annotations: str = "Annotations/480p",
    list_file: str | None = None,
    single_object: bool = False,
) -> list[Video]:
    """List the videos below `root`: frames in `images`/<video>/, masks in `annotations`/<video>/.

    `list_file` (relative to `root`) names the videos, one per line, and fixes their order; without it, every folder
    in `images` is a video, in alphabetical order. A mask belongs to the frame of the same stem, whatever the suffixes.
    YouTube-VOS is read with `images="JPEGImages", annotations="Annotations"`.

    Only names are read here, so that listing thousands of videos is fast; `check.check_videos` looks into the files.
    All that is wrong with the folders comes in one `UserError`.
    """
    videos, problems = [], Problems()
    for name in _names(root, images, list_file):
        frame_folder, mask_folder = entry_named(root / images, name), entry_named(root / annotations, name)
        if not frame_folder.is_dir():
            problems.add(_no_folder(name, frame_folder))
            continue
        video, masks = _video(name, frame_folder, mask_folder, single_object)
        for finding in folder_problems(list(video.frames), masks, frame_folder, mask_folder):
            problems.add(finding, f"video '{name}'")
        videos.append(video)
    if list_file is None:
        for found in _masks_without_frames(root, images, annotations):
            problems.add(found.message)
    problems.raise_errors(f"{root} (videos of {list_file})" if list_file is not None else root)
    return videos


def list_videos(
    root: Path, *, images: str, annotations: str, list_file: str | None = None
) -> tuple[list[Video], list[Problem]]:
    """The videos below `root`, also those that `read_davis` refuses, for a look into every file.

    Beside them, what the videos do not show by themselves: folders that are missing, and names that occur twice. A
    missing root or list raises `UserError`.
    """
    videos: list[Video] = []
    problems = _masks_without_frames(root, images, annotations) if list_file is None else []
    for name in _names(root, images, list_file):
        frame_folder, mask_folder = entry_named(root / images, name), entry_named(root / annotations, name)
        if not frame_folder.is_dir():
            problems.append(Problem("error", name, str(frame_folder), _no_folder(name, frame_folder)))
            continue
        video, masks = _video(name, frame_folder, mask_folder, False)
        for files, folder, kind in ((list(video.frames), frame_folder, "frame"), (masks, mask_folder, "mask")):
            if len({frame_name(file) for file in files}) < len(files):
                finding = f"{repeated(files)} in {folder}; expected one file per {kind}. Take one away"
                problems.append(Problem("error", name, str(folder), finding))
        videos.append(video)
    return videos, problems


def _names(root: Path, images: str, list_file: str | None) -> list[str]:
    return _listed_names(root / list_file) if list_file is not None else folder_names(root / images)


def _no_folder(name: str, folder: Path) -> str:
    return f"video '{name}': no folder {folder}; expected the frames of the video there"


def _masks_without_frames(root: Path, images: str, annotations: str) -> list[Problem]:
    """Where no list says which videos there are: folders of masks whose frames are not there."""
    masks, frames = root / annotations, root / images
    names = [entry.name for entry in visible_entries(masks) if entry.is_dir()]
    missing = [
        Problem("error", name, str(masks / name), f"{_no_folder(name, frames / name)}, since {masks / name} has masks")
        for name in names
        if not entry_named(frames, name).is_dir()
    ]
    return missing + [
        Problem("error", entry.stem, str(entry), f"{entry}: {kind} beside the folders of videos, left out; {remedy}")
        for folder, suffixes, kind, remedy in (
            (frames, VIDEO_SUFFIXES - {".gif"}, "a video file", "make frames of it: oneshot-vos import-videos"),
            (masks, {".png"}, "a mask", "put it into the folder of its video, named like its frame"),
        )
        for entry in visible_entries(folder)
        if entry.suffix.lower() in suffixes and entry.is_file() and not entry.with_suffix("").is_dir()
    ]


def _video(name: str, frame_folder: Path, mask_folder: Path, single_object: bool) -> tuple[Video, list[Path]]:
    """A video, and all its mask files, of which the video holds one per stem."""
    require_unbroken([mask_folder])
    frames = tuple(frame_files(frame_folder))
    masks = frame_files(mask_folder) if mask_folder.is_dir() else []
    masks += _of_other_kinds(mask_folder, {*map(frame_name, frames)} - {*map(frame_name, masks)})
    return Video(name, frames, {frame_name(path): path for path in masks}, single_object), masks


def _of_other_kinds(folder: Path, unlabelled: Collection[str]) -> list[Path]:
    """Files that are masks of frames which have no image of one: to be refused by name, rather than left out."""
    found = visible_entries(folder)
    return [path for path in found if path.suffix.lower() in _NO_IMAGES and frame_name(path) in unlabelled]


def folder_names(folder: Path) -> list[str]:
    """The folders in `folder`, one per video, in alphabetical order; `UserError` if there is none."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; expected one folder of frames per video. Check the root and 'images'"
        )
    names = [entry.name for entry in visible_entries(folder) if entry.is_dir()]
    if not names:
        raise UserError(f"{folder}: no video in it; expected one folder of frames per video")
    return names


def _listed_names(path: Path) -> list[str]:
    """Names of videos in a list, one per line; also the older DAVIS 2016 lists, a frame and a mask path per line."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path}: no such file; expected a list of video names, one per line") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file; expected a list of video names, one per line") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    names = [_video_of_path(line) if "/" in line or "\\" in line else line for line in lines]
    if not names:
        raise UserError(f"{path}: no name in it; expected a list of video names, one per line")
    of_paths = list(dict.fromkeys(names))
    if len(of_paths) < len(names) and not any("/" in line for line in lines):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: video '{twice}' is listed twice; expected each name once")
    if "." in of_paths or ".." in of_paths:
        raise UserError(f"{path}: '.' or '..' is no name of a video; expected names of folders, one per line")
    return of_paths


def _video_of_path(line: str) -> str:
    """The video's name in a line such as `/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png`.

    A path of no image is that of the video's folder.
    """
    path = Path(line.replace("\\", "/").split()[0])
    return path.parent.name if path.suffix.lower() in IMAGE_SUFFIXES else path.name
