"""Small pictures of a segmented video, for messages and documents: a GIF, and a sheet of frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.files import replacing
from oneshot_vos.reporting.canvas import Pixels, Row, grid, spaced
from oneshot_vos.reporting.overlay import drawn
from oneshot_vos.reporting.overlay_video import DEFAULT_RATE
from oneshot_vos.videos.frames import FrameSource
from oneshot_vos.videos.masks import read_small_mask

GIF_SECONDS, GIF_RATE, GIF_SIDE = 8, 10, 400  # about 5 MB at most; mail and pages take that
SHEET_FRAMES, SHEET_COLUMNS, SHEET_SIDE = 12, 4, 320


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
