"""A smaller copy of YouTube-VOS: what STCN and XMem train on, with a shorter side of 480 pixels.

Images are resized bicubically and saved as JPEG again, so the copy depends on the JPEG quality and on Pillow's
version; `resize.json` in it records both. Masks keep their ids (nearest neighbour).
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.locks import locked
from oneshot_vos.fetch.transfer import written
from oneshot_vos.files import read_json, write_json
from oneshot_vos.videos.images import frame_files, read_frame
from oneshot_vos.videos.masks import check_same_size, encode_mask, read_mask

RECORD = "resize.json"
IMAGES, MASKS = "JPEGImages", "Annotations"
SHORT_SIDE = 480
QUALITY = 75  # Pillow's own default, which the official script leaves in place

_FORMAT = "oneshot-vos resize 1"
_EXPECTED = "the record of a resized copy"
_MOST_PROBLEMS_SHOWN = 20


@dataclass(frozen=True)
class _Task:
    """One video: its folder in `source` becomes that of the same name in `target`."""

    source: Path
    target: Path
    name: str
    short_side: int
    quality: int


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the shorter side exactly `short_side`, the other rounded down."""
    shorter = min(width, height)
    return width * short_side // shorter, height * short_side // shorter


def resize_copy(
    source: Path,
    target: Path,
    say: Callable[[str], None],
    *,
    short_side: int = SHORT_SIDE,
    quality: int = QUALITY,
    processes: int = 1,
) -> None:
    """Write a copy of the package `source` (JPEGImages, Annotations, meta.json) with a shorter side of `short_side`.

    The copy is made in a hidden folder beside `target` and renamed when it is whole; a second call goes on where the
    first stopped, video by video. A `target` that is there is used as it is, if it has the videos of `source` and was
    not made with other settings. Damaged files do not stop the other videos; all of them come in one `UserError`.
    """
    if not 1 <= quality <= 95:
        raise UserError(f"JPEG quality {quality}; expected 1 to 95, as Pillow counts it")
    if short_side < 1 or processes < 1:
        raise UserError(f"shorter side {short_side}, {processes} processes; expected at least 1 each")
    names = _video_names(source)
    settings = _settings(short_side, quality)
    if target.exists():
        _accept_existing(source, target, names, settings, say)
        return
    with locked(target.parent / f".{target.name}.lock", lambda: say(f"{target}: another process makes it; waiting")):
        if target.exists():
            _accept_existing(source, target, names, settings, say)
            return
        staging = target.parent / f".{target.name}.part"
        _begin(staging, settings)
        frames, masks = _resize_all([_Task(source, staging, name, short_side, quality) for name in names], processes)
        if (source / "meta.json").is_file():
            with written(staging):
                shutil.copyfile(source / "meta.json", staging / "meta.json")
        counts = {"videos": len(names), "frames": frames, "masks": masks}
        write_json(staging / RECORD, {**settings, "counts": counts, "source": source.name})
        os.sync()  # a power cut after the rename must not leave empty files
        with written(target):
            staging.rename(target)
        say(f"{target}: {len(names)} videos, {frames} frames, {masks} masks; settings in {RECORD}")


def _settings(short_side: int, quality: int) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "short_side": short_side,
        "images": {"resampling": "bicubic", "jpeg_quality": quality, "pillow": PIL.__version__},
        "masks": {"resampling": "nearest"},
    }


def _video_names(source: Path) -> list[str]:
    folder = source / IMAGES
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; expected the frames of YouTube-VOS. Run `oneshot-vos fetch youtube2019-train`, "
            "or name the folder that holds JPEGImages"
        )
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise UserError(f"{folder}: no video in it; expected one folder of frames per video. Fetch the data again")
    return names


def _accept_existing(
    source: Path, target: Path, names: list[str], settings: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Say that the copy is there; raise `UserError` if it is another one."""
    present = _video_names(target)
    missing = sorted(set(names) - set(present))
    if missing:
        raise UserError(
            f"{target}: {len(present)} videos, without {missing[0]}; expected the {len(names)} videos of {source}. "
            "Move the folder away and run the command again"
        )
    record = target / RECORD
    if record.exists():
        _refuse_other(record, settings)
        say(f"{target}: was there before, {len(present)} videos; used as it is")
    else:
        say(f"{target}: was there before, {len(present)} videos, made by another program; used as it is")


def _refuse_other(record: Path, settings: dict[str, Any]) -> None:
    """Raise `UserError` if a copy, or the beginning of one, was made with other settings than `settings`."""
    content = read_json(record, _EXPECTED)
    found = {key: content.get(key) for key in settings} if isinstance(content, dict) else content
    if found != settings:
        raise UserError(
            f"{record}: made with {found}; expected {settings}. Ask for the former settings, or delete the folder "
            f"{record.parent} to begin anew"
        )


def _begin(staging: Path, settings: dict[str, Any]) -> None:
    """Make the folder, or see that the one of an interrupted call has the same settings."""
    record = staging / RECORD
    if record.exists():
        _refuse_other(record, settings)
        return
    with written(staging):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    write_json(record, settings)


def _resize_all(tasks: list[_Task], processes: int) -> tuple[int, int]:
    """Resize every video that is not there yet; returns the numbers of all frames and masks."""
    frames = masks = 0
    problems = []
    with ExitStack() as stack:
        results: Iterable[tuple[int, int, str | None]]
        if processes == 1:
            results = map(_resize_video, tasks)
        else:
            context = multiprocessing.get_context("spawn")
            results = stack.enter_context(ProcessPoolExecutor(processes, context)).map(_resize_video, tasks)
        for new_frames, new_masks, problem in tqdm(results, "resize", len(tasks), unit="video", leave=False):
            frames, masks = frames + new_frames, masks + new_masks
            problems += [problem] if problem else []
    if problems:
        shown = "".join(f"\n  - {problem}" for problem in problems[:_MOST_PROBLEMS_SHOWN])
        raise UserError(
            f"{tasks[0].source}: {len(problems)} of {len(tasks)} videos could not be resized:{shown}\nThe others are "
            "done and kept; mend these and run the same command again"
        )
    return frames, masks


def _resize_video(task: _Task) -> tuple[int, int, str | None]:
    """(frames, masks, what went wrong). Each of the two folders of a video appears when it is whole."""
    try:
        frames = frame_files(task.source / IMAGES / task.name)
        mask_folder = task.source / MASKS / task.name
        masks = frame_files(mask_folder) if mask_folder.is_dir() else []
        by_stem = {path.stem: path for path in frames}
        for mask in masks:
            if mask.stem in by_stem:  # resizing would hide a difference
                check_same_size(by_stem[mask.stem], mask)
        _resize_folder(task, IMAGES, frames, _resize_image)
        _resize_folder(task, MASKS, masks, _resize_mask)
    except UserError as error:
        return 0, 0, str(error)
    return len(frames), len(masks), None


def _resize_folder(task: _Task, kind: str, files: list[Path], resize: Callable[[Path, Path, _Task], None]) -> None:
    finished = task.target / kind / task.name
    if finished.is_dir() or not files:
        return
    unfinished = finished.with_name(f".{task.name}.part")
    with written(unfinished):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    for path in files:
        resize(path, unfinished, task)
    with written(finished):
        unfinished.rename(finished)


def _resize_image(path: Path, folder: Path, task: _Task) -> None:
    image = Image.fromarray(read_frame(path))
    smaller = image.resize(resized_size(*image.size, task.short_side), Image.Resampling.BICUBIC)
    with written(folder):
        smaller.save(folder / f"{path.stem}.jpg", "JPEG", quality=task.quality)


def _resize_mask(path: Path, folder: Path, task: _Task) -> None:
    ids = read_mask(path)
    image = Image.fromarray(ids.astype(np.int32))
    smaller = image.resize(resized_size(*image.size, task.short_side), Image.Resampling.NEAREST)
    content = encode_mask(np.asarray(smaller))
    with written(folder):
        (folder / f"{path.stem}.png").write_bytes(content)
