"""Propagating object masks through a video, on tensors: the loop that every network shares."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.inference.bank import Bank, MemoryBank
from oneshot_vos.inference.frame_bank import FrameBank
from oneshot_vos.inference.geometry import crop, limited_size, pad_image, padding_for, resize_maps
from oneshot_vos.inference.grouped import GroupedBank
from oneshot_vos.inference.long_term import LongTermBank
from oneshot_vos.inference.object_memory import ObjectMemory
from oneshot_vos.inference.plan import Memorise, Step
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.aggregation import aggregate
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.videos.images import MEAN, STD

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

    @classmethod
    def of(cls, ids: Tensor, present: Sequence[int], known: Sequence[int]) -> "Annotation":
        """Of the objects `present` in int32 ids [H, W]; `known`: the ids of all objects, by their channels."""
        masks = ids[None] == torch.tensor(present, dtype=torch.int32)[:, None, None]
        return cls(tuple(known.index(number) + 1 for number in present), masks)


def predict_frames(
    network: Network,
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
    tracker = ObjectTracker(network, objects, settings, frames=permanent, dtype=dtype)
    for step, frame in zip(steps, frames, strict=True):
        probabilities = tracker.advance(step, frame, annotate(step.index) if step.annotated else None)
        if step.output:
            yield step.index, probabilities


def new_bank(network: Network, settings: InferenceSettings, frames: int | None = None) -> Bank:
    """An empty memory for a video of which `frames` frames will be memorised for good; None: nobody knows."""
    kept, top_k = settings.long_term, settings.top_k
    bounds = [bound for bound in (settings.max_frames, frames) if bound is not None]
    most = max(1, min(bounds)) if bounds else None
    if network.reads_frames:
        if kept is not None:
            raise UserError(
                f"inference setting long_term: {type(network).__name__} reads whole frames, which cannot be condensed; "
                "expected null. Bound the memory by max_frames"
            )
        return FrameBank(most)
    if kept is not None:
        assert top_k is not None, "settings ask for both or neither"
        return GroupedBank(lambda: LongTermBank(kept, top_k))
    return MemoryBank(most, top_k, temporary=settings.include_last)


class ObjectTracker:
    """One video on its way through a network, frame by frame.

    objects: how many there will be, the channels 1..objects of what comes out; more can come. frames: how many frames
    will be memorised for good, None if nobody knows. The network must be in evaluation mode. See `predict_frames` for
    the rest.
    """

    def __init__(
        self,
        network: Network,
        objects: int,
        settings: InferenceSettings,
        *,
        frames: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = network
        self._objects = objects
        self._settings = settings
        self._dtype = dtype
        self._border = torch.from_numpy(-MEAN / STD) if network.black_border else None  # black, normalised
        self._memories = [
            ObjectMemory(
                network,
                new_bank(network, settings, frames),
                mirrored=mirrored,
                chunk=settings.object_chunk,
                apart=network.reads_frames,
            )
            for mirrored in ([False, True] if settings.flip else [False])
        ]
        self._enabled: list[int] = []  # channels of the objects known so far, in the order of memory and state
        self._previous: Tensor | None = None  # 1 K H W: masks of the frame before

    @property
    def channels(self) -> tuple[int, ...]:
        """The objects known now, in the order of their introduction."""
        return tuple(self._enabled)

    @property
    def banks(self) -> list[Bank]:
        """The memory, and that of the mirrored video if there is one."""
        return [memory.bank for memory in self._memories]

    @torch.inference_mode()
    def advance(self, step: Step, frame: Tensor, annotation: Annotation | None, *, new_scene: bool = False) -> Tensor:
        """Process one frame [3, H, W]; its probabilities [objects + 1, H, W].

        new_scene: the frame before tells nothing of where objects are: its masks, the state and what is kept of it for
        one frame are forgotten; what was memorised for good stays.
        """
        size = frame.shape[-2], frame.shape[-1]
        if annotation is not None:
            self._objects = max([self._objects, *annotation.channels])
        if not step.tracked:
            return self._blank(size, frame.device)
        inner = limited_size(*size, self._settings.internal_size)
        padding = padding_for(*inner, self._network.stride)
        image = pad_image(resize_maps(frame, inner), padding, self._border)[None].contiguous(
            memory_format=torch.channels_last
        )
        with torch.autocast(frame.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            features = [memory.encode(image) for memory in self._memories]
            if new_scene and self._previous is not None:
                self._previous = torch.zeros_like(self._previous)
                for memory, own in zip(self._memories, features, strict=True):
                    memory.forget_recent(own)
            probabilities = self._blank(image.shape[-2:], frame.device)
            if self._must_segment(annotation):
                channels = torch.tensor([0, *self._enabled], device=frame.device)
                probabilities[0] = 0
                probabilities[channels] = self._segment(features, update=step.update)
            if annotation is not None and annotation.channels:
                self._introduce(annotation.channels, features)
                masks = F.pad(resize_maps(annotation.masks.to(probabilities), inner, "nearest-exact"), padding)
                probabilities = _merge(probabilities, annotation.channels, masks)
            self._previous = probabilities[self._enabled][None]
            if step.memorise is not Memorise.NO and self._enabled:
                self._memorise(step, features, self._previous)
        return resize_maps(crop(probabilities, padding), size)

    @torch.inference_mode()
    def remove(self, channels: Collection[int]) -> None:
        """Forget objects from the next frame on. One that is given again starts anew."""
        for channel in channels:
            if channel not in self._enabled:
                raise ValueError(f"object {channel} is not known; known are {self._enabled}")
        numbers = [number for number, channel in enumerate(self._enabled) if channel in channels]
        if self._previous is not None:
            self._previous = self._previous[:, [channel not in channels for channel in self._enabled]]
        for memory in self._memories:
            memory.remove(numbers)
        self._enabled = [channel for channel in self._enabled if channel not in channels]

    def state_dict(self) -> dict[str, Any]:
        """Where the video stands between two frames, as tensors and plain values; the network is not part of it."""
        memories = [memory.state_dict() for memory in self._memories]
        own = {"objects": self._objects, "enabled": list(self._enabled), "previous": self._previous}
        return {**own, "memories": memories}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go where another tracker stood that was made with the same arguments, and continue bit by bit as it did."""
        for memory, own in zip(self._memories, state["memories"], strict=True):
            memory.load_state_dict(own)
        self._objects, self._enabled, self._previous = state["objects"], list(state["enabled"]), state["previous"]

    def _blank(self, size: Sequence[int], device: torch.device) -> Tensor:
        blank = torch.zeros(self._objects + 1, *size, dtype=torch.float32, device=device)
        blank[0] = _NOTHING
        return blank

    def _must_segment(self, annotation: Annotation | None) -> bool:
        """Whether something is left to predict: not if the given masks cover every known object."""
        if not self._enabled or annotation is None:
            return bool(self._enabled)
        return not set(self._enabled) <= set(annotation.channels)

    def _introduce(self, channels: tuple[int, ...], features: list[tuple[Any, ...]]) -> None:
        """Take objects up that are given for the first time; one that is given again is already there."""
        new = [channel for channel in channels if channel not in self._enabled]
        if new:
            for memory, own in zip(self._memories, features, strict=True):
                memory.introduce(own, len(new))
        self._enabled += new

    def _segment(self, features: list[tuple[Any, ...]], *, update: bool) -> Tensor:
        """Probabilities [1 + known objects, H, W] of the frame; moves the state on if `update`."""
        if self._previous is None:
            raise RuntimeError("no frame has been memorised yet")
        previous = self._previous[:, : len(self._enabled)]
        pairs = zip(self._memories, features, strict=True)
        results = [memory.segment(own, previous, update=update) for memory, own in pairs]
        return results[0] if len(results) == 1 else (results[0] + results[1]) / 2

    def _memorise(self, step: Step, features: list[tuple[Any, ...]], masks: Tensor) -> None:
        for memory, own in zip(self._memories, features, strict=True):
            frame = memory.memorise(own, masks, deep=step.deep)
            if step.memorise is Memorise.TEMPORARY:
                memory.bank.add_temporary(frame)
            else:
                memory.bank.add(frame, annotated=step.annotated)


def _merge(probabilities: Tensor, channels: tuple[int, ...], masks: Tensor) -> Tensor:
    """Put given masks [n, H, W] over predicted probabilities [K + 1, H, W] and aggregate all of them again.

    Where any mask is given, no other object is; elsewhere the objects that are not given keep their prediction.
    """
    objects = probabilities[1:].clone()
    objects[:, masks.amax(0) > 0.5] = 0
    objects[[channel - 1 for channel in channels]] = masks
    return aggregate(objects[None])[0].softmax(0)
