"""Stage `data`: make or find the sets of a profile, check every file, and write one index per set and use."""

import logging
import os
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, replacing_folder, write_json
from oneshot_vos.params import Data, DavisSet, PairsSet, Params, ServerSet, YouTubeVideos
from oneshot_vos.registry import Registry
from oneshot_vos.sets.check import CheckReport, check_pairs, check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.generated import generate
from oneshot_vos.sets.pairs import first_pairs, read_pairs
from oneshot_vos.sets.server import as_server_set
from oneshot_vos.sets.youtube import read_youtube, require_unseen_videos
from oneshot_vos.sets.youtube_masks import check_youtube, give_first_masks
from oneshot_vos.videos.index import write_index
from oneshot_vos.videos.objects import HELD_OUT, YouTubeSet
from oneshot_vos.videos.objects_index import write_youtube_index
from oneshot_vos.videos.pairs import ImagePair, write_pairs
from oneshot_vos.videos.problems import Problems
from oneshot_vos.videos.video import Video

_log = logging.getLogger(__name__)
_SHOWN = "shown"  # folder of the masks that are made for held-out videos


def run(params: Params, out: Path) -> None:
    """Write `out/{train,pretrain,evaluate}/<set>.json` and `out/report.json`; generated sets go to `out/generated`.

    Of held-out videos of YouTube-VOS, the masks that a network is shown go to `out/evaluate/shown/<set>/<video>/`.
    Every file of every set is looked at before anything long starts; all findings come in one `UserError`, videos that
    are both scored and trained on among them. Warnings are counted by kind in the report and in the log.
    """
    data = params.profile.data
    out.mkdir(parents=True, exist_ok=True)
    if data.generate is None:
        (out / "generated").mkdir(exist_ok=True)
    else:
        generate(out / "generated", **data.generate.model_dump())
    report: dict[str, Any] = {"files": _listing(data), "sets": {}}
    problems = Problems()
    trained: list[Video] = []
    for use, names, training in (("train", data.training_sets, True), ("evaluate", data.evaluate, False)):
        with replacing_folder(out / use) as folder:
            for name in names:
                found, videos, youtube = _index_videos(data, name, out / use, training=training)
                report["sets"][f"{use}/{name}"] = found.to_json()
                _log_warnings(name, found)
                problems.problems += found.errors
                if training:
                    trained += videos
                elif youtube:
                    with problems.catching(out / use / f"{name}.json"):
                        require_unseen_videos(name, youtube, trained)
                # Indices are written in place of the final folder, because their paths are relative to it.
                _move(out / use, folder, f"{name}.json", f"{_SHOWN}/{name}")
    with replacing_folder(out / "pretrain") as folder:
        for name in data.pretrain:
            pairs = _read_stills(data, name)
            found = check_pairs(pairs)
            report["sets"][f"pretrain/{name}"] = found.to_json()
            _log_warnings(name, found)
            problems.problems += found.errors
            write_pairs(out / "pretrain" / f"{name}.json", pairs)
            _move(out / "pretrain", folder, f"{name}.json")
    problems.raise_errors(f"data of profile '{params.profile_name}'", remedy="")
    write_json(out / "report.json", report)
    counts = [entry["counts"] for entry in report["sets"].values()]
    items, frames, masks = (sum(each[key] for each in counts) for key in ("items", "frames", "masks"))
    _log.info("%s: %d sets, %d videos or images, %d frames, %d masks", out, len(counts), items, frames, masks)


def files_changed(data: Data, report: Path) -> bool:
    """Whether files of the sets have come, gone or been written since the stage wrote this report."""
    return bool(read_json(report, "the report of the stage 'data'").get("files") != _listing(data))


def _listing(data: Data) -> str | None:
    """A fingerprint of names, sizes and times of all files of the sets; None for sets that the stage generates.

    Of times, also that of the last change of the file's entry, which copying with the old times cannot set.
    """
    if data.generate is not None:
        return None
    names = {*data.training_sets, *data.pretrain, *data.evaluate}
    files: dict[str, list[int] | None] = {}
    for path in sorted({Path(data.root).expanduser() / data.sets[name].path for name in names}):
        for folder, _, found in os.walk(path, followlinks=True):
            for file in (Path(folder) / name for name in found):
                status = file.stat() if file.exists() else None
                files[str(file)] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns] if status else None
    return fingerprint(files)


def _log_warnings(name: str, found: Problems) -> None:
    """Log one line per kind of warning; every single one is in the report."""
    for kind, counted in found.warning_kinds.items():
        examples = ", ".join(counted["examples"])
        more = ", …" if counted["count"] > len(counted["examples"]) else ""
        _log.warning("set '%s': %s: %d (%s%s)", name, kind, counted["count"], examples, more)


def _move(source: Path, target: Path, *names: str) -> None:
    """Move what there is of `names` from one folder to another."""
    for name in names:
        if (source / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target / name)


def _root(data: Data, name: str) -> Path:
    root = Path(data.root).expanduser()
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected the data sets there. Set data.root in the profile")
    return root / data.sets[name].path


def _index_videos(
    data: Data, name: str, folder: Path, *, training: bool
) -> tuple[CheckReport, list[Video], YouTubeSet | None]:
    """Check one set of videos and write `folder/<name>.json`.

    Returns what was found in its files, the videos, and these with their objects, if the set is one of YouTube-VOS.
    A set that is trained on, too, is there to be segmented: its masks need not suffice for scores.
    """
    settings = data.sets[name]
    if isinstance(settings, PairsSet):
        raise UserError(f"set '{name}' holds image–mask pairs; expected videos")
    root, index = _root(data, name), folder / f"{name}.json"
    if isinstance(settings, YouTubeVideos):
        listed = read_youtube(root, **settings.model_dump(exclude={"kind", "path"}))
        found = check_youtube(listed, training=training)
        if settings.split == HELD_OUT and not found.errors:
            listed = give_first_masks(listed, folder / _SHOWN / name)
        write_youtube_index(index, listed)
        return found, [item.video for item in listed.videos], listed
    if isinstance(settings, ServerSet):
        videos = read_davis(root, **settings.model_dump(exclude={"kind", "path", "server"}))
        found = check_videos(videos)
        if not found.errors:
            write_youtube_index(index, as_server_set(videos, settings.server))
        return found, videos, None
    videos = _davis_videos(root, name, settings)
    found = check_videos(videos, training=training, scored=not training and name not in data.train)
    write_index(index, videos)
    return found, videos, None


def _read_stills(data: Data, name: str) -> list[ImagePair]:
    """What pretraining gets of a set: its image–mask pairs, or of every video the first frame that shows an object."""
    settings = data.sets[name]
    if isinstance(settings, DavisSet):
        return first_pairs(_davis_videos(_root(data, name), name, settings))
    return read_pairs(_root(data, name))


def _davis_videos(root: Path, name: str, settings: DavisSet) -> list[Video]:
    listed = read_davis(root, **settings.model_dump(exclude={"kind", "path", "videos"}))
    if settings.videos is None:
        return listed
    by_name = Registry(f"video of set '{name}'", {video.name: video for video in listed})
    return [by_name[wanted] for wanted in settings.videos]
