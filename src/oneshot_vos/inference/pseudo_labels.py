"""Labels for every frame of a video, made by a network from the one mask that is given, and how far to trust each.

Two walks see each frame: one away from the given mask, and one back towards it, from a mask that the first has found.
Where they agree and neither is in doubt, a pixel's label is sure. The walk back is cut into stretches of at most
`REACH` frames: a mistake would otherwise be followed back in perfect agreement from far behind it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oneshot_vos.inference.confidence import frames_between, iou
from oneshot_vos.inference.given import GivenMasks, find_given
from oneshot_vos.inference.walk import Segmented, Walk
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import object_ids, write_mask
from oneshot_vos.videos.video import Video

REACH = 10  # frames


class PseudoLabel(NamedTuple):
    """A frame, by its number, and what the network makes of it.

    ids: int32 [H, W]. confidence: float32 [H, W] from 0 to 1, of the pixels' ids: 1 minus the entropy in bits of the
    mean of both walks' probabilities, at least 0. agreement: from 0 to 1, of the frame: the IoU of both walks' masks, a
    mean over objects, times the share of the given mask that the walks back have found again up to here.
    """

    frame: int
    ids: np.ndarray
    confidence: np.ndarray
    agreement: float


@dataclass(frozen=True)
class Labeller:
    """A network that labels videos; it must be in evaluation mode."""

    network: Network
    settings: InferenceSettings
    dtype: torch.dtype

    def label(self, video: Video, scratch: Path) -> Iterator[PseudoLabel]:
        """Every frame but the one whose mask is given, the first that shows an object; scratch: a folder for files."""
        given, source = find_given(video), FrameFiles(video.frames)
        start = min(given.files)
        for order in (range(start, len(video)), range(start, -1, -1)):
            trust, stretch = 1.0, list[Segmented]()
            for found in self._walk(source, given, order) if len(order) > 1 else ():
                stretch.append(found)
                if len(stretch) <= REACH and found.frame != order[-1]:
                    continue
                back = self._back(source, stretch, scratch, given.ids)
                trust *= _agreement(stretch[0].ids, back[0].ids, given.ids)
                for ahead, behind in zip(stretch[1:], back[1:], strict=True):
                    agreement = trust * _agreement(ahead.ids, behind.ids, given.ids)
                    yield PseudoLabel(ahead.frame, ahead.ids, _confidence(ahead, behind), agreement)
                stretch = [found]

    def _walk(self, source: FrameFiles, given: GivenMasks, order: range) -> Iterator[Segmented]:
        job = (self.network, source, given, order, self.settings)
        return Walk(*job, dtype=self.dtype, probabilities=True).frames()

    def _back(
        self, source: FrameFiles, stretch: Sequence[Segmented], scratch: Path, ids: tuple[int, ...]
    ) -> list[Segmented]:
        """The frames of `stretch` as the walk from its last mask to its first frame sees them, in their order."""
        last = stretch[-1]
        shown = tuple(object_ids(last.ids.astype(np.uint16)))
        if not shown:
            return [Segmented(each.frame, np.zeros_like(each.ids), None) for each in stretch]
        mask = scratch / "last.png"
        write_mask(mask, last.ids)
        order = frames_between(last.frame, stretch[0].frame)
        walked = list(self._walk(source, GivenMasks({last.frame: mask}, {last.frame: shown}), order))
        return [each._replace(probabilities=_of_all(each, shown, ids)) for each in reversed(walked)]


def _of_all(found: Segmented, shown: tuple[int, ...], ids: tuple[int, ...]) -> Tensor | None:
    """Probabilities [K + 1, H, W] of all objects, where only those of `shown` were looked for."""
    if found.probabilities is None:
        return None
    whole = found.probabilities.new_zeros((len(ids) + 1, *found.probabilities.shape[1:]))
    whole[[0, *(ids.index(number) + 1 for number in shown)]] = found.probabilities
    return whole


def _agreement(one: np.ndarray, other: np.ndarray, ids: Sequence[int]) -> float:
    """The mean IoU of the objects that either shows; 1 if none does."""
    both = [(one == number, other == number) for number in ids]
    found = [iou(a, b) for a, b in both if a.any() or b.any()]
    return sum(found) / len(found) if found else 1.0


def _confidence(ahead: Segmented, behind: Segmented) -> np.ndarray:
    if ahead.probabilities is None:
        raise ValueError("probabilities were not asked for")
    one = ahead.probabilities.float()
    other = behind.probabilities
    if other is None:  # nothing was left to look for: all background
        other = torch.zeros_like(one)
        other[0] = 1.0
    mean = (one + other.float()) / 2
    mean = mean / mean.sum(0).clamp(min=1e-7)
    entropy = -(mean * mean.clamp(min=1e-7).log()).sum(0) / math.log(2)
    return (1 - entropy).clamp(min=0).cpu().numpy()
