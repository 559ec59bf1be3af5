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
from oneshot_vos.videos.frames import VIDEO_SUFFIXES, FrameSource, frame_named, open_frames
from oneshot_vos.videos.images import frame_files, frame_name
from oneshot_vos.videos.masks import mask_size
from oneshot_vos.videos.problems import Problems

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
    problems = Problems()
    videos = _find(source, problems)
    problems.raise_errors(source)
    for name, (frames, masks) in videos.items():
        yield _copy(name, frames, masks, out, quality)


def _find(source: Path, problems: Problems) -> dict[str, tuple[FrameSource, dict[str, Path]]]:
    """Frames of every video, and masks by the names of their frames; what is wrong with them goes to `problems`."""
    folder = source / "videos"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of frames, or a video file, per video")
    places: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        name = entry.name if entry.is_dir() else entry.stem
        if not entry.is_dir() and entry.suffix.lower() not in VIDEO_SUFFIXES:
            problems.add(f"{entry}: neither a folder of frames nor a video file. Take it away")
        elif name in places:
            problems.add(f"{entry}: the video '{name}' is there already, {places[name]}; expected each name once")
        else:
            places[name] = entry
    videos = {}
    for name, place in places.items():
        folder_of_masks = source / "masks" / name
        with problems.catching(place):
            frames = open_frames(place)
            masks = frame_files(folder_of_masks) if folder_of_masks.is_dir() else []
            videos[name] = (frames, _named_masks(name, frames, masks, folder_of_masks, problems))
    if (source / "masks").is_dir():
        for entry in sorted(entry for entry in (source / "masks").iterdir() if not entry.name.startswith(".")):
            if entry.name not in places:
                problems.add(f"{entry}: masks of no video in {folder}")
    if not places:
        problems.add(f"no video in {folder}")
    return videos


def _named_masks(
    name: str, frames: FrameSource, masks: list[Path], folder: Path, problems: Problems
) -> dict[str, Path]:
    """Masks by the names of their frames."""
    video = f"video '{name}'"
    if not masks:
        problems.add(f"no mask in {folder}; expected at least one, named like its frame", video)
    places = {stem: t for t, stem in enumerate(frames.names)}
    named: dict[str, Path] = {}
    for mask in masks:
        frame = frame_named(places, frame_name(mask))
        if mask.suffix.lower() != ".png":
            problems.add(f"{mask} is a mask saved as {mask.suffix}, which loses the ids; expected PNG", video)
        elif frame is None:
            problems.add(f"{mask} is a mask without a frame; {frames.path} has none of that name", video)
        elif (stem := frames.names[frame]) in named:
            problems.add(f"{mask} is a mask of the same frame as {named[stem]}; expected one. Take one away", video)
        else:
            named[stem] = mask
            with problems.catching(mask):
                height, width = mask_size(mask)
                if (height, width) != frames.size:
                    problems.add(
                        f"{mask} is {width}x{height} pixels, but the video is {frames.size[1]}x{frames.size[0]}; "
                        "expected the same size",
                        video,
                    )
    return named


def _copy(name: str, frames: FrameSource, masks: dict[str, Path], out: Path, quality: int) -> Imported:
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
        for stem, mask in masks.items():
            shutil.copyfile(mask, folder / f"{stem}.png")
    return result


def _is_there(frames: FrameSource, masks: dict[str, Path], images: Path, annotations: Path) -> bool:
    if not images.is_dir() or not annotations.is_dir():
        return False
    found = {file.name: file.read_bytes() for file in frame_files(annotations)}
    made = images.stat().st_mtime_ns
    if any(file.stat().st_mtime_ns > made for file in frames.files()):
        return False
    same_masks = found == {f"{stem}.png": mask.read_bytes() for stem, mask in masks.items()}
    return same_masks and [frame_name(file) for file in frame_files(images)] == list(frames.names)


def _write_jpeg(path: Path, picture: np.ndarray, quality: int) -> None:
    # Full colour resolution: masks follow edges of colour.
    Image.fromarray(picture).save(path, format="JPEG", quality=quality, subsampling=0)
