"""Stage `resize-youtube`: a smaller copy of YouTube-VOS, on which STCN and XMem train: shorter side 480 pixels.

Images are resized bicubically and saved as JPEG again, so the copy depends on the JPEG quality and on Pillow's
version; `resize.json` in it records both. Masks keep their ids (nearest neighbour).
"""

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.parallel import telling_of_dead_workers
from oneshot_vos.fetch.disk import on_disk, one_process
from oneshot_vos.files import read_json, replacing_folder, write_json
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import check_same_size, encode_mask, read_mask

log = logging.getLogger(__name__)

RECORD = "resize.json"
IMAGES, MASKS = "JPEGImages", "Annotations"
SHORT_SIDE = 480
QUALITY = 75  # Pillow's own default, which the official script leaves in place

_MOST_PROBLEMS_SHOWN = 20
_Resized = tuple[int, int, str | None]  # numbers of frames and masks, and what went wrong


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the shorter side exactly `short_side`, the other rounded down."""
    shorter = min(width, height)
    return width * short_side // shorter, height * short_side // shorter


def run(
    source: Path,
    out: Path | None,
    *,
    short_side: int = SHORT_SIDE,
    quality: int = QUALITY,
    processes: int | None = None,
) -> None:
    """Write a copy of the package `source` (JPEGImages, Annotations, meta.json) with a shorter side of `short_side`.

    out: by default beside `source`, as `<source>_480p`. processes: by default one per core. The copy is made in a
    hidden folder beside it and renamed when it is whole; a second call resumes, video by video. A copy that is there is
    used as it is, if it has the videos of `source` and was not made with other settings. Damaged files do not stop the
    other videos; all of them come in one `UserError`.
    """
    target = out or source.with_name(f"{source.name}_{short_side}p")
    processes = len(os.sched_getaffinity(0)) if processes is None else processes
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
        resize = partial(_resize_video, source=source, target=staging, short_side=short_side, quality=quality)
        frames, masks = resize_all(resize, source, names, processes)
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


def resize_all(resize: Callable[[str], _Resized], source: Path, names: list[str], processes: int) -> tuple[int, int]:
    """Resize every video that is not there yet; returns the numbers of all frames and masks."""
    with ExitStack() as stack:
        run: Any = map
        if processes > 1:
            context = multiprocessing.get_context("spawn")
            run = stack.enter_context(ProcessPoolExecutor(processes, context)).map
            stack.enter_context(telling_of_dead_workers("resize-youtube"))
        results: list[_Resized] = list(tqdm(run(resize, names), "resize", len(names), unit="video", leave=False))
    problems = [problem for _, _, problem in results if problem]
    if problems:
        raise UserError(
            f"{source}: {len(problems)} of {len(names)} videos could not be resized:"
            + "".join(f"\n  - {problem}" for problem in problems[:_MOST_PROBLEMS_SHOWN])
            + "\nThe others are done and kept; mend these and rerun to resume"
        )
    return sum(frames for frames, _, _ in results), sum(masks for _, masks, _ in results)


def _resize_video(name: str, *, source: Path, target: Path, short_side: int, quality: int) -> _Resized:
    """Each of the two folders of a video appears when it is whole."""
    try:
        frames = frame_files(source / IMAGES / name)
        mask_folder = source / MASKS / name
        masks = frame_files(mask_folder) if mask_folder.is_dir() else []
        by_stem = {path.stem: path for path in frames}
        for mask in masks:
            if mask.stem in by_stem:  # resizing would hide a difference
                check_same_size(by_stem[mask.stem], mask)
        for kind, files in ((IMAGES, frames), (MASKS, masks)):
            finished = target / kind / name
            if files and not finished.is_dir():
                with replacing_folder(finished) as folder:
                    for path in files:
                        if kind == IMAGES:
                            image = _smaller(read_frame(path), short_side, Image.Resampling.BICUBIC)
                            image.save(folder / f"{path.stem}.jpg", "JPEG", quality=quality)
                        else:
                            ids = _smaller(read_mask(path).astype(np.int32), short_side, Image.Resampling.NEAREST)
                            (folder / f"{path.stem}.png").write_bytes(encode_mask(np.asarray(ids)))
    except UserError as error:
        return 0, 0, str(error)
    return len(frames), len(masks), None


def _smaller(pixels: np.ndarray, short_side: int, method: Image.Resampling) -> Image.Image:
    image = Image.fromarray(pixels)
    return image.resize(resized_size(*image.size, short_side), method)
