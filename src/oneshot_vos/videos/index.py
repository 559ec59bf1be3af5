"""Sets of videos as data: one JSON file that names every frame and mask that may be used.

Paths in an index are relative to its folder, so that index and files can be moved together. An index holds no masks
but those listed: whoever reads the set through it cannot reach any other.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, sha256_of, taken_apart, write_json
from oneshot_vos.videos.video import Video

_FORMAT = "oneshot-vos videos 1"
_EXPECTED = "an index of videos, as written by the stages 'data' and 'labels'"


def write_index(path: Path, videos: Sequence[Video], extra: Mapping[str, Any] | None = None) -> None:
    """Write the videos' frame and mask files, with sizes and SHA-256 of the masks; `extra` adds top-level entries.

    The same files give the same bytes. Frames keep their place and their order; they are named, not hashed, and of a
    video the bytes of all its frames are counted: so other pictures under the same names make another index.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "format": _FORMAT,
            "set": path.stem,
            "counts": {
                "videos": len(videos),
                "frames": sum(len(video.frames) for video in videos),
                "masks": sum(len(video.masks) for video in videos),
            },
            **(extra or {}),
            "videos": [_describe(video, folder) for video in videos],
        },
    )


def _describe(video: Video, folder: Path) -> dict[str, Any]:
    frame_folder = video.frames[0].parent if video.frames else folder
    mask_files = {stem: video.masks[stem] for stem in sorted(video.masks)}
    mask_folder = next(iter(mask_files.values())).parent if mask_files else folder
    return {
        "name": video.name,
        "single_object": video.single_object,
        **({} if video.anchor is None else {"anchor": video.anchor}),
        "frame_folder": relative_path(frame_folder, folder),
        "frames": [relative_path(frame, frame_folder) for frame in video.frames],
        "frame_bytes": sum(_size(frame) for frame in video.frames),
        "mask_folder": relative_path(mask_folder, folder),
        "masks": {
            stem: {"file": relative_path(file, mask_folder), "bytes": file.stat().st_size, "sha256": sha256_of(file)}
            for stem, file in mask_files.items()
        },
    }


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that is not there, which whoever checks the set reports."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def relative_path(path: Path, folder: Path) -> str:
    """`path` seen from `folder`, with / between the parts."""
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def read_index(path: Path) -> list[Video]:
    """Read the videos of an index. Files are not opened: a missing one is reported when it is read.

    Raises `UserError` if `path` is not an index of this format.
    """
    content = read_json(path, _EXPECTED)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise UserError(
            f"{path}: format {found!r}; expected {_FORMAT!r}, {_EXPECTED}. Run the stage that makes this file again"
        )
    with taken_apart(path, _EXPECTED, "Run the stage that makes this file again"):
        return [_video(video, path.parent) for video in content["videos"]]


def _video(content: Mapping[str, Any], folder: Path) -> Video:
    frame_folder = resolve_path(folder, content["frame_folder"])
    mask_folder = resolve_path(folder, content["mask_folder"])
    return Video(
        content["name"],
        tuple(frame_folder / name for name in content["frames"]),
        {stem: mask_folder / mask["file"] for stem, mask in content["masks"].items()},
        content["single_object"],
        content.get("anchor"),
    )


def resolve_path(folder: Path, relative: str) -> Path:
    """`relative` from `folder`, without detours (`a/../b`), as the files were named when listed."""
    return Path(os.path.normpath(folder / relative))
