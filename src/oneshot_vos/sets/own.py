"""Own videos, from a plain folder into the layout that training reads.

    SOURCE/videos/<video>/…            frames, or        SOURCE/videos/<video>.mp4 (.mov, .mkv, …)
    SOURCE/masks/<video>/<frame>.png   on any frame, named like it; frames of a file count from 0: 00000

becomes

    OUT/JPEGImages/<video>/<frame>.jpg     frames of a folder as they are, frames of a file as JPEG
    OUT/Annotations/<video>/<frame>.png
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.videos.frames import FrameSource, open_frames
from oneshot_vos.videos.images import frame_files
from oneshot_vos.videos.masks import mask_size
from oneshot_vos.videos.problems import folder_problems, summary_of_problems
from oneshot_vos.videos.video_files import VIDEO_SUFFIXES

IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Imported:
    """A video in its new place. kept: it was there already and was left alone."""

    name: str
    frames: int
    masks: int
    kept: bool


def import_videos(source: Path, out: Path, *, quality: int = JPEG_QUALITY) -> Iterator[Imported]:
    """Copy videos and masks below `out`, one video after the other, and say what was done.

    Before anything is written, every video is looked at, and all problems come in one `UserError`: videos without mask,
    masks without frame or video, masks of another size, files that are no video. A video that is at its place already,
    with the same names of frames, the same masks and no newer source, is left alone; any other is replaced. `source`
    is never written to.
    """
    videos, problems = _find(source)
    if problems:
        raise UserError(summary_of_problems(str(source), problems))
    for name, (frames, masks) in videos.items():
        yield _copy(name, frames, masks, out, quality)


def _find(source: Path) -> tuple[dict[str, tuple[FrameSource, list[Path]]], list[str]]:
    """Frames and masks of every video, and what is wrong with them."""
    folder = source / "videos"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of frames, or a video file, per video")
    problems: list[str] = []
    places: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        name = entry.name if entry.is_dir() else entry.stem
        if not entry.is_dir() and entry.suffix.lower() not in VIDEO_SUFFIXES:
            problems.append(f"{entry}: neither a folder of frames nor a video file. Take it away")
        elif name in places:
            problems.append(f"{entry}: the video '{name}' is there already, {places[name]}; expected each name once")
        else:
            places[name] = entry
    videos = {}
    for name, place in places.items():
        try:
            frames = open_frames(place)
            masks = frame_files(source / "masks" / name) if (source / "masks" / name).is_dir() else []
        except UserError as error:
            problems.append(str(error))
            continue
        problems += [f"video '{name}': {problem}" for problem in _mask_problems(frames, masks, source / "masks" / name)]
        videos[name] = (frames, masks)
    if (source / "masks").is_dir():
        strays = sorted(entry for entry in (source / "masks").iterdir() if not entry.name.startswith("."))
        problems += [f"{entry}: masks of no video in {folder}" for entry in strays if entry.name not in places]
    if not places:
        problems.append(f"no video in {folder}")
    return videos, problems


def _mask_problems(frames: FrameSource, masks: list[Path], folder: Path) -> Iterator[str]:
    stand_ins = [frames.path / f"{name}.jpg" for name in frames.names]
    yield from folder_problems(stand_ins, masks, frames.path, folder)
    for mask in masks:
        try:
            height, width = mask_size(mask)
        except UserError as error:
            yield str(error)
            continue
        if (height, width) != frames.size:
            yield (
                f"{mask} is {width}x{height} pixels, but the video is {frames.size[1]}x{frames.size[0]}; expected the "
                "same size"
            )


def _copy(name: str, frames: FrameSource, masks: list[Path], out: Path, quality: int) -> Imported:
    images, annotations = out / IMAGES / name, out / ANNOTATIONS / name
    result = Imported(name, len(frames.names), len(masks), kept=False)
    if _is_there(frames, masks, images, annotations):
        return Imported(name, result.frames, result.masks, kept=True)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    images.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(images) as folder:
        if frames.path.is_dir():
            for file in frames.files():
                shutil.copyfile(file, folder / file.name)
        else:
            pictures = frames.read(range(len(frames.names)))
            for stem, picture in zip(frames.names, pictures, strict=True):
                _write_jpeg(folder / f"{stem}.jpg", picture, quality)
    with replacing_folder(annotations) as folder:
        for mask in masks:
            shutil.copyfile(mask, folder / mask.name)
    return result


def _is_there(frames: FrameSource, masks: list[Path], images: Path, annotations: Path) -> bool:
    if not images.is_dir() or not annotations.is_dir():
        return False
    found = {file.name: file.read_bytes() for file in frame_files(annotations)}
    made = images.stat().st_mtime_ns
    if any(file.stat().st_mtime_ns > made for file in frames.files()):
        return False
    same_masks = found == {mask.name: mask.read_bytes() for mask in masks}
    return same_masks and [file.stem for file in frame_files(images)] == list(frames.names)


def _write_jpeg(path: Path, picture: np.ndarray, quality: int) -> None:
    # Full colour resolution: masks follow edges of colour.
    Image.fromarray(picture).save(path, format="JPEG", quality=quality, subsampling=0)
