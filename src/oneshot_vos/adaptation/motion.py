"""How far apart the frames of a training clip may be: by how fast the given objects move."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import read_small_mask
from oneshot_vos.videos.video import Video

_SIDE = 160  # pixels of the longer side that flow is computed at
_PAIRS = 3  # neighbouring frames looked at, per video
_SHARE = 0.5  # of its own size, that an object may move between two frames of a clip
_FARTHEST = 10


def frame_distance(videos: Sequence[Video]) -> int:
    """The largest distance between neighbouring frames of a clip, from 1 to 10: a median over the videos.

    Of each, it is that at which the median pixel of the objects in the first mask has moved by half of their size (the
    root of their area), by dense optical flow (Farnebäck, SCIA 2003) between the frames next to that mask.
    """
    return int(np.median([_of_video(video) for video in videos]))


def _of_video(video: Video) -> float:
    first = video.first_mask
    after = len(video) - 1 - first >= first
    step = 1 if after else -1
    places = [t for t in range(first, first + step * (_PAIRS + 1), step) if 0 <= t < len(video)]
    shown = read_small_mask(video.masks[video.stem(first)]) > 0
    if len(places) < 2 or not shown.any():
        return 1.0
    scale = min(1.0, _SIDE / max(shown.shape))
    size = (max(1, round(shown.shape[1] * scale)), max(1, round(shown.shape[0] * scale)))
    small = cv2.resize(shown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    extent = np.sqrt(max(small.sum(), 1))
    grey = [_grey(video, t, size) for t in places]
    moved = [_flow(one, other)[small] for one, other in pairwise(grey)]
    speed = float(np.median(np.concatenate(moved))) if small.any() else 0.0
    return float(np.clip(_SHARE * extent / max(speed, 1e-3), 1, _FARTHEST))


def _grey(video: Video, t: int, size: tuple[int, int]) -> np.ndarray:
    picture = cv2.resize(read_frame(video.frames[t]), size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)  # noise would look like motion


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pixels that every pixel moves: [H, W]."""
    field = cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 4, 15, 3, 5, 1.1, 0)  # type: ignore[call-overload]
    return np.asarray(np.linalg.norm(field, axis=2))
