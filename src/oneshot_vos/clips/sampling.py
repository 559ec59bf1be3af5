"""Which frames of a video make a training clip.

Samplers know frame numbers only, never files. All randomness comes from the generator they are given.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oneshot_vos.registry import Registry

Labelled = Sequence[int]  # frames that have masks, in time order
Rng = np.random.Generator


class ClipSampler(ABC):
    """Chooses the frames of a clip.

    first_only: only the mask of the clip's frame 0 may be read. least: masks that a video must have; lack: what to say
    where it has fewer.
    """

    first_only = False
    least = 2
    lack = "{count} of its {frames} frames has a mask; full supervision needs at least two"

    def usable(self, frames: int, labelled: Labelled) -> str | None:
        """None if a video of `frames` frames, `labelled` ones among them, can be used; else the reason why not."""
        count = len(labelled)
        return None if count >= self.least else self.lack.format(count=count, frames=frames)

    @abstractmethod
    def sample(
        self, frames: int, labelled: Labelled, length: int, max_skip: int, rng: Rng, start: int | None = None
    ) -> list[int]:
        """Frame numbers of a clip of `length` frames; frame 0 of the clip is labelled.

        `start`: a labelled frame that the clip is to hold; only a sampler that can choose where it starts heeds it.
        """


class OneShotSampler(ClipSampler):
    """The paper's rule: the labelled frame, always, then frames in time order at most `max_skip` apart.

    Of several labelled frames, as `labels` of the parameters may give, a random one. That its mask shows an object is
    the care of `sets.labels.keep_some`.

    Gaps are uniform in 1..max_skip as far as the video reaches. If the labelled frame lies inside the video, the clip
    runs forwards or backwards in time from it: at random where both sides are long enough, else towards the longer.
    A side too short for the clip repeats its last frame.
    """

    first_only = True
    least = 1
    lack = "it has no mask"

    def sample(
        self, frames: int, labelled: Labelled, length: int, max_skip: int, rng: Rng, start: int | None = None
    ) -> list[int]:
        """Frame numbers of a clip, a labelled one first; decreasing if the clip runs backwards in time."""
        first = labelled[int(rng.integers(len(labelled)))] if len(labelled) > 1 else labelled[0]
        after, before = frames - 1 - first, first
        both = min(after, before) >= length - 1
        forwards = bool(rng.random() < 0.5) if both else after >= before
        reach = after if forwards else before
        step = 1 if forwards else -1
        return [first + step * offset for offset in _offsets(reach, length, max_skip, rng)]


def _offsets(reach: int, length: int, max_skip: int, rng: Rng) -> list[int]:
    """`length` distances from the start, 0 first, at most `reach`: increasing as long as there are frames left."""
    offsets = [0]
    for remaining in range(length - 2, -1, -1):
        here = offsets[-1]
        room = min(max_skip, reach - here - remaining)  # leaves one frame for each that is still to come
        gap = int(rng.integers(1, room + 1)) if room >= 1 else 1
        offsets.append(min(here + gap, reach))
    return offsets


class FullSampler(ClipSampler):
    """STCN's rule for fully labelled videos, over the frames that have masks, for clips of any length.

    Distances are counted in labelled frames. Starting anywhere, each step advances by 1 to max_skip + 1, kept below a
    bound that leaves room towards the end; half of the clips are reversed in time. For three frames this is the
    official rule, short videos (which repeat frames) included.
    """

    def sample(
        self, frames: int, labelled: Labelled, length: int, max_skip: int, rng: Rng, start: int | None = None
    ) -> list[int]:
        """Frame numbers of a clip, in or against time order; all of them labelled."""
        count = len(labelled)
        jump = min(count, max_skip)
        places = [int(rng.integers(count - jump + 1))]
        for k in range(1, length):
            bound = min(count - jump * (length - k) // (length - 1), count - 1)
            places.append(min(places[-1] + int(rng.integers(jump + 1)) + 1, bound))
        places[0] = min(places[0], count - 1)
        if rng.random() < 0.5:
            places.reverse()
        return [labelled[place] for place in places]


class NearbySampler(ClipSampler):
    """The rule of XMem and Cutie for fully labelled videos, over the frames that have masks.

    Distances are counted in labelled frames. From `start`, or any frame, the clip grows by a random frame at most
    `max_skip` away from one that it already holds; half of the clips are reversed in time. A video with fewer labelled
    frames than the clip repeats its last one.
    """

    def sample(
        self, frames: int, labelled: Labelled, length: int, max_skip: int, rng: Rng, start: int | None = None
    ) -> list[int]:
        """Frame numbers of a clip, in or against time order; all of them labelled."""
        chosen = [int(rng.integers(len(labelled))) if start is None else list(labelled).index(start)]
        while len(chosen) < min(length, len(labelled)):
            near = {place + step for place in chosen for step in range(-max_skip, max_skip + 1)}
            candidates = sorted(near.intersection(range(len(labelled))).difference(chosen))
            chosen.append(candidates[int(rng.integers(len(candidates)))])
        places = sorted(chosen)
        if rng.random() < 0.5:
            places.reverse()
        places += places[-1:] * (length - len(places))
        return [labelled[place] for place in places]


class AnchoredSampler(ClipSampler):
    """For videos with one drawn mask, the `start`, and masks of a network in other frames: the clip starts from it.

    Like the one-shot rule, over the frames that have masks, in which distances are counted.
    """

    lack = "{count} of its {frames} frames has a mask: no pseudo label"

    def sample(
        self, frames: int, labelled: Labelled, length: int, max_skip: int, rng: Rng, start: int | None = None
    ) -> list[int]:
        """Frame numbers of a clip, the drawn mask's first; all of them labelled."""
        anchor = list(labelled).index(labelled[0] if start is None else start)
        places = OneShotSampler().sample(len(labelled), [anchor], length, max_skip, rng)
        return [labelled[place] for place in places]


FULL_SAMPLERS: Registry[type[ClipSampler]] = Registry("sampler", {"steps": FullSampler, "nearby": NearbySampler})


@dataclass(frozen=True)
class Curriculum:
    """The largest distance between neighbouring frames over the course of training.

    `values[i]` holds from the fraction `at[i]` of `iterations` on; `at` rises from 0. An instance is called with a
    position of the data set (clip number since the start) and turns it into an iteration by `batch_size`.
    """

    values: tuple[int, ...]
    at: tuple[float, ...]
    iterations: int
    batch_size: int

    def __call__(self, position: int) -> int:
        """The distance that holds for the clip at `position`."""
        iteration = position // self.batch_size
        passed = sum(iteration >= fraction * self.iterations for fraction in self.at)
        return self.values[passed - 1]
