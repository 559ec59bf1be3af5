"""Which frames of segmented videos most deserve a further mask.

A mask in frame t repairs the frames that are segmented from there: up to the next given mask or the end of the video,
before the first given mask back to its start. What it may repair is what was lost on the way to t, and not what is lost
behind t, since that is lost again. With c the confidence of an object, the expected gain of a mask in frame t is

    sum over these frames u of  min(1, c(u) / c(t)) - c(u)

averaged over the objects. It is large where confidence has fallen and stays low.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PER_VIDEO = 3  # suggestions
_APART = 5  # frames between masks, in short videos fewer
_LEAST_CONFIDENCE = 0.01
_LEAST_GAIN = 0.01  # frames
_FALL = 0.15  # of the confidence within `_APART` frames, to be called one
_LOW = 1.2  # times the confidence in the suggested frame: still as low

Values = NDArray[np.float64]


@dataclass(frozen=True)
class VideoConfidence:
    """What is known of one segmented video.

    frames: names of the T frames, in time order. objects: the K ids. confidence: [T, K], 0 to 1; NaN where an object
    is not known yet. shown: [T, K], whether the masks show the object. labelled: numbers of the frames whose masks are
    given.
    """

    name: str
    frames: tuple[str, ...]
    objects: tuple[int, ...]
    confidence: Values
    shown: NDArray[np.bool_]
    labelled: tuple[int, ...]


class Suggestion(NamedTuple):
    """A frame that deserves a mask. confidence: mean over its objects. gain: frames that a mask is expected to repair.

    why: an English clause.
    """

    video: str
    frame: str
    confidence: float
    gain: float
    why: str


def rank_frames(videos: Sequence[VideoConfidence], per_video: int = PER_VIDEO) -> list[Suggestion]:
    """The frames that most deserve a mask, those that promise the most first.

    At most `per_video` of each video, none near a given mask or another suggestion. The gain of a second suggestion
    of a video is what it adds to the first.
    """
    found = [suggestion for video in videos for suggestion in _of_video(video, per_video)]
    return sorted(found, key=lambda each: (-each.gain, each.video))


def _of_video(video: VideoConfidence, most: int) -> Iterator[Suggestion]:
    confidence, labelled = video.confidence.copy(), sorted(video.labelled)
    apart = max(2, min(_APART, round(len(video.frames) / 10)))
    for _ in range(most):
        gains = np.full(len(video.frames), -np.inf)
        for t in range(len(gains)):
            if min(abs(t - known) for known in labelled) >= apart:
                gains[t] = _repaired(confidence, labelled, t)[1]
        t = int(gains.argmax())
        if gains[t] < _LEAST_GAIN:
            return
        mean = float(np.nanmean(video.confidence[t]))
        yield Suggestion(video.name, video.frames[t], mean, float(gains[t]), _why(video, t, labelled))
        confidence = _repaired(confidence, labelled, t)[0]
        labelled = sorted([*labelled, t])


def _reach(labelled: Sequence[int], t: int, length: int) -> range:
    """The frames that a mask in frame `t` repairs, from there on."""
    if t < labelled[0]:
        return range(t, -1, -1)
    return range(t, min((known for known in labelled if known > t), default=length))


def _repaired(confidence: Values, labelled: Sequence[int], t: int) -> tuple[Values, float]:
    """The confidence that is expected with a mask in frame `t`, and how much more it is, in frames."""
    reach = list(_reach(labelled, t, len(confidence)))
    before = confidence[reach]
    after = np.minimum(1, np.maximum(before, _LEAST_CONFIDENCE) / np.maximum(confidence[t], _LEAST_CONFIDENCE))
    repaired = confidence.copy()
    repaired[reach] = np.fmax(before, after)
    more = repaired[reach] - before
    known = ~np.isnan(more)
    counts = known.sum(1)
    sums = np.where(known, more, 0).sum(1)
    return repaired, float((sums[counts > 0] / counts[counts > 0]).sum())


def _why(video: VideoConfidence, t: int, labelled: Sequence[int]) -> str:
    """What is wrong with the least sure object."""
    number = int(np.nanargmin(video.confidence[t]))
    name = "the object" if len(video.objects) == 1 else f"object {video.objects[number]}"
    values = video.confidence[list(_reach(labelled, t, len(video.frames))), number]
    low = int(np.argmax([*(values > max(_LOW * values[0], values[0] + 0.05)), True]))
    way = "earlier" if t < labelled[0] else "further"
    lasts = f"and stays low for {low - 1} {way} frame{'s' if low > 2 else ''}" if low > 1 else "in this frame"
    if not video.shown[t, number]:
        return f"{name} is not found here: it was lost or has left"
    step = 1 if t < labelled[0] else -1
    before = [u for u in range(t + step, t + step * (_APART + 1), step) if 0 <= u < len(video.frames)]
    highest = float(np.nanmax(video.confidence[before, number], initial=0)) if before else 0.0
    if highest - values[0] >= _FALL:
        return f"confidence in {name} falls from {highest:.2f} to {values[0]:.2f} {lasts}"
    return f"confidence in {name} is {values[0]:.2f} {lasts}"
