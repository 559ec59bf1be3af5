"""The masks of YouTube-VOS: do they agree with `meta.json`, and which of them is a network given?"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.sets.check import CheckReport, check_videos
from oneshot_vos.videos.images import natural_key
from oneshot_vos.videos.masks import inspect_mask, object_ids, write_mask
from oneshot_vos.videos.objects import HELD_OUT, VALID, ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.problems import Problem, Problems


def check_youtube(dataset: YouTubeSet, *, training: bool = False) -> CheckReport:
    """Check every file as `check.check_videos` does, and the masks of `valid` and `held-out` against `meta.json`.

    Errors: an id that `meta.json` does not know; an object that no mask shows; in `valid`, a mask that shows an object
    elsewhere than where it is first listed. A warning: a training mask that shows an object before it is listed. Sets
    to train on are read by their masks alone, so `meta.json` is not asked there.
    """
    given = [
        replace(video.video, masks=video.truth) if dataset.split == HELD_OUT else video.video
        for video in dataset.videos
    ]
    report = check_videos(given, training=training)
    if dataset.split not in (VALID, HELD_OUT):
        return report
    damaged = {problem.file for problem in report.errors}
    for video, shown_video in zip(dataset.videos, given, strict=True):
        # A mask that cannot be read has been reported, and nothing more can be said of its video.
        if not damaged.intersection(str(path) for path in shown_video.masks.values()):
            shown = {stem: set(object_ids(inspect_mask(path).ids)) for stem, path in shown_video.masks.items()}
            check = _check_given if dataset.split == VALID else _check_truth
            report.problems.extend(check(video, shown))
    return report


def _check_given(video: ObjectVideo, shown: dict[str, set[int]]) -> Iterator[Problem]:
    """What is wrong with validation masks: each object must be shown once, where it is first listed."""
    first = {item.id: item.first for item in video.objects}
    for stem in sorted(shown, key=natural_key):
        yield from _unknown_ids(video, stem, shown[stem])
        for number in sorted(shown[stem] & first.keys()):
            if first[number] != stem:
                yield _problem(
                    video,
                    video.video.masks[stem],
                    f"shows object {number}, which meta.json lets begin at frame '{first[number]}'; expected new "
                    "objects alone in this mask",
                )
    for item in video.objects:
        if item.id not in shown.get(item.first, set()):
            yield _problem(
                video,
                video.video.masks[item.first],
                f"does not show object {item.id}, which meta.json lets begin at this frame; expected its mask",
            )


def _check_truth(video: ObjectVideo, shown: dict[str, set[int]]) -> Iterator[Problem]:
    """What is wrong with training masks that are scored against."""
    for stem in sorted(shown, key=natural_key):
        yield from _unknown_ids(video, stem, shown[stem])
    for item in video.objects:
        if not any(item.id in shown[stem] for stem in item.frames):
            yield _problem(
                video,
                video.truth[item.first],
                f"object {item.id} is shown in none of the frames that meta.json lists it in",
            )
            continue
        early = [stem for stem in shown if item.id in shown[stem] and natural_key(stem) < natural_key(item.first)]
        if early:
            yield _problem(
                video,
                video.truth[early[0]],
                f"shows object {item.id} before '{item.first}', the first frame that meta.json lists it in; it is "
                "given and scored from there on",
                level="warning",
            )


def _unknown_ids(video: ObjectVideo, stem: str, ids: set[int]) -> Iterator[Problem]:
    unknown = sorted(ids - {item.id for item in video.objects})
    if unknown:
        file = (video.truth or video.video.masks)[stem]
        yield _problem(video, file, f"shows object ids {unknown}, which meta.json does not list for this video")


def _problem(video: ObjectVideo, file: Path, finding: str, level: str = "error") -> Problem:
    remedy = "" if level == "warning" else ". Take the package's own files, or name the video under 'exclude'"
    return Problem("warning" if level == "warning" else "error", video.name, str(file), f"{file}: {finding}{remedy}")


def give_first_masks(dataset: YouTubeSet, folder: Path) -> YouTubeSet:
    """What a network is shown of a `held-out` set, in the form of the validation set: `<folder>/<video>/<stem>.png`.

    An object is given in the first of its listed frames whose mask shows it, and its frames begin there. A file holds
    the objects that begin in its frame and nothing else. An object that is never shown is left out with a warning.
    What stood in `folder` is replaced. Raises `UserError` for a set that is not `held-out` and for videos without any
    object.
    """
    if dataset.split != HELD_OUT:
        raise UserError(
            f"split '{dataset.split}': first masks are made for the split '{HELD_OUT}' alone; use it as it is"
        )
    videos, problems = [], Problems()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(folder) as target:
        for video in dataset.videos:
            objects, masks = _first_masks(video)
            if not objects:
                problems.add(
                    f"video '{video.name}': no mask shows any of its objects in the frames that meta.json lists; name "
                    "the video under 'exclude'"
                )
                continue
            for stem, ids in masks.items():
                write_mask(target / video.name / f"{stem}.png", ids)
            files = {stem: folder / video.name / f"{stem}.png" for stem in masks}
            required = {stem for item in objects for stem in item.frames}
            originals = {stem: path for stem, path in video.originals.items() if stem in required}
            videos.append(
                replace(video, video=replace(video.video, masks=files), objects=tuple(objects), originals=originals)
            )
        problems.raise_errors(f"YouTube-VOS, split '{HELD_OUT}'")
    return replace(dataset, videos=tuple(videos))


def _first_masks(video: ObjectVideo) -> tuple[Sequence[TrackedObject], dict[str, np.ndarray]]:
    """The objects with their frames from the first mask on, and the masks to show (uint8 or uint16, H x W)."""
    waiting = {item.id: item for item in video.objects}
    found: dict[int, TrackedObject] = {}
    masks: dict[str, np.ndarray] = {}
    for stem in video.required:
        listed = [number for number, item in waiting.items() if stem in item.frames]
        if not listed:
            continue
        ids = inspect_mask(video.truth[stem]).ids
        new = sorted(set(listed).intersection(object_ids(ids)))
        if new:
            masks[stem] = np.where(np.isin(ids, new), ids, 0).astype(ids.dtype)
        for number in new:
            item = waiting.pop(number)
            found[number] = replace(item, frames=item.frames[item.frames.index(stem) :])
    for number in sorted(waiting):
        warnings.warn(
            f"{video.truth[waiting[number].first].parent}: no mask shows object {number} of video '{video.name}' in "
            "the frames that meta.json lists; the object is not scored",
            stacklevel=3,
        )
    return [found[number] for number in sorted(found)], masks
