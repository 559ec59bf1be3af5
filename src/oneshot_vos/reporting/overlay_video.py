"""A video of frames with their masks laid over them."""

import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.reporting.overlay import Ids, overlay

DEFAULT_RATE = 24.0  # frames per second, where the video does not say


def write_overlay(path: Path, pictures: Iterable[tuple[NDArray[np.uint8], Ids]], rate: float | None = None) -> None:
    """Write pairs of a frame (RGB [H, W, 3]) and its ids [H, W] as MPEG-4 video, one at a time, atomically.

    Sides of odd length get one more row or column, as the format wants it. Where no video can be written, `UserError`.
    """
    writer: cv2.VideoWriter | None = None
    with replacing(path) as temporary:
        file = temporary.with_suffix(".mp4")  # the suffix tells the container
        try:
            for frame, ids in pictures:
                picture = _even(overlay(frame, ids))
                if writer is None:
                    writer = _open(path, file, rate or DEFAULT_RATE, picture)
                writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            if writer is None:
                raise ValueError("a video of no frames")
            writer.release()
            os.replace(file, temporary)
        finally:
            if writer is not None:
                writer.release()
            file.unlink(missing_ok=True)


def _open(path: Path, file: Path, rate: float, picture: NDArray[np.uint8]) -> cv2.VideoWriter:
    size = (picture.shape[1], picture.shape[0])
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    if not writer.isOpened():
        raise UserError(
            f"{path}: no video of {size[0]}x{size[1]} pixels can be written here; expected a folder with room and "
            "OpenCV with FFmpeg. Leave the video out with --no-overlay; the masks are complete"
        )
    return writer


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
