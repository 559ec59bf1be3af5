"""The masks of YouTube-VOS: do they agree with `meta.json`, and which of them is a network given?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.sets.check import CheckReport, check_videos
from oneshot_vos.videos.frame_files import natural_key
from oneshot_vos.videos.masks import inspect_mask, object_ids, write_mask
from oneshot_vos.videos.objects import HELD_OUT, VALID, ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.problems import Problems


def check_youtube(dataset: YouTubeSet, *, training: bool = False) -> CheckReport:
    """Check every file as `check.check_videos` does, and the masks of `valid` and `held-out` against `meta.json`.

    An error: a video none of whose masks shows an object. Warnings, as the official programs read masks and ask
    `meta.json` for frames alone: an id that it does not know; an object that no mask shows; in `valid`, an object shown
    elsewhere than where it is first listed; in `held-out`, one shown before. Sets to train on are read by their masks
    alone, so `meta.json` is not asked there. The report holds the warnings of the set, too.
    """
    given = [
        replace(video.video, masks=video.truth) if dataset.split == HELD_OUT else video.video
        for video in dataset.videos
    ]
    report = check_videos(given, training=training)
    report.problems.extend(dataset.warnings)
    if dataset.split not in (VALID, HELD_OUT):
        return report
    damaged = {problem.file for problem in report.errors}
    for video, shown_video in zip(dataset.videos, given, strict=True):
        # A mask that cannot be read has been reported, and nothing more can be said of its video.
        if not damaged.intersection(str(path) for path in shown_video.masks.values()):
            masks = {stem: shown_video.masks[stem] for stem in sorted(shown_video.masks, key=natural_key)}
            shown = {stem: set(object_ids(inspect_mask(path).ids)) for stem, path in masks.items()}
            report.item = video.name
            _check_shown(video, masks, shown, dataset.split, report)
    return report


def _check_shown(
    video: ObjectVideo, masks: dict[str, Path], shown: dict[str, set[int]], split: str, log: Problems
) -> None:
    """Compare the ids of every mask, in time order, with `meta.json`."""
    known = {item.id for item in video.objects}
    for stem, ids in shown.items():
        if ids - known:
            use = "tracked, but not scored" if split == VALID else "not scored"
            log.warning(
                masks[stem],
                "id that meta.json does not list",
                f"shows object ids {sorted(ids - known)}, which meta.json does not list for this video; {use}",
            )
    usable = False
    for item in video.objects:
        # A held-out object is given in the first of its listed frames that shows it, a validation object in any.
        frames = [stem for stem in shown if item.id in shown[stem]]
        if not any(split == VALID or stem in item.frames for stem in frames):
            log.warning(
                next(iter(masks.values())).parent,
                "object that no mask shows",
                f"object {item.id} is shown in none of the frames that meta.json lists it in; it is not given"
                + ("" if split == VALID else " and not scored"),
            )
            continue
        usable = True
        astray = [
            stem
            for stem in frames
            if (stem != item.first if split == VALID else natural_key(stem) < natural_key(item.first))
        ]
        if astray:
            expected = "it is given where it is shown" if split == VALID else "it is given and scored from there on"
            log.warning(
                masks[astray[0]],
                "object shown elsewhere than meta.json lists it first",
                f"shows object {item.id}, which meta.json lists from frame '{item.first}' on; {expected}",
            )
    if not usable:
        log.error(
            next(iter(masks.values())).parent,
            "no mask shows any of the objects that meta.json lists; expected at least one. Take the package's own "
            "files, or name the video under 'exclude'",
        )


def give_first_masks(dataset: YouTubeSet, folder: Path) -> YouTubeSet:
    """What a network is shown of a `held-out` set, in the form of the validation set: `<folder>/<video>/<stem>.png`.

    An object is given in the first of its listed frames whose mask shows it, and its frames begin there. A file holds
    the objects that begin in its frame and nothing else. An object that is never shown is left out; `check_youtube`
    warns of it.
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
    return [found[number] for number in sorted(found)], masks
