"""Own videos, from a plain folder into the layout that training reads.

    SOURCE/videos/<video>/…            frames, or        SOURCE/videos/<video>.mp4 (.mov, .mkv, …)
    SOURCE/masks/<video>/<frame>.png   on any frame, named like it; frames of a file count from 0: 00000
    SOURCE/masks/<video>.png           of the first frame

or masks in any other form that `mask_inputs` reads, per video or of all in `masks` or `masks.zip`, becomes

    OUT/JPEGImages/<video>/<frame>.jpg     frames of a folder as they are, frames of a file as JPEG
    OUT/Annotations/<video>/<frame>.png    palette and grey masks as they are, colours and other forms as ids
"""

import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, replacing_folder, write_json
from oneshot_vos.sets.mask_inputs import Frames, read_mask_tree, read_masks, told_as, video_name
from oneshot_vos.videos.frame_files import frame_files, frame_name, visible_entries
from oneshot_vos.videos.frames import VIDEO_SUFFIXES, FrameSource, content_of, frame_named, open_frames
from oneshot_vos.videos.label_map import LABEL_MAP, Color
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import mask_size, write_mask
from oneshot_vos.videos.problems import Problems

IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"
JPEG_QUALITY = 95
_RECORD = ".imported.json"  # of what each video was made

Given = dict[str, Path | Frames]  # the masks of each video, or where they lie


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
    made of the same contents, is left alone; any other is replaced. What else lies below `out` stays: `other_videos`.
    `source` is never written to.
    """
    problems = Problems()
    with TemporaryDirectory() as scratch:
        with told_as((f"{scratch}/masks.zip", source / "masks.zip"), (f"{scratch}/", f"{source / 'masks'}/")):
            videos = _find(source, Path(scratch), problems)
            problems.raise_errors(source)
        for name, (frames, masks) in videos.items():
            yield _copy(name, frames, masks, out, quality)


def other_videos(out: Path, names: Collection[str]) -> list[str]:
    """The videos below `out` that are none of `names`: earlier imports have left them."""
    return sorted({entry.name for entry in (out / IMAGES).iterdir() if entry.is_dir()} - {*names})


def _find(source: Path, scratch: Path, problems: Problems) -> dict[str, tuple[FrameSource, Frames]]:
    """Frames of every video, and masks by the names of their frames; what is wrong with them goes to `problems`."""
    places = find_videos(source / "videos", problems)
    given = find_masks(source, scratch, places, problems)
    videos = {}
    for name, place in places.items():
        with problems.catching(place):
            frames = open_frames(place)
            if name not in given:
                expected = f"{source / 'masks' / name}; expected at least one, named like its frame"
                problems.add(f"no mask in {expected}", f"video '{name}'")
            with problems.catching(place):
                masks = masks_of(name, given.get(name), scratch, frames)
                videos[name] = (frames, named_masks(name, frames, masks, scratch / f"{name} ids", problems))
    return videos


def find_videos(folder: Path, problems: Problems) -> dict[str, Path]:
    """The videos in a folder, files and folders of frames, by their names; what is none goes to `problems`."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of frames, or a video file, per video")
    places: dict[str, Path] = {}
    for entry in visible_entries(folder):
        name = video_name(entry)
        if not entry.is_dir() and entry.suffix.lower() not in VIDEO_SUFFIXES:
            problems.add(f"{entry}: neither a folder of frames nor a video file. Take it away")
        elif name in places:
            problems.add(f"{entry}: the video '{name}' is there already, {places[name]}; expected each name once")
        else:
            places[name] = entry
    if not places:
        problems.add(f"no video in {folder}")
    return places


def find_masks(source: Path, scratch: Path, places: Mapping[str, Path], problems: Problems) -> Given:
    """The masks of each video, or where they lie."""
    folder, archive = source / "masks", source / "masks.zip"
    if archive.is_file() and not folder.is_dir():
        return _of_videos(read_mask_tree(archive, scratch, places), places, archive, problems)
    if archive.is_file():
        problems.add(f"{archive}: masks are in {folder} already; expected one of the two. Take one away")
    names = {entry: video_name(entry) for entry in visible_entries(folder)}
    if names and not any(name in places for name in names.values()):
        with problems.catching(folder):
            return _of_videos(read_mask_tree(folder, scratch, places), places, folder, problems)
    found: Given = {}
    for entry, name in names.items():
        if name in found:
            problems.add(f"{entry}: the masks of '{name}' are there already, {found[name]}; expected them once")
        elif name in places:
            found[name] = entry
        elif entry.name != LABEL_MAP:
            problems.add(f"{entry}: masks of no video in {source / 'videos'}")
    return found


def _of_videos(tree: dict[str, Frames], places: Mapping[str, Path], origin: Path, problems: Problems) -> Given:
    if len(tree) == len(places) == 1:
        return {next(iter(places)): next(iter(tree.values()))}
    for name in tree.keys() - places.keys():
        problems.add(f"{origin / name}: masks of no video; the videos are {', '.join(places)}")
    return {name: masks for name, masks in tree.items() if name in places}


def masks_of(name: str, given: Path | Frames | None, scratch: Path, frames: FrameSource) -> Frames:
    """Mask files of a video, by the names that they have there; `given`: the files, or where they lie in any form."""
    if given is None or isinstance(given, dict):
        return given or {}
    masks = read_masks(given, scratch, name, frames.names)
    return {frames.names[0]: given} if list(masks.values()) == [given] else masks  # one file, named like its video


def named_masks(name: str, frames: FrameSource, masks: Frames, scratch: Path, problems: Problems) -> Frames:
    """Masks by the names of their frames; where colours stand for ids, files of ids in `scratch`."""
    video = f"video '{name}'"
    places = {stem: t for t, stem in enumerate(frames.names)}
    named: Frames = {}
    rules = MaskRules()
    colors: dict[Color, int] = {}
    for given, mask in masks.items():
        frame = frame_named(places, given)
        if frame is None:
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
                reading = rules.read(mask)
                if reading.colors is not None:
                    colors |= {color: number for number, color in reading.colors.items()}
                    named[stem] = scratch / f"{stem}.png"
                    write_mask(named[stem], reading.ids)
    if colors:
        listed = ", ".join(f"{color} = {number}" for color, number in sorted(colors.items(), key=lambda each: each[1]))
        warnings.warn(f"{video}: colours of its masks are read as object ids: {listed}", stacklevel=2)
    return named


def _copy(name: str, frames: FrameSource, masks: Frames, out: Path, quality: int) -> Imported:
    images, annotations = out / IMAGES / name, out / ANNOTATIONS / name
    made_of = fingerprint({"frames": content_of(frames), "quality": quality})
    record = _record(out)
    if record.get(name) == made_of and _is_there(frames, masks, images, annotations):
        return Imported(name, len(frames.names), len(masks), kept=True)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    images.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(images) as folder:
        if frames.path.is_dir():
            for file in frames.files():
                shutil.copyfile(file, folder / file.name)
        else:
            pictures = frames.read(range(len(frames.names)))
            for stem, picture in zip(frames.names, pictures, strict=True):
                # Full colour resolution: masks follow edges of colour.
                Image.fromarray(picture).save(folder / f"{stem}.jpg", quality=quality, subsampling=0)
    with replacing_folder(annotations) as folder:
        for stem, mask in masks.items():
            shutil.copyfile(mask, folder / f"{stem}.png")
    write_json(out / _RECORD, {**record, name: made_of})
    return Imported(name, len(frames.names), len(masks), kept=False)


def _record(out: Path) -> dict[str, str]:
    """What each video in `out` was made of; nothing where it is not known, so that all are made again."""
    try:
        content = read_json(out / _RECORD, "what import-videos writes")
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_there(frames: FrameSource, masks: Frames, images: Path, annotations: Path) -> bool:
    if not images.is_dir() or not annotations.is_dir():
        return False
    found = {file.name: file.read_bytes() for file in frame_files(annotations)}
    same_masks = found == {f"{stem}.png": mask.read_bytes() for stem, mask in masks.items()}
    return same_masks and [frame_name(file) for file in frame_files(images)] == list(frames.names)
