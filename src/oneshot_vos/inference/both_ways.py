"""Segmenting a video of any length in both time directions from the frames whose masks are given.

From the first given mask the video is walked forwards, through every further mask, and from the same mask backwards
to its start. An object given in a later mask only exists from that mask on. A walk holds its memory and a few frames,
never the video; it can be saved between two frames and goes on from there with the same result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot_vos.inference.geometry import most_probable, resize_ids, resize_image, short_side_size
from oneshot_vos.inference.plan import InferenceSettings, Memorise, Step, plan_frames
from oneshot_vos.inference.prefetch import prefetched
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference.snapshot import load_tracker, save_tracker
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.videos.frames import FrameSource
from oneshot_vos.videos.images import normalise
from oneshot_vos.videos.masks import object_ids, read_mask


@dataclass(frozen=True)
class GivenFrames:
    """The masks that are given, by frame number; they are read when they are needed.

    files: at least one, each with an object. ids: of all masks, ascending; the network's channel k is ids[k - 1].
    """

    files: Mapping[int, Path]
    ids: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = {number for file in self.files.values() for number in object_ids(read_mask(file))}
        object.__setattr__(self, "ids", tuple(sorted(found)))

    def put_over(self, t: int, ids: np.ndarray) -> None:
        """Let the objects given for frame `t` be in `ids` [H, W] what they are in their mask, to the pixel."""
        given = read_mask(self.files[t])
        ids[np.isin(ids, object_ids(given))] = 0
        np.copyto(ids, given, where=given > 0)

    def annotation(self, t: int, size: tuple[int, int]) -> Annotation:
        """The masks of frame `t` at `size`."""
        ids = read_mask(self.files[t])
        present = object_ids(ids)
        masks = resize_ids(ids, size)[None] == torch.tensor(present, dtype=torch.int32)[:, None, None]
        return Annotation(tuple(self.ids.index(number) + 1 for number in present), masks)


class Route(NamedTuple):
    """A walk through the video. order: frame numbers; steps: what to do with each of them."""

    name: str
    order: range
    steps: list[Step]


def plan_routes(length: int, given: GivenFrames, settings: InferenceSettings, network: Network[Any]) -> list[Route]:
    """The walks through a video of `length` frames; together they output every frame once."""
    first = min(given.files)

    def plan(name: str, order: range, labelled: set[int], output: range) -> Route:
        steps = plan_frames(
            len(order),
            labelled,
            settings,
            required=output,
            recurrent=network.recurrent,
            updates_memory_frames=network.updates_memory_frames,
        )
        return Route(name, order, steps)

    ahead = range(first, length)
    routes = [plan("forwards", ahead, {t - first for t in given.files}, range(len(ahead)))]
    if first > 0:
        routes.append(plan("backwards", range(first, -1, -1), {0}, range(1, first + 1)))
    return routes


class Segmented(NamedTuple):
    """A frame, by its number. ids: int32 [H, W]; probabilities: [K + 1, H, W], background first, if asked for."""

    frame: int
    ids: np.ndarray
    probabilities: Tensor | None


class Walk:
    """One route, from its start or from where it was saved.

    The network must be on `device` and in evaluation mode. probabilities: hand them out as well.
    """

    def __init__(
        self,
        network: Network[Any],
        source: FrameSource,
        given: GivenFrames,
        route: Route,
        settings: InferenceSettings,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        probabilities: bool = False,
    ) -> None:
        self.position = 0  # frames behind us
        self._network = network
        self._source = source
        self._given = given
        self._route = route
        self._device = device
        self._probabilities = probabilities
        self._inner = short_side_size(*source.size, settings.short_side)
        permanent = sum(step.memorise is Memorise.PERMANENT for step in route.steps)
        self.tracker = ObjectTracker(network, len(given.ids), settings, frames=permanent, dtype=dtype)

    @property
    def output(self) -> list[int]:
        """Numbers of the frames that are behind us and were handed out."""
        return [self._route.order[step.index] for step in self._route.steps[: self.position] if step.output]

    @property
    def finished(self) -> bool:
        """Whether every frame is behind us."""
        return self.position == len(self._route.steps)

    def save(self, path: Path) -> None:
        """Write where we stand; to be called between two frames."""
        save_tracker(path, self.tracker, self.position)

    def restore(self, path: Path) -> bool:
        """Go to where we stood when `path` was written; False, and nothing is changed, if that cannot be read."""
        position = load_tracker(path, self.tracker, self._device, len(self._route.steps))
        if position is None:
            return False
        self.position = position
        return True

    def frames(self) -> Iterator[Segmented]:
        """Go on to the end; a frame that is handed out is behind us."""
        table = np.array([0, *self._given.ids], np.int32)
        rest = self._route.steps[self.position :]
        images = self._source.read(self._route.order[self.position :])
        ahead = prefetched(lambda _: self._prepared(next(images)), rest)
        try:
            for step, image in zip(rest, ahead, strict=True):
                t = self._route.order[step.index]
                annotation = self._given.annotation(t, self._inner) if step.annotated else None
                result = self.tracker.advance(step, image, annotation)
                self.position += 1
                if step.output:
                    ids = table[most_probable(result, self._source.size).cpu().numpy()]
                    if step.annotated:
                        self._given.put_over(t, ids)  # a network that works at a smaller size blurs them
                    yield Segmented(t, ids, self._full_size(result) if self._probabilities else None)
        finally:
            ahead.close()

    def _prepared(self, rgb: np.ndarray) -> Tensor:
        return resize_image(torch.from_numpy(normalise(rgb)).to(self._device), self._inner)

    def _full_size(self, probabilities: Tensor) -> Tensor:
        size = self._source.size
        if probabilities.shape[-2:] == size:
            return probabilities
        return F.interpolate(probabilities[None], size=size, mode="bilinear")[0]
