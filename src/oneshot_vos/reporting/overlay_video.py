"""A segmented video, its masks laid over the frames: as a video; and small, as a GIF and as a sheet of frames."""

import errno
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.reporting.canvas import Pixels, Row, grid, spaced
from oneshot_vos.reporting.overlay import Ids, draw_masks, drawn
from oneshot_vos.videos.frames import FrameSource
from oneshot_vos.videos.masks import read_small_mask

DEFAULT_RATE = 24.0  # frames per second, where the video does not say
_MOST_SIDE = 4096  # pixels that players take; encoding takes memory by the pixel, too
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
GIF_SECONDS, GIF_RATE, GIF_SIDE = 8, 10, 400  # about 5 MB at most; mail and pages take that
SHEET_FRAMES, SHEET_COLUMNS, SHEET_SIDE = 12, 4, 320


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


def write_gif(source: FrameSource, masks: Path, objects: Sequence[int], out: Path) -> None:
    """Write the video with `masks/<frame>.png` over it as a GIF without an end.

    Its longer side has at most `GIF_SIDE` pixels. It takes the video's time, and `GIF_SECONDS` at most: a longer video
    is shown faster. objects: the ids of the whole video.
    """
    count = len(source.names)
    seconds = min(GIF_SECONDS, count / (source.rate or DEFAULT_RATE))
    times = spaced(count, max(1, round(seconds * GIF_RATE)))
    pictures = [Image.fromarray(picture) for picture in _drawn(source, masks, objects, times, GIF_SIDE)]
    some = np.vstack([np.asarray(pictures[index]) for index in spaced(len(pictures), 6)])
    palette = Image.fromarray(some).quantize(256)  # one for all, or still areas would flicker
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    lasting = round(1000 * seconds / len(times) / 10) * 10  # GIF counts in hundredths of a second
    with replacing(out) as temporary:
        first.save(
            temporary, "GIF", save_all=True, append_images=others, duration=max(lasting, 20), loop=0, optimize=False
        )


def write_contact_sheet(source: FrameSource, masks: Path, objects: Sequence[int], out: Path) -> None:
    """Write up to `SHEET_FRAMES` frames, evenly spaced, with `masks/<frame>.png` over them, as one JPEG picture.

    Their names stand below them. objects: the ids of the whole video.
    """
    times = spaced(len(source.names), SHEET_FRAMES)
    pictures = list(_drawn(source, masks, objects, times, SHEET_SIDE))
    names = [source.names[t] for t in times]
    lines = [slice(start, start + SHEET_COLUMNS) for start in range(0, len(times), SHEET_COLUMNS)]
    rows = [Row((), tuple(pictures[line]), tuple(names[line])) for line in lines]
    title = f"{source.path.name}: {len(source.names)} frames, {len(objects)} object{'s' if len(objects) != 1 else ''}"
    sheet = grid(title, rows, height=pictures[0].shape[0])
    with replacing(out) as temporary:
        sheet.save(temporary, "JPEG", quality=90)


def _drawn(
    source: FrameSource, masks: Path, objects: Sequence[int], times: Sequence[int], side: int
) -> Iterator[Pixels]:
    """Frames with their masks, the longer side reduced to `side` pixels; drawn after that, so that lines stay sharp."""
    for t, frame in zip(times, source.read(times), strict=True):
        height = max(1, round(side * frame.shape[0] / max(frame.shape[:2])))
        yield drawn(frame, read_small_mask(masks / f"{source.names[t]}.png"), objects, height)
