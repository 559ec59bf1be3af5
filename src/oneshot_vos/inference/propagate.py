"""Propagating object masks through a video, on tensors: the loop that every network shares."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot_vos.inference.bank import MemoryBank
from oneshot_vos.inference.geometry import crop, padding_for
from oneshot_vos.inference.plan import InferenceSettings, Memorise, Step
from oneshot_vos.networks.aggregation import aggregate
from oneshot_vos.networks.interface import MemoryFrame, Network, State

_NOTHING = 1e-7  # probability of background before any object is known; the objects have 0


@dataclass(frozen=True)
class Annotation:
    """The masks given for one frame.

    channels: which objects are given, as channels 1..K, each at most once. Objects that are not listed keep their
        prediction outside the given masks.
    masks: [len(channels), H, W] in {0, 1}, of the size of the frame.
    """

    channels: tuple[int, ...]
    masks: Tensor


def propagate(
    network: Network[Any],
    steps: Sequence[Step],
    frames: Iterable[Tensor],
    annotate: Callable[[int], Annotation],
    objects: int,
    settings: InferenceSettings,
    *,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (frame index, probabilities [objects + 1, H, W] in float32, background first) of the frames to output.

    `steps`: what to do, from `plan_frames`. `frames`: for every step its image [3, H, W], RGB, ImageNet-normalised,
    on the network's device, all of one size. `annotate`: the given masks of an annotated frame, by frame index.
    `dtype`: type of the network's arithmetic. The network must be in evaluation mode.
    """
    permanent = sum(step.memorise is Memorise.PERMANENT for step in steps)
    bank = MemoryBank(
        max_frames=max(1, min(settings.max_frames, permanent)),
        top_k=settings.top_k,
        temporary=settings.include_last,
    )
    tracker = Tracker(network, bank, objects, settings.object_chunk, dtype)
    for step, frame in zip(steps, frames, strict=True):
        probabilities = tracker.advance(step, frame, annotate(step.index) if step.annotated else None)
        if step.output:
            yield step.index, probabilities


class Tracker:
    """One video on its way through a network: its memory, its recurrent state and the objects known so far."""

    def __init__(
        self, network: Network[Any], bank: MemoryBank, objects: int, object_chunk: int | None, dtype: torch.dtype
    ) -> None:
        self._network = network
        self._bank = bank
        self._objects = objects
        self._chunk = object_chunk
        self._dtype = dtype
        self._enabled: list[int] = []  # channels of the objects known so far, in the order of memory and state
        self._state: State | None = None
        self._previous: Tensor | None = None  # 1 known H W: masks of the frame before

    @torch.inference_mode()
    def advance(self, step: Step, frame: Tensor, annotation: Annotation | None) -> Tensor:
        """Process one frame [3, H, W]; its probabilities [objects + 1, H, W]."""
        if not step.tracked:
            return self._blank(frame)
        padding = padding_for(frame.shape[-2], frame.shape[-1], self._network.stride)
        image = F.pad(frame, padding)[None].contiguous(memory_format=torch.channels_last)
        with torch.autocast(frame.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            features = self._network.encode(image)
            probabilities = self._blank(image[0])
            # A frame whose given masks cover every known object has nothing left to predict.
            if self._enabled and not (annotation and set(self._enabled) <= set(annotation.channels)):
                channels = torch.tensor([0, *self._enabled], device=frame.device)
                probabilities[0] = 0
                probabilities[channels] = self._segment(features)
            if annotation is not None:
                self._enable(annotation.channels, features)
                masks = F.pad(annotation.masks.to(probabilities), padding)
                probabilities = _merge(probabilities, annotation.channels, masks)
            self._previous = probabilities[self._enabled][None]
            if step.memorise is not Memorise.NO:
                memory_frame = self._memorise(features, self._previous)
                if step.memorise is Memorise.TEMPORARY:
                    self._bank.add_temporary(memory_frame)
                else:
                    self._bank.add(memory_frame, annotated=step.annotated)
        return crop(probabilities, padding)

    def _blank(self, image: Tensor) -> Tensor:
        blank = torch.zeros(self._objects + 1, *image.shape[-2:], dtype=torch.float32, device=image.device)
        blank[0] = _NOTHING
        return blank

    def _enable(self, channels: tuple[int, ...], features: tuple[Any, ...]) -> None:
        """Take objects up that are given for the first time; one that is given again is already there."""
        new = [channel for channel in channels if channel not in self._enabled]
        if not new:
            return
        fresh = self._network.initial_state(features, len(new))
        self._state = fresh if self._state is None else _joined([self._state, fresh])
        self._enabled += new

    def _chunks(self) -> list[slice]:
        known = len(self._enabled)
        size = known if self._chunk is None else self._chunk
        return [slice(start, min(start + size, known)) for start in range(0, known, size)]

    def _segment(self, features: tuple[Any, ...]) -> Tensor:
        """Probabilities [1 + known objects, H, W] of the frame; moves the state on."""
        if self._previous is None:
            raise RuntimeError("no frame has been memorised yet")
        # A network decodes each object by itself, so the chunks can be weighed against each other all together.
        logits, states = [], []
        for chunk in self._chunks():
            view, state, previous = self._bank.view(chunk), _part(self._known_state(), chunk), self._previous[:, chunk]
            decoded, state = self._network.decode(features, view, state, previous)
            logits.append(decoded.logits)
            states.append(state)
        self._state = _joined(states)
        return self._network.combine(torch.cat(logits, 1))[0].softmax(0)

    def _memorise(self, features: tuple[Any, ...], masks: Tensor) -> MemoryFrame:
        """The memory frame of all known objects for their masks [1, known, H, W]; moves the state on."""
        chunks = self._chunks()
        if len(chunks) == 1:
            frame, self._state = self._network.memorise(features, masks, self._known_state())
            return frame
        # A network looks at an object beside all others. Those outside its chunk go in as one more object, whose own
        # results are thrown away.
        everything = masks.sum(1, keepdim=True)
        frames, states = [], []
        for chunk in chunks:
            inside = masks[:, chunk]
            rest = (everything - inside.sum(1, keepdim=True)).clamp(0, 1)
            part = _part(self._known_state(), chunk)
            part_and_rest = tuple(torch.cat([tensor, torch.zeros_like(tensor[:, :1])], 1) for tensor in part)
            frame, state = self._network.memorise(features, torch.cat([inside, rest], 1), part_and_rest)
            inside_only = slice(0, inside.shape[1])
            frames.append(
                frame._replace(
                    value=frame.value[:, inside_only],
                    summary=None if frame.summary is None else frame.summary[:, inside_only],
                )
            )
            states.append(_part(state, inside_only))
        self._state = _joined(states)
        summaries = [frame.summary for frame in frames if frame.summary is not None]
        return frames[0]._replace(
            value=torch.cat([frame.value for frame in frames], 1),
            summary=torch.cat(summaries, 1) if summaries else None,
        )

    def _known_state(self) -> State:
        if self._state is None:
            raise RuntimeError("no object has been enabled yet")
        return self._state


def _part(state: State, objects: slice) -> State:
    return tuple(tensor[:, objects] for tensor in state)


def _joined(states: Sequence[State]) -> State:
    return tuple(torch.cat(tensors, 1) for tensors in zip(*states, strict=True))


def _merge(probabilities: Tensor, channels: tuple[int, ...], masks: Tensor) -> Tensor:
    """Put given masks [n, H, W] over predicted probabilities [K + 1, H, W] and aggregate all of them again.

    Where any mask is given, no other object is; elsewhere the objects that are not given keep their prediction.
    """
    objects = probabilities[1:].clone()
    objects[:, masks.amax(0) > 0.5] = 0
    objects[[channel - 1 for channel in channels]] = masks
    return aggregate(objects[None])[0].softmax(0)
