"""Pictures of a page: JPEG of bounded size, with masks laid over the frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.reporting.canvas import Pixels
from oneshot_vos.reporting.overlay import Ids, draw_masks, fit_height, fit_ids
from oneshot_vos.videos.masks import object_ids

_QUALITY = 80


def drawn(frame: Pixels, ids: Ids, objects: Sequence[int], height: int) -> Pixels:
    """Frame [H, W, 3] with `ids` [H, W] laid over, reduced to at most `height` rows.

    objects: those of the whole video, which have the same colours in all its frames.
    """
    rows = min(height, frame.shape[0])
    known = sorted({*objects, *object_ids(ids)})
    return draw_masks(fit_height(frame, rows), fit_ids(ids, rows), known)


def reduced(frame: Pixels, height: int) -> Pixels:
    """Frame [H, W, 3] of at most `height` rows."""
    return fit_height(frame, min(height, frame.shape[0]))


def save_jpeg(path: Path, picture: Pixels) -> None:
    """Write a picture [H, W, 3]; the bytes depend on the pixels alone.

    Not atomic: hundreds of them go into a folder that takes its place as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path, format="JPEG", quality=_QUALITY, optimize=True)
