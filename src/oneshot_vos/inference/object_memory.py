"""What a network remembers of the objects of a video, as it is or mirrored: its memory and its state."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.inference.bank import Bank
from oneshot_vos.networks.common.interface import Network, State


class ObjectMemory:
    """Memory and state of a video's objects, in the order of their introduction.

    mirrored: the video is turned left to right on its way in, and its masks back on their way out. chunk: most objects
    that pass through the network at once. apart: objects of different groups never do.
    """

    def __init__(self, network: Network, bank: Bank, *, mirrored: bool, chunk: int | None, apart: bool) -> None:
        self.bank = bank
        self._network = network
        self._mirrored = mirrored
        self._chunk = chunk
        self._apart = apart
        self._state: State | None = None

    def encode(self, image: Tensor) -> tuple[Any, ...]:
        """Features of an image [1, 3, H, W]."""
        return self._network.encode(self._turned(image))

    def introduce(self, features: tuple[Any, ...], objects: int) -> None:
        """Take new objects up; their memory starts with the next frame that is memorised."""
        fresh = self._network.initial_state(features, objects)
        self._state = fresh if self._state is None else _joined([self._state, fresh])

    def forget_recent(self, features: tuple[Any, ...]) -> None:
        """Begin with the frame of these features as if all that is remembered for good lay long before it."""
        self.bank.drop_temporary()
        if self._state:
            self._state = self._network.initial_state(features, self._state[0].shape[1])

    def remove(self, objects: Collection[int]) -> None:
        """Forget objects; those after them move up."""
        self.bank.remove([number for number in objects if number < self.bank.objects])
        if self._state:
            kept = [number for number in range(self._state[0].shape[1]) if number not in objects]
            self._state = tuple(tensor[:, kept] for tensor in self._state) if kept else None

    def segment(self, features: tuple[Any, ...], previous: Tensor, *, update: bool) -> Tensor:
        """Probabilities [1 + K, H, W] of a frame; `previous` [1, K, H, W] are the masks of the one before."""
        previous = self._turned(previous)
        logits, states = [], []
        # Each object is decoded by itself, so those of all chunks can be weighed against each other.
        for chunk in self._chunks(previous.shape[1], self.bank.groups if self._apart else None):
            view, state = self.bank.view(chunk), _part(self._known_state(), chunk)
            decoded, state = self._network.decode(features, view, state, previous[:, chunk], update=update)
            logits.append(decoded.logits)
            states.append(state)
        self._state = _joined(states)
        return self._turned(self._network.combine(torch.cat(logits, 1)).softmax(1))[0]

    def memorise(self, features: tuple[Any, ...], masks: Tensor, *, deep: bool) -> Any:
        """The memory frame of all objects for their masks [1, K, H, W]; moves the state on if `deep`."""
        masks = self._turned(masks)
        chunks = self._chunks(masks.shape[1], None)
        if len(chunks) == 1:
            frame, self._state = self._network.memorise(features, masks, self._known_state(), deep=deep)
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
            frame, state = self._network.memorise(features, torch.cat([inside, rest], 1), part_and_rest, deep=deep)
            frames.append(frame.of(slice(0, inside.shape[1])))
            states.append(_part(state, slice(0, inside.shape[1])))
        self._state = _joined(states)
        first, *others = frames
        return first.joined(others)

    def state_dict(self) -> dict[str, Any]:
        """Memory and state, as tensors and plain values."""
        state = None if self._state is None else tuple(self._state)  # a network may name its fields; a file does not
        return {"bank": self.bank.state_dict(), "state": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one that was made with the same arguments did."""
        self.bank.load_state_dict(state["bank"])
        self._state = state["state"]

    def _turned(self, maps: Tensor) -> Tensor:
        return maps.flip(-1) if self._mirrored else maps

    def _chunks(self, objects: int, groups: Sequence[slice] | None) -> list[slice]:
        whole = [slice(0, objects)] if groups is None else groups
        size = objects if self._chunk is None else self._chunk
        return [
            slice(start, min(start + size, group.stop))
            for group in whole
            for start in range(group.start, group.stop, size)
        ]

    def _known_state(self) -> State:
        if self._state is None:
            raise RuntimeError("no object has been introduced yet")
        return self._state


def _part(state: State, objects: slice) -> State:
    return tuple(tensor[:, objects] for tensor in state)


def _joined(states: Sequence[State]) -> State:
    return tuple(torch.cat(tensors, 1) for tensors in zip(*states, strict=True))
