"""YouTube-VOS: videos whose objects appear at any time, as `meta.json` lists them.

The layout below the root, with defaults that other names may take the place of:

    train/{JPEGImages,Annotations}/<video>/00000.jpg|png, 00005 …   every fifth frame, each with its mask
    valid/{JPEGImages,Annotations}/<video>/ …                      masks only where objects are first annotated
    all_frames/valid_all_frames/JPEGImages/<video>/00000.jpg …      every frame, no mask
    {train,valid}/meta.json                                        the objects: ids, categories, frames

In a validation mask, 0 means "no new object here", not background. Only names are read by `read_youtube`;
`youtube_masks.check_youtube` looks into the files.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.registry import Registry, suggest
from oneshot_vos.sets.davis import folder_names
from oneshot_vos.sets.youtube_split import FAULTY_VIDEOS, TrainingSplit, split_training, without_faulty
from oneshot_vos.videos.images import frame_files, natural_key
from oneshot_vos.videos.masks import LARGEST_ID
from oneshot_vos.videos.objects import (
    HELD_OUT,
    TRAIN,
    TRAIN_PART,
    VALID,
    ObjectVideo,
    TrackedObject,
    YouTubeSet,
)
from oneshot_vos.videos.problems import Problems, folder_problems
from oneshot_vos.videos.video import Video

ALL_FRAMES = "all_frames/valid_all_frames/JPEGImages"  # where the official package of all validation frames lies
_FOLDERS: Registry[Path] = Registry(
    "split of YouTube-VOS",
    {TRAIN: Path("train"), TRAIN_PART: Path("train"), HELD_OUT: Path("train"), VALID: Path("valid")},
)
_MOST_NAMES_SHOWN = 3


def read_youtube(
    root: Path,
    *,
    split: str,
    images: str | None = None,
    annotations: str | None = None,
    meta: str | None = None,
    all_frames: str | None = None,
    exclude: Collection[str] = (),
) -> YouTubeSet:
    """List one split of the set below `root` (the folder that holds `train`, `valid`, `all_frames`).

    split: `train`, all training videos but `youtube_split.FAULTY_VIDEOS`; `train-part` and `held-out`, its two parts by
        `youtube_split.split_training`; `valid`.
    images, annotations, meta: where frames, masks and `meta.json` lie, relative to `root`; None: as in the official
        package of the split. A copy at 480p is read with its own `images` and `annotations` and the official `meta`.
    all_frames: folder of the package with all frames (for validation: `ALL_FRAMES`), on which the network then runs;
        None: it runs on the frames of `images`. The published scores need all frames.
    exclude: further videos to leave out; the split is made before.

    `video.masks` of `train` and `train-part` are all masks, of `valid` those of the package. A `held-out` video is
    given none: `youtube_masks.give_first_masks` makes them.

    Raises one `UserError` for all that is wrong with `meta.json` and the folders: a video in one but not in the other,
    objects without frames, frames without images, masks missing where an object begins or lying where none does.
    """
    folder = _FOLDERS[split]
    image_root = root / (images or f"{folder}/JPEGImages")
    mask_root = root / (annotations or f"{folder}/Annotations")
    meta_file = root / (meta or f"{folder}/meta.json")
    listed = _read_meta(meta_file)
    on_disk = folder_names(image_root)
    names, unseen = _names_of(split, listed, meta_file)
    left_out = {*exclude, *(() if split == VALID else FAULTY_VIDEOS)}
    problems = Problems()
    for finding in _mismatches(set(listed) - left_out, set(on_disk) - left_out, meta_file, image_root):
        problems.add(finding)
    for name in sorted(set(exclude) - set(listed) - set(on_disk)):
        problems.add(f"video '{name}' is to be left out, but the set has no such video; {suggest(name, list(listed))}")
    missing = set(names) - set(on_disk)
    places = _Places(split, image_root, mask_root, root / all_frames if all_frames is not None else None)
    if places.all_frames is not None and not places.all_frames.is_dir():
        raise UserError(
            f"{places.all_frames}: no such folder; expected the package with all frames of split '{split}'. Fetch it, "
            "or set all_frames: null to run on every fifth frame (which costs 7 to 10 points on the validation sets)"
        )
    videos = []
    for name in names:
        if name not in left_out and name not in missing:
            video, found = _read_video(name, listed[name], places)
            for finding in found:
                problems.add(finding, f"video '{name}'")
            videos.append(video)
    problems.raise_errors(f"{root} (YouTube-VOS, split '{split}')")
    if not videos:
        raise UserError(f"{meta_file}: no video of split '{split}' is left; expected at least one. Check 'exclude'")
    return YouTubeSet(split, tuple(videos), unseen)


def require_unseen_videos(name: str, scored: YouTubeSet, trained: Iterable[Video]) -> None:
    """Raise `UserError` if a video that is scored is trained on: scores on it would mean nothing."""
    both = sorted({video.name for video in scored.videos} & {video.name for video in trained})
    if both:
        raise UserError(
            f"set '{name}': YouTube-VOS, split '{scored.split}': {len(both)} of its {len(scored.videos)} videos "
            f"are trained on, too ({_some(both)}); expected none. Train on the split '{TRAIN_PART}'"
        )


# --- meta.json ------------------------------------------------------------------------------------------------------


def _read_meta(path: Path) -> dict[str, tuple[TrackedObject, ...]]:
    """The objects of every video of `meta.json`, ids and frames in rising order."""
    content = read_json(path, "meta.json of YouTube-VOS, which lists the objects of every video")
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not videos:
        raise UserError(
            f'{path}: no videos in it; expected {{"videos": {{<name>: {{"objects": …}}}}}}. Take meta.json from the '
            "package of this split"
        )
    problems, listed = Problems(), {}
    for name in sorted(videos):
        problems.item = f"video '{name}'"
        objects = videos[name].get("objects") if isinstance(videos[name], dict) else None
        if not isinstance(objects, dict) or not objects:
            problems.add("no objects; expected at least one")
            continue
        kept = []
        for key, entry in objects.items():
            found = _read_object(key, entry)
            if isinstance(found, TrackedObject):
                kept.append(found)
            else:
                problems.add(found)
        if len({item.id for item in kept}) < len(kept):
            problems.add("an object id is listed twice; expected each once")
        listed[name] = tuple(sorted(kept, key=lambda item: item.id))
    problems.raise_errors(path)
    return listed


def _read_object(key: str, entry: Any) -> TrackedObject | str:
    """One object of `meta.json`, or what is wrong with it."""
    if not (key.isascii() and key.isdigit() and 0 < int(key) <= LARGEST_ID):
        return f"object id '{key}'; expected a whole number from 1 to {LARGEST_ID}"
    frames = entry.get("frames") if isinstance(entry, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(stem, str) and stem for stem in frames):
        return f'object {key} has no list of frames; expected at least one frame name, such as "00000"'
    if len(set(frames)) < len(frames):
        return f"object {key} lists a frame twice; expected each once"
    category = entry.get("category", "")
    if not isinstance(category, str):
        return f"the category of object {key} is {category!r}; expected a name"
    return TrackedObject(int(key), category, tuple(sorted(frames, key=natural_key)))


def _names_of(
    split: str, listed: Mapping[str, tuple[TrackedObject, ...]], meta_file: Path
) -> tuple[list[str], frozenset[str]]:
    """The videos of the split in alphabetical order, and the categories that its training part lacks."""
    if split == VALID:
        return sorted(listed), frozenset()
    if split == TRAIN:
        return without_faulty(listed), frozenset()
    nameless = [name for name in without_faulty(listed) if any(not item.category for item in listed[name])]
    if nameless:
        raise UserError(
            f"{meta_file}: objects without a category ({_some(nameless)}); expected one for every object, because the "
            f"split '{split}' is made by them. Take meta.json from the training package"
        )
    parts: TrainingSplit = split_training({name: {item.category for item in listed[name]} for name in listed})
    return list(parts.train if split == TRAIN_PART else parts.held_out), parts.unseen


def _mismatches(listed: set[str], on_disk: set[str], meta_file: Path, image_root: Path) -> list[str]:
    problems = [
        f"video '{name}' is in {meta_file.name} but has no folder {image_root / name}; expected its frames there"
        for name in sorted(listed - on_disk)
    ]
    problems += [
        f"video '{name}' has a folder {image_root / name} but is not in {meta_file}; expected its objects there"
        for name in sorted(on_disk - listed)
    ]
    return problems


# --- folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    split: str
    images: Path
    annotations: Path
    all_frames: Path | None


def _read_video(name: str, objects: tuple[TrackedObject, ...], places: _Places) -> tuple[ObjectVideo, list[str]]:
    """One video, and what is wrong with it; a video with problems is not to be used."""
    image_folder, mask_folder = places.images / name, places.annotations / name
    images = frame_files(image_folder)
    mask_files = frame_files(mask_folder) if mask_folder.is_dir() else []
    problems = list(folder_problems(images, mask_files, image_folder, mask_folder))
    masks = {path.stem: path for path in mask_files}
    originals = {path.stem: path for path in images}
    frames = images
    if places.all_frames is not None:
        frame_folder = places.all_frames / name
        frames = frame_files(frame_folder) if frame_folder.is_dir() else []
        lacking = sorted(set(originals) - {path.stem for path in frames}, key=natural_key)
        if lacking:
            problems.append(f"{frame_folder} lacks {_some(lacking)}; expected every frame of {image_folder} and more")
    for item in objects:
        lacking = [stem for stem in item.frames if stem not in originals]
        if lacking:
            problems.append(
                f"object {item.id} is listed in {_some(lacking)}, but {image_folder} has no such frame; expected one"
            )
    problems += _misplaced_masks(objects, masks, mask_folder, places.split)
    shown = {} if places.split == HELD_OUT else masks
    required = {stem for item in objects for stem in item.frames}
    video = ObjectVideo(
        Video(name, tuple(frames), shown),
        objects,
        {stem: path for stem, path in originals.items() if stem in required},
        {} if places.split == VALID else masks,
    )
    return video, problems


def _misplaced_masks(
    objects: tuple[TrackedObject, ...], masks: Mapping[str, Path], folder: Path, split: str
) -> Iterator[str]:
    """Masks that `meta.json` wants and the folder lacks, and (validation) masks of frames in which nothing begins."""
    if not masks:
        return  # already said of the folder
    for item in objects:
        wanted = [item.first] if split == VALID else item.frames
        lacking = [stem for stem in wanted if stem not in masks]
        if lacking:
            what = "is first listed in" if split == VALID else "is listed in"
            yield f"object {item.id} {what} {_some(lacking)}, but {folder} has no mask of that name; expected one"
    if split == VALID:
        stray = sorted(set(masks) - {item.first for item in objects}, key=natural_key)
        if stray:
            yield f"{folder} has a mask for {_some(stray)}, where meta.json lets no object begin; expected none"


def _some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = list(names)[:_MOST_NAMES_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(f"'{name}'" for name in shown) + (f" and {more} more" if more else "")
