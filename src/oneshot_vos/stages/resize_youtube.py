"""Stage `resize-youtube`: a smaller copy of YouTube-VOS, on which STCN and XMem train: shorter side 480 pixels.

Images are resized bicubically and saved as JPEG again, so the copy depends on the JPEG quality and on Pillow's
version; `resize.json` in it records both. Masks keep their ids (nearest neighbour).
"""

import logging
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, one_process
from oneshot_vos.files import read_json, replacing_folder, write_json
from oneshot_vos.videos.images import frame_files, read_frame
from oneshot_vos.videos.masks import check_same_size, encode_mask, read_mask

log = logging.getLogger(__name__)

RECORD = "resize.json"
IMAGES, MASKS = "JPEGImages", "Annotations"
SHORT_SIDE = 480
QUALITY = 75  # Pillow's own default, which the official script leaves in place

_MOST_PROBLEMS_SHOWN = 20


class _Task(NamedTuple):
    """One video: its folder in `source` becomes that of the same name in `target`."""

    source: Path
    target: Path
    name: str
    short_side: int
    quality: int


def run(source: Path, out: Path | None, *, quality: int = QUALITY, processes: int | None = None) -> None:
    """Write the copy of `source` to `out`; by default beside it, as `<source>_480p`, with one process per core."""
    target = out or source.with_name(f"{source.name}_{SHORT_SIDE}p")
    workers = len(os.sched_getaffinity(0)) if processes is None else processes
    resize_copy(source, target, quality=quality, processes=workers)


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the shorter side exactly `short_side`, the other rounded down."""
    shorter = min(width, height)
    return width * short_side // shorter, height * short_side // shorter


def resize_copy(
    source: Path, target: Path, *, short_side: int = SHORT_SIDE, quality: int = QUALITY, processes: int = 1
) -> None:
    """Write a copy of the package `source` (JPEGImages, Annotations, meta.json) with a shorter side of `short_side`.

    The copy is made in a hidden folder beside `target` and renamed when it is whole; a second call resumes, video by
    video. A `target` that is there is used as it is, if it has the videos of `source` and was not made with other
    settings. Damaged files do not stop the other videos; all of them come in one `UserError`.
    """
    if not 1 <= quality <= 95 or short_side < 1 or processes < 1:
        raise UserError(
            f"JPEG quality {quality}, shorter side {short_side}, {processes} processes; expected a quality of 1 to 95, "
            "as Pillow counts it, and at least 1 of the others"
        )
    names = _video_names(source)
    settings = {
        "format": "oneshot-vos resize 1",
        "short_side": short_side,
        "images": {"resampling": "bicubic", "jpeg_quality": quality, "pillow": PIL.__version__},
        "masks": {"resampling": "nearest"},
    }
    if _is_there(target, source, names, settings):
        return
    with one_process(target.parent / f".{target.name}.lock", str(target)):
        if _is_there(target, source, names, settings):
            return
        staging = target.parent / f".{target.name}.part"
        if not _made_with(staging, settings):
            shutil.rmtree(staging, ignore_errors=True)
            write_json(staging / RECORD, settings)
        for unfinished in staging.glob("*/.*.part"):  # of a process that was killed
            shutil.rmtree(unfinished)
        frames, masks = _resize_all([_Task(source, staging, name, short_side, quality) for name in names], processes)
        with on_disk(staging):
            if (source / "meta.json").is_file():
                shutil.copyfile(source / "meta.json", staging / "meta.json")
            counts = {"videos": len(names), "frames": frames, "masks": masks}
            write_json(staging / RECORD, {**settings, "counts": counts, "source": source.name})
            os.sync()  # a power cut after the rename must not leave empty files
            staging.rename(target)
        log.info("%s: %d videos, %d frames, %d masks; settings in %s", target, len(names), frames, masks, RECORD)


def _video_names(folder: Path) -> list[str]:
    images = folder / IMAGES
    found = sorted(each.name for each in images.glob("[!.]*") if each.is_dir()) if images.is_dir() else []
    if not found:
        raise UserError(
            f"{images}: no video in it; expected one folder of frames per video. Run `oneshot-vos fetch "
            "youtube2018-train`, or name the folder that holds JPEGImages"
        )
    return found


def _is_there(target: Path, source: Path, names: list[str], settings: dict[str, Any]) -> bool:
    """Whether the copy exists; raises `UserError` if it is another one."""
    if not target.exists():
        return False
    missing = sorted(set(names).difference(_video_names(target)))
    if missing:
        raise UserError(
            f"{target}: without {missing[0]}; expected the {len(names)} videos of {source}. Move the folder away and "
            "rerun"
        )
    by = "" if _made_with(target, settings) else ", made by another program"
    log.info("%s: there already, %d videos%s; used as it is", target, len(names), by)
    return True


def _made_with(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether a copy, or the beginning of one, has a record; raises `UserError` for one of other settings."""
    record = folder / RECORD
    if not record.exists():
        return False
    content = read_json(record, "the record of a resized copy")
    found = {key: content.get(key) for key in settings} if isinstance(content, dict) else content
    if found != settings:
        raise UserError(
            f"{record}: made with {found}; expected {settings}. Ask for the former settings, or delete the folder "
            f"{folder} to begin anew"
        )
    return True


def _resize_all(tasks: list[_Task], processes: int) -> tuple[int, int]:
    """Resize every video that is not there yet; returns the numbers of all frames and masks."""
    with ExitStack() as stack:
        run: Any = map
        if processes > 1:
            context = multiprocessing.get_context("spawn")
            run = stack.enter_context(ProcessPoolExecutor(processes, context)).map
        results = list(tqdm(run(_resize_video, tasks), "resize", len(tasks), unit="video", leave=False))
    problems = [problem for _, _, problem in results if problem]
    if problems:
        raise UserError(
            f"{tasks[0].source}: {len(problems)} of {len(tasks)} videos could not be resized:"
            + "".join(f"\n  - {problem}" for problem in problems[:_MOST_PROBLEMS_SHOWN])
            + "\nThe others are done and kept; mend these and rerun to resume"
        )
    return sum(frames for frames, _, _ in results), sum(masks for _, masks, _ in results)


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
        for kind, files in ((IMAGES, frames), (MASKS, masks)):
            finished = task.target / kind / task.name
            if files and not finished.is_dir():
                with replacing_folder(finished) as folder:
                    for path in files:
                        (_resize_image if kind == IMAGES else _resize_mask)(path, folder, task)
    except UserError as error:
        return 0, 0, str(error)
    return len(frames), len(masks), None


def _resize_image(path: Path, folder: Path, task: _Task) -> None:
    image = Image.fromarray(read_frame(path))
    smaller = image.resize(resized_size(*image.size, task.short_side), Image.Resampling.BICUBIC)
    smaller.save(folder / f"{path.stem}.jpg", "JPEG", quality=task.quality)


def _resize_mask(path: Path, folder: Path, task: _Task) -> None:
    image = Image.fromarray(read_mask(path).astype(np.int32))
    smaller = image.resize(resized_size(*image.size, task.short_side), Image.Resampling.NEAREST)
    (folder / f"{path.stem}.png").write_bytes(encode_mask(np.asarray(smaller)))
