"""Two clips in one: the objects of the second are pasted over the first, as Cutie's training does."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.videos.masks import Ids, object_ids

_BLUR, _DEVIATION = (5, 5), 1.0  # pixels: the soft edge of what is pasted


@dataclass
class Cut:
    """What was cut from a video for a clip, before objects are chosen from it."""

    images: NDArray[np.float32]  # T 3 C C
    ids: list[Ids | None]  # C C each; None where there is no mask, or none that may be seen
    name: str
    void: bool = False  # whether the id VOID is no object but says nothing

    @property
    def objects(self) -> list[int]:
        """Ids in the first frame, rising."""
        return [] if self.ids[0] is None else object_ids(self.ids[0])


def paste(cut: Cut, other: Cut) -> None:
    """Paste the objects that `other` shows in its first frame into `cut`, frame by frame, under ids that it lacks.

    Images get a soft edge, ids a hard one. Frames without ids on either side stay as they are.
    """
    pairs = [
        (t, a, b) for t, (a, b) in enumerate(zip(cut.ids, other.ids, strict=True)) if a is not None and b is not None
    ]
    merged = {t: below.astype(np.uint16) for t, below, _ in pairs}
    new = max(int(ids.max()) for ids in merged.values())
    for each in other.objects:
        new += 1
        for t, _, above in pairs:
            inside = above == each
            weight = cv2.GaussianBlur(inside.astype(np.float32), _BLUR, _DEVIATION)
            cut.images[t] += weight * (other.images[t] - cut.images[t])
            merged[t][inside] = new
    for t, ids in merged.items():
        cut.ids[t] = ids
    cut.name = f"{cut.name}+{other.name}"
