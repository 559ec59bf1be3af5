"""How well a network keeps to the masks that are given: it follows them into the video and has to find its way home.

From a given mask the objects are followed over a few frames; from what was found in the last of them they are followed
back. The agreement is J of the mask that comes out against the one that was given: between 0 and 1, for a few dozen
frames per video, and without any mask beside the given ones. (Time cycles as a signal: Kalal et al., ICPR 2010.)
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from oneshot_vos.evaluation.measures import region_similarity
from oneshot_vos.inference.geometry import short_side_size
from oneshot_vos.inference.tracker import Tracker, default_settings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import object_ids, read_small_mask
from oneshot_vos.videos.video import Video

REACH = 8  # frames that an object is followed before the way home
_SHORT_SIDE = 240  # pixels that a longer shorter side is reduced to
_MOST = 3  # ways per video


@dataclass(frozen=True)
class Way:
    """A given mask and the frames that lead away from it, its own first."""

    mask: Path
    frames: tuple[Path, ...]


@dataclass(frozen=True)
class Measured:
    """Agreement of every video, and what it took."""

    videos: dict[str, float]
    seconds: float  # of the network, for `pixels`
    pixels: float  # of all frames that it has seen


def plan_ways(video: Video, step: int) -> list[Way]:
    """At most three ways, in both time directions where the mask lies inside the video, over every `step`-th frame."""
    ways = []
    for t in video.labelled:
        mask = video.masks[video.stem(t)]
        if not read_small_mask(mask).any():
            continue
        for direction in (1, -1):
            end = len(video) - 1 if direction > 0 else 0
            reach = abs(end - t)
            pace = max(1, min(step, reach // REACH))
            places = [t + direction * pace * k for k in range(REACH + 1) if pace * k <= reach]
            if len(places) > 1:
                ways.append(Way(mask, tuple(video.frames[place] for place in places)))
    return [ways[place * (len(ways) - 1) // (_MOST - 1)] for place in range(_MOST)] if len(ways) > _MOST else ways


def measure(network: Network, ways: Mapping[str, Sequence[Way]], title: str) -> Measured:
    """The agreement of every video: the mean over its ways; 1 where there is nowhere to go."""
    values: dict[str, float] = {}
    seconds = pixels = 0.0
    with tqdm(total=sum(map(len, ways.values())), desc=title, unit="way") as bar:
        for name, each in ways.items():
            found = []
            for way in each:
                images, mask = _reduced(way)
                start = time.perf_counter()
                found.append(_agreement(network, images, mask))
                seconds += time.perf_counter() - start
                pixels += 2 * len(images) * mask.size
                bar.update()
            values[name] = float(np.mean(found)) if found else 1.0
    return Measured(values, seconds, pixels)


def _agreement(network: Network, images: Sequence[NDArray[np.uint8]], mask: NDArray[Any]) -> float:
    """J of the mask that comes home, a mean over its objects."""
    there = _follow(network, images, mask)
    back = _follow(network, images[::-1], there)
    return float(np.mean([region_similarity(back == number, mask == number) for number in object_ids(mask)]))


def _follow(network: Network, images: Sequence[NDArray[np.uint8]], mask: NDArray[Any]) -> NDArray[np.int32]:
    """Ids in the last of `images`, from those in the first."""
    tracker = Tracker(network, default_settings(network))
    found = tracker.step(images[0], mask)
    for image in images[1:]:
        found = tracker.step(image)
    return found


def _reduced(way: Way) -> tuple[list[NDArray[np.uint8]], NDArray[Any]]:
    """Frames and mask at the size that they are followed at."""
    mask = read_small_mask(way.mask)
    height, width = short_side_size(mask.shape[0], mask.shape[1], min(_SHORT_SIDE, *mask.shape))
    images = [cv2.resize(read_frame(file), (width, height), interpolation=cv2.INTER_AREA) for file in way.frames]
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return [image.astype(np.uint8, copy=False) for image in images], small
