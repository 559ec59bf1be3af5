"""A video of frames with their masks laid over them."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.reporting.overlay import Ids, overlay

DEFAULT_RATE = 24.0  # frames per second, where the video does not say
_QUALITY = {"crf": "18"}  # hardly a visible loss
_INDEX_FIRST = {"movflags": "+faststart"}  # a browser plays it before the whole is there


def write_overlay(path: Path, pictures: Iterable[tuple[NDArray[np.uint8], Ids]], rate: float | None = None) -> None:
    """Write pairs of a frame (RGB [H, W, 3]) and its ids [H, W] as H.264 in MP4, one at a time, atomically.

    Sides of odd length get one more row or column, as the colours of the format (4:2:0) want it. Where no video can be
    written, `UserError`.
    """
    per_second = Fraction(rate or DEFAULT_RATE).limit_denominator(65_535)
    with replacing(path) as temporary:
        try:
            with av.open(f"file:{temporary}", "w", format="mp4", options=_INDEX_FIRST) as container:
                stream = container.add_stream("libx264", rate=per_second, options=_QUALITY)
                stream.pix_fmt = "yuv420p"
                started = False
                for frame, ids in pictures:
                    picture = _even(overlay(frame, ids))
                    if not started:
                        stream.height, stream.width = picture.shape[:2]
                        started = True
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                if not started:
                    raise ValueError("a video of no frames")
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            raise UserError(
                f"{path}: the video cannot be written ({error.strerror}); expected a folder with room and sides of at "
                "most 16384 pixels. Leave the video out with --no-overlay; the masks are complete"
            ) from error


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
