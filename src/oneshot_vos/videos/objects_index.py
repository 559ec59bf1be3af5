"""A split of YouTube-VOS in an index of videos: what `index.write_index` writes, and the objects beside it.

`index.read_index` reads such a file like any other; `read_youtube_index` reads the objects, too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneshot_vos.files import sha256_of, taken_apart
from oneshot_vos.videos.index import read_index, relative_path, resolve_path, write_index
from oneshot_vos.videos.objects import ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.video import Video

_KEY = "youtube"


def write_youtube_index(path: Path, dataset: YouTubeSet) -> None:
    """Write the videos and objects of a split; as with `index.write_index`, paths are relative to the file's folder.

    Ground truth is listed with SHA-256 sums, so that whatever depends on the index depends on it.
    """
    objects = {
        "split": dataset.split,
        "unseen": sorted(dataset.unseen),
        "videos": {video.name: _describe(video, path.parent) for video in dataset.videos},
    }
    write_index(path, [video.video for video in dataset.videos], {_KEY: objects})


def _describe(video: ObjectVideo, folder: Path) -> dict[str, Any]:
    return {
        "objects": {str(item.id): {"category": item.category, "frames": list(item.frames)} for item in video.objects},
        "originals": _files(video.originals, folder),
        "truth": _files(video.truth, folder),
        # Ground truth of sets to train on is among the index's masks already.
        "truth_sha256": {}
        if video.truth == video.video.masks
        else {stem: sha256_of(video.truth[stem]) for stem in sorted(video.truth)},
    }


def _files(files: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Files of one folder by stem."""
    common = next(iter(files.values())).parent if files else folder
    return {
        "folder": relative_path(common, folder),
        "files": {stem: relative_path(files[stem], common) for stem in sorted(files)},
    }


def read_youtube_index(path: Path) -> YouTubeSet | None:
    """The split that `write_youtube_index` wrote; None for an index of other videos.

    Raises `UserError` if the file is no index or its objects are incomplete.
    """
    videos = {video.name: video for video in read_index(path)}
    content = json.loads(path.read_text(encoding="utf-8")).get(_KEY)
    if content is None:
        return None
    with taken_apart(path, "objects of YouTube-VOS, as the stage 'data' writes them", "Run the stage again"):
        listed = tuple(_video(videos[name], entry, path.parent) for name, entry in content["videos"].items())
        return YouTubeSet(content["split"], listed, frozenset(content["unseen"]))


def _video(video: Video, entry: Mapping[str, Any], folder: Path) -> ObjectVideo:
    objects = tuple(
        TrackedObject(int(number), item["category"], tuple(item["frames"])) for number, item in entry["objects"].items()
    )
    return ObjectVideo(video, objects, _paths(entry["originals"], folder), _paths(entry["truth"], folder))


def _paths(entry: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    common = resolve_path(folder, entry["folder"])
    return {stem: common / name for stem, name in entry["files"].items()}
