"""YouTube-VOS: videos whose objects appear at any time, as `meta.json` lists them.

The layout below the root, with defaults that other names may take the place of:

    train/{JPEGImages,Annotations}/<video>/00000.jpg|png, 00005 …   every fifth frame, each with its mask
    valid/{JPEGImages,Annotations}/<video>/ …                      masks only where objects are first annotated
    all_frames/valid_all_frames/JPEGImages/<video>/00000.jpg …      every frame, no mask
    {train,valid}/meta.json                                        the objects: ids, categories, frames

In a validation mask, 0 means "no new object here", not background. Only names are read by `read_youtube`;
`youtube_masks.check_youtube` looks into the files.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json
from oneshot_vos.registry import Registry, suggest
from oneshot_vos.sets.davis import folder_names
from oneshot_vos.sets.youtube_split import FAULTY_VIDEOS, split_training, without_faulty
from oneshot_vos.videos.frame_files import frame_files, natural_key, require_unbroken
from oneshot_vos.videos.masks import LARGEST_ID
from oneshot_vos.videos.objects import HELD_OUT, TRAIN, TRAIN_PART, VALID, ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.problems import Problems, folder_problems
from oneshot_vos.videos.video import Video

ALL_FRAMES = "all_frames/valid_all_frames/JPEGImages"  # where the official package of all validation frames lies
_FOLDERS: Registry[Path] = Registry(
    "split of YouTube-VOS",
    {TRAIN: Path("train"), TRAIN_PART: Path("train"), HELD_OUT: Path("train"), VALID: Path("valid")},
)
Objects = tuple[TrackedObject, ...]  # of one video, by rising id
Files = Mapping[str, Path]  # by stem
_MOST_NAMES_SHOWN = 3
_NOWHERE = "object listed in no frame"


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

    The official sets have flaws that the official programs never notice, since they train on masks alone and take
    objects in where masks show them. So these are `warnings` of the set: a folder that `meta.json` does not list,
    objects without frames, frames of training videos without an image or a mask (the object is then listed in its other
    frames), masks without a frame, validation masks missing where an object begins or lying where none does. A video
    without objects is left out of sets to evaluate.

    Raises one `UserError` for what makes the set useless: an unreadable `meta.json`, a listed video without a folder,
    without frames or masks, a frame to hand in without an image, missing files in the package of all frames.
    """
    folder = _FOLDERS[split]
    image_root = root / (images or f"{folder}/JPEGImages")
    mask_root = root / (annotations or f"{folder}/Annotations")
    meta_file = root / (meta or f"{folder}/meta.json")
    problems = Problems()
    listed = _read_meta(meta_file, problems)
    on_disk = folder_names(image_root)
    names, unseen = _names_of(split, listed, meta_file)
    left_out = {*exclude, *(() if split == VALID else FAULTY_VIDEOS)}
    problems.problems = [problem for problem in problems.problems if problem.item not in left_out]
    _compare_names(set(listed) - left_out, set(on_disk) - left_out, meta_file, image_root, problems)
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
            problems.item = name
            video = _read_video(name, listed[name], places, problems)
            if video.objects or split in (TRAIN, TRAIN_PART):
                videos.append(video)
    problems.raise_errors(f"{root} (YouTube-VOS, split '{split}')")
    if not videos:
        raise UserError(
            f"{meta_file}: no video of split '{split}' is left; expected at least one that lists objects. Check "
            "'exclude', and that meta.json is the one of this package"
        )
    return YouTubeSet(split, tuple(videos), unseen, tuple(problems.warnings))


def require_unseen_videos(name: str, scored: YouTubeSet, trained: Iterable[Video]) -> None:
    """Raise `UserError` if a video that is scored is trained on: scores on it would mean nothing."""
    both = sorted({video.name for video in scored.videos} & {video.name for video in trained})
    if both:
        raise UserError(
            f"set '{name}': YouTube-VOS, split '{scored.split}': {len(both)} of its {len(scored.videos)} videos "
            f"are trained on, too ({_some(both)}); expected none. Train on the split '{TRAIN_PART}'"
        )


# --- meta.json ------------------------------------------------------------------------------------------------------


def _read_meta(path: Path, found: Problems) -> dict[str, Objects]:
    """The objects of every video of `meta.json`, ids and frames in rising order; warnings go to `found`."""
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
        found.item = name
        objects = videos[name].get("objects") if isinstance(videos[name], dict) else None
        if not isinstance(objects, dict):
            problems.add("no objects; expected at least one")
            continue
        if not objects:
            found.warning(path, "video without objects in meta.json", f"video '{name}' has no objects")
        kept = []
        for key, entry in objects.items():
            item = _read_object(key, entry)
            if isinstance(item, str):
                problems.add(item)
                continue
            kept.append(item)
            if not item.frames:
                found.warning(path, _NOWHERE, f"object {key} of video '{name}' is listed in no frame and left out")
            elif len(item.frames) < len(entry["frames"]):
                found.warning(
                    path, "object listed twice in a frame", f"object {key} of video '{name}' lists a frame twice"
                )
        if len({item.id for item in kept}) < len(kept):
            problems.add("an object id is listed twice; expected each once")
        listed[name] = tuple(sorted((item for item in kept if item.frames), key=lambda item: item.id))
    problems.raise_errors(path)
    return listed


def _read_object(key: str, entry: Any) -> TrackedObject | str:
    """One object of `meta.json`, or what is wrong with it."""
    if not (key.isascii() and key.isdigit() and 0 < int(key) <= LARGEST_ID):
        return f"object id '{key}'; expected a whole number from 1 to {LARGEST_ID}"
    frames = entry.get("frames") if isinstance(entry, dict) else None
    if not isinstance(frames, list) or not all(isinstance(stem, str) and stem for stem in frames):
        return f'object {key} has no list of frames; expected frame names, such as "00000"'
    category = entry.get("category", "")
    if not isinstance(category, str):
        return f"the category of object {key} is {category!r}; expected a name"
    return TrackedObject(int(key), category, tuple(sorted(set(frames), key=natural_key)))


def _names_of(split: str, listed: Mapping[str, Objects], meta_file: Path) -> tuple[list[str], frozenset[str]]:
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
    parts = split_training({name: {item.category for item in listed[name]} for name in listed})
    return list(parts.train if split == TRAIN_PART else parts.held_out), parts.unseen


def _compare_names(listed: set[str], on_disk: set[str], meta_file: Path, image_root: Path, problems: Problems) -> None:
    problems.item = ""
    for name in sorted(listed - on_disk):
        problems.add(
            f"video '{name}' is in {meta_file.name} but has no folder {image_root / name}; expected its frames there"
        )
    for name in sorted(on_disk - listed):
        problems.warning(
            image_root / name,
            "folder that meta.json does not list",
            f"video '{name}' is not in {meta_file} and left out; expected its objects there",
        )


# --- folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    split: str
    images: Path
    annotations: Path
    all_frames: Path | None


def _read_video(name: str, objects: Objects, places: _Places, problems: Problems) -> ObjectVideo:
    """One video; a video with errors is not to be used."""
    image_folder, mask_folder = places.images / name, places.annotations / name
    images = frame_files(image_folder)
    originals = {path.stem: path for path in images}
    require_unbroken([mask_folder])
    mask_files = []
    for path in frame_files(mask_folder) if mask_folder.is_dir() else []:
        if images and path.stem not in originals:
            problems.warning(path, "mask without a frame", "no frame has this name; the mask is not used")
        else:
            mask_files.append(path)
    for finding in folder_problems(images, mask_files, image_folder, mask_folder):
        problems.add(finding, f"video '{name}'")
    masks = {path.stem: path for path in mask_files}
    frames = images
    if places.all_frames is not None:
        frames = _every_frame(places.all_frames / name, originals, image_folder, problems)
    if places.split == VALID:
        _check_validation(objects, originals, masks, image_folder, mask_folder, problems)
    else:
        for what, folder, files in (("image", image_folder, originals), ("mask", mask_folder, masks)):
            objects = _where_there_are(objects, what, files, folder, problems)
    shown = {} if places.split == HELD_OUT else masks
    required = {stem for item in objects for stem in item.frames}
    return ObjectVideo(
        Video(name, tuple(frames), shown),
        objects,
        {stem: path for stem, path in originals.items() if stem in required},
        {} if places.split == VALID else masks,
    )


def _every_frame(folder: Path, images: Files, image_folder: Path, problems: Problems) -> list[Path]:
    """All frames of a video, those of `image_folder` among them."""
    frames = frame_files(folder) if folder.is_dir() else []
    lacking = sorted(images.keys() - {path.stem for path in frames}, key=natural_key)
    if lacking:
        wrong = f"{folder} lacks {_some(lacking)}; expected every frame of {image_folder} and more"
        problems.add(wrong, f"video '{folder.name}'")
    return frames


def _where_there_are(objects: Objects, what: str, files: Files, folder: Path, problems: Problems) -> Objects:
    """Objects of a training video, listed in the frames alone that are among `files`, of the kind `what`."""
    if not files:
        return objects  # already said of the folder
    kept = []
    for item in objects:
        frames = tuple(stem for stem in item.frames if stem in files)
        if len(frames) < len(item.frames):
            problems.warning(
                folder,
                f"object listed in frames without {'an' if what == 'image' else 'a'} {what}",
                f"object {item.id} is listed in {_some(sorted(set(item.frames) - set(frames), key=natural_key))}, but "
                f"there is no such {what}; these frames are passed over",
            )
        if frames:
            kept.append(replace(item, frames=frames))
        else:
            problems.warning(folder, _NOWHERE, f"object {item.id} is left out, since it has no frame with its {what}")
    return tuple(kept)


def _check_validation(
    objects: Objects, images: Files, masks: Files, image_folder: Path, mask_folder: Path, problems: Problems
) -> None:
    """Frames to hand in without an image; masks that lie elsewhere than where `meta.json` lets objects begin."""
    for item in objects:
        lacking = [stem for stem in item.frames if stem not in images]
        if lacking and images:
            problems.add(
                f"object {item.id} is listed in {_some(lacking)}, but {image_folder} has no such frame; expected one",
                f"video '{image_folder.name}'",
            )
        if masks and item.first not in masks:
            problems.warning(
                mask_folder,
                "no mask where an object begins",
                f"object {item.id} is first listed in '{item.first}', but there is no mask of that name; the object "
                "begins where a mask shows it",
            )
    stray = sorted(set(masks) - {item.first for item in objects}, key=natural_key)
    if stray and objects:
        problems.warning(
            mask_folder,
            "mask where no object begins",
            f"a mask for {_some(stray)}, where meta.json lets no object begin",
        )


def _some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = list(names)[:_MOST_NAMES_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(f"'{name}'" for name in shown) + (f" and {more} more" if more else "")
