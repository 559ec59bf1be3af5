"""The labels a run may use: the first mask of every video, or all of them.

Training reads videos through the index written here and through nothing else.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.videos.index import write_index
from oneshot_vos.videos.masks import inspect_mask
from oneshot_vos.videos.video import Video


class LabelRatio(TypedDict):
    """How many of a set's mask files are offered to training, and their share between 0 and 1."""

    labelled: int
    annotated: int
    ratio: float


def keep_first(videos: Sequence[Video], out_dir: Path, name: str) -> LabelRatio:
    """Copy the first mask of every video to `out_dir/Annotations/NAME/VIDEO/` and index the set as `out_dir/NAME.json`.

    The index names the frames where they lie, exactly one mask per video (the copy), and no other. The first mask is
    the earliest that shows an object. A video without masks, or without an object in any, raises `UserError`. What an
    earlier call left under the same name is replaced.
    """
    _require_videos(videos, name)
    annotations = out_dir / "Annotations" / name
    firsts = [(video, _first_shown(video)) for video in videos]
    annotations.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(annotations) as folder:
        for video, stem in firsts:
            (folder / video.name).mkdir(parents=True)
            shutil.copyfile(video.masks[stem], folder / video.name / f"{stem}.png")
    kept = [
        Video(video.name, video.frames, {stem: annotations / video.name / f"{stem}.png"}, video.single_object)
        for video, stem in firsts
    ]
    ratio = label_ratio(kept, videos)
    write_index(out_dir / f"{name}.json", kept, {"labels": ratio})
    return ratio


def keep_every(videos: Sequence[Video], out_dir: Path, name: str) -> LabelRatio:
    """Index the set with all its masks, where they lie, as `out_dir/NAME.json`; copies nothing."""
    _require_videos(videos, name)
    ratio = label_ratio(videos, videos)
    write_index(out_dir / f"{name}.json", videos, {"labels": ratio})
    return ratio


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


def _first_shown(video: Video) -> str:
    """Stem of the earliest mask that shows an object; masks after it are not opened."""
    first = video.masks[video.stem(video.first_mask)]
    for t in video.labelled:
        if inspect_mask(_existing(video.masks[video.stem(t)])).ids.any():
            return video.stem(t)
    raise UserError(
        f"{first}: none of the {len(video.labelled)} masks of video '{video.name}' shows an object; expected at least "
        "one. Draw one, or take the video out of the list"
    )


def _existing(mask: Path) -> Path:
    if not mask.is_file():
        raise UserError(f"{mask}: missing; expected the first mask of its video. Restore it or run stage 'data' again")
    return mask
