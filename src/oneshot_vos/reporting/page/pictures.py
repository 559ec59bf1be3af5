"""Pictures of a page: JPEG of bounded size, with masks laid over the frames."""

from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.reporting.canvas import Pixels
from oneshot_vos.reporting.overlay import Ids, fit_height, fit_ids, overlay

_QUALITY = 80


def drawn(frame: Pixels, ids: Ids, height: int) -> Pixels:
    """Frame [H, W, 3] with the objects of `ids` [H, W], reduced to at most `height` rows."""
    rows = min(height, frame.shape[0])
    return overlay(fit_height(frame, rows), fit_ids(ids, rows))


def reduced(frame: Pixels, height: int) -> Pixels:
    """Frame [H, W, 3] of at most `height` rows."""
    return fit_height(frame, min(height, frame.shape[0]))


def save_jpeg(path: Path, picture: Pixels) -> None:
    """Write a picture [H, W, 3]; the bytes depend on the pixels alone.

    Not atomic: hundreds of them go into a folder that takes its place as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path, format="JPEG", quality=_QUALITY, optimize=True)


def spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` (2 or more) indices spread evenly over 0 … count - 1, both ends among them."""
    if count <= wanted:
        return list(range(count))
    return [round(index * (count - 1) / (wanted - 1)) for index in range(wanted)]
