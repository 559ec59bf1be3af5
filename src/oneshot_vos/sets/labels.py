"""The labels a run may use: some masks of every video, or all of them.

Training reads videos through the index written here and through nothing else.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypedDict

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.videos.index import write_index
from oneshot_vos.videos.masks import inspect_mask
from oneshot_vos.videos.video import Video

_log = logging.getLogger(__name__)
Order = Callable[[Video], Sequence[int]]  # the frames of a video with masks, in the order in which they are tried


class LabelRatio(TypedDict):
    """How many of a set's mask files are offered to training, and their share between 0 and 1."""

    labelled: int
    annotated: int
    ratio: float


def in_time(video: Video, start: int = 0) -> Sequence[int]:
    """Frames with masks in time order, from the `start`-th on; `UserError` for a video that has no such mask."""
    if start and start >= len(video.labelled):
        raise UserError(
            f"video '{video.name}' ({video.frames[0].parent}): {len(video.labelled)} masks; expected one at "
            f"position {start}, counted from 0, as `frames` of the labels says. Name a smaller one"
        )
    return video.labelled[start:]


def at_random(video: Video, seed: int) -> Sequence[int]:
    """Frames with masks in random order, which follows from `seed` and the video's name alone."""
    name = int.from_bytes(hashlib.sha256(video.name.encode()).digest()[:8], "big")
    places = np.random.default_rng((seed, name)).permutation(len(video.labelled))
    return [video.labelled[place] for place in places]


def keep_some(
    videos: Sequence[Video], out_dir: Path, name: str, per_video: int = 1, order: Order = in_time
) -> LabelRatio:
    """Copy masks of every video to `out_dir/Annotations/NAME/VIDEO/` and index the set as `out_dir/NAME.json`.

    The index names the frames where they lie, the copies of the masks, and no other mask. A video's masks are the first
    `per_video` in `order` that show an object; how many videos have fewer is logged. A video without
    masks, or without an object in any that is tried, raises `UserError`. What an earlier call left under the same name
    is replaced.
    """
    _require_videos(videos, name)
    annotations = out_dir / "Annotations" / name
    chosen = [(video, list(islice(_shown(video, order), per_video))) for video in videos]
    annotations.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(annotations) as folder:
        for video, stems in chosen:
            (folder / video.name).mkdir(parents=True)
            for stem in stems:
                shutil.copyfile(video.masks[stem], folder / video.name / f"{stem}.png")
    copies = [{stem: annotations / video.name / f"{stem}.png" for stem in sorted(stems)} for video, stems in chosen]
    kept = [
        Video(video.name, video.frames, masks, video.single_object)
        for (video, _), masks in zip(chosen, copies, strict=True)
    ]
    fewer = [video.name for video, stems in chosen if len(stems) < per_video]
    if fewer:
        _log.info("set %s: %d videos have fewer than %d masks: %s …", name, len(fewer), per_video, fewer[0])
    ratio = label_ratio(kept, videos)
    write_index(out_dir / f"{name}.json", kept, {"labels": ratio})
    return ratio


def keep_every(videos: Sequence[Video], out_dir: Path, name: str) -> LabelRatio:
    """Index the set with all its masks, where they lie, as `out_dir/NAME.json`; copies nothing."""
    _require_videos(videos, name)
    ratio = label_ratio(videos, videos)
    write_index(out_dir / f"{name}.json", videos, {"labels": ratio})
    return ratio


def first_shown(video: Video) -> str:
    """Stem of the first mask that shows an object, which one-shot training gets; `UserError` if there is none."""
    return next(_shown(video, in_time))


def label_ratio(kept: Sequence[Video], videos: Sequence[Video]) -> LabelRatio:
    """Count the mask files of `kept` against those of `videos`; nothing is opened."""
    labelled, annotated = (sum(len(video.masks) for video in part) for part in (kept, videos))
    return {"labelled": labelled, "annotated": annotated, "ratio": labelled / annotated}


def _require_videos(videos: Sequence[Video], name: str) -> None:
    if not videos:
        raise UserError(f"set '{name}': no videos; expected at least one. Check the set's path and list")
    names = [video.name for video in videos]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"set '{name}': video '{twice}' is listed more than once; expected each once")


def _shown(video: Video, order: Order) -> Iterator[str]:
    """Stems of the masks that show an object, at least one; a mask is opened when it is asked for."""
    first = video.masks[video.stem(video.first_mask)]
    tried, found = order(video), False
    for t in tried:
        mask = video.masks[video.stem(t)]
        if not mask.is_file():
            raise UserError(f"{mask}: missing; expected a mask of its video. Restore it or run stage 'data' again")
        if inspect_mask(mask).ids.any():
            found = True
            yield video.stem(t)
    if not found:
        raise UserError(
            f"{first}: none of the {len(tried)} masks of video '{video.name}' shows an object; expected at least "
            "one. Draw one, or take the video out of the list"
        )
