"""A video of frames with their masks laid over them."""

import errno
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.reporting.overlay import Ids, draw_masks

DEFAULT_RATE = 24.0  # frames per second, where the video does not say
_MOST_SIDE = 4096  # pixels that players take; encoding takes memory by the pixel, too
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def write_overlay(
    path: Path,
    pictures: Iterable[tuple[NDArray[np.uint8], Ids]],
    rate: float | None = None,
    objects: Sequence[int] | None = None,
) -> None:
    """Write pairs of a frame (RGB [H, W, 3]) and its ids [H, W] as a video, reduced to what players take.

    objects: the ids of the whole video, in the order of their colours.
    """
    write_video(path, (_reduced(draw_masks(frame, ids, objects)) for frame, ids in pictures), rate)


def write_video(path: Path, pictures: Iterable[NDArray[np.uint8]], rate: float | None = None) -> None:
    """Write pictures (RGB [H, W, 3]) as H.264 in MP4, one at a time, atomically.

    Sides of odd length get one more row or column, as the colours of the format (4:2:0) want it. Where no video can be
    written, `UserError`.
    """
    per_second = Fraction(rate or DEFAULT_RATE).limit_denominator(65_535)
    with replacing(path) as temporary:
        try:
            # The index first: a browser plays it before the whole is there. Hardly a loss is to be seen.
            with av.open(f"file:{temporary}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream("libx264", rate=per_second, options={"crf": "18"})
                stream.pix_fmt = "yuv420p"
                started = False
                for frame in pictures:
                    picture = _even(frame)
                    if not started:
                        stream.height, stream.width = picture.shape[:2]
                        started = True
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                if not started:
                    raise ValueError("a video of no frames")
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                expected, remedy = "a folder with room", "Free some space, or choose another folder"
            else:
                expected = f"a size that H.264 takes, and not {stream.width}x{stream.height} pixels"
                remedy = "Reduce the frames, or leave the video out"
            raise UserError(
                f"{path}: the video cannot be written ({error.strerror}); expected {expected}. {remedy}: the masks are "
                "complete"
            ) from error


def _reduced(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if max(height, width) <= _MOST_SIDE:
        return picture
    scale = _MOST_SIDE / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
