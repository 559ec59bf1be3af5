"""The memory of a video: what a tracker asks of it, and the plain kind, which keeps whole frames.

Letters: K objects, M query positions, N memory positions, D width of augmented keys, CV value channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.networks.common.interface import Memory, MemoryFrame, TokenFrame
from oneshot_vos.networks.common.memory import (
    Winners,
    as_maps,
    find_winners,
    gather_winners,
    memory_tokens,
    query_tokens,
    score_blocks,
    value_tokens,
)

_LEAST_GROWTH = 8  # frames


class Bank(ABC):
    """A memory of one video (batch size 1), read by objects that appear at different times.

    Objects are numbered in the order in which they appear. A frame may hold more objects than the one before: the new
    ones form a group, whose memory starts there.
    """

    _kept: tuple[str, ...] = ("_summary",)  # attributes that `state_dict` holds as they are

    def __init__(self) -> None:
        self._summary: Tensor | None = None

    @property
    @abstractmethod
    def counts(self) -> list[int]:
        """How many objects each group has."""

    @property
    def groups(self) -> list[slice]:
        """Objects that were introduced in the same frame, in order."""
        return [slice(start, stop) for start, stop in pairwise(accumulate(self.counts, initial=0))]

    @property
    def objects(self) -> int:
        """Number of objects seen so far."""
        return sum(self.counts)

    @property
    def summary(self) -> Tensor | None:
        """The sum of the summaries of all frames added for good, [1, K, ...]; None if they have none."""
        return self._summary

    def add(self, frame: Any, *, annotated: bool = False) -> None:
        """Take a frame (batch size 1) up; its first objects are those known, further ones start here."""
        if frame.objects < self.objects:
            raise ValueError(f"{frame.objects} objects in a memory frame, expected at least {self.objects}")
        if frame.summary is not None:
            before = self._summary if self._summary is not None else frame.summary[:, :0]
            known = before.shape[1]
            self._summary = torch.cat([before + frame.summary[:, :known], frame.summary[:, known:]], 1)
        self._add(frame, annotated)

    def add_temporary(self, frame: Any) -> None:
        """Keep a frame until the next one is added; it cannot introduce objects and leaves the summary alone."""
        if frame.objects != self.objects:
            raise ValueError(f"{frame.objects} objects in a temporary frame, expected {self.objects}")
        self._add_temporary(frame)

    def drop_temporary(self) -> None:
        """Forget what was added last, unless it was for good."""
        return

    def remove(self, objects: Collection[int]) -> None:
        """Forget objects, given by their numbers; those after them move up."""
        if not set(objects) <= set(range(self.objects)):
            raise ValueError(f"objects {sorted(objects)} to remove, but the memory knows {self.objects}")
        kept = [number for number in range(self.objects) if number not in objects]
        if self._summary is not None:
            self._summary = self._summary[:, kept] if kept else None
        self._keep([[number - own.start for number in kept if own.start <= number < own.stop] for own in self.groups])

    def read(self, key: Tensor, selection: Tensor | None, objects: slice | None = None) -> Tensor:
        """Read with the query key [1, CK, h, w] (and selection, same shape): values [1, K, CV, h, w].

        objects: some of them, None for all; reads with the same query share the search.
        """
        if not self.objects:
            raise ValueError("the memory is empty")
        found = self._read(key, selection, objects or slice(0, self.objects))
        return as_maps(torch.cat(found)[None], *key.shape[-2:])

    def frames_of(self, objects: slice) -> list[TokenFrame]:
        """The frames themselves, for some of the objects, which were introduced together; oldest first."""
        raise TypeError("this memory keeps keys and values; expected a network that asks it with a key")

    def view(self, objects: slice) -> Memory:
        """The same memory for some of the objects."""
        return _View(self, objects)

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as tensors and plain values: what two frames have between them."""
        return {name: getattr(self, name) for name in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what a bank that was made with the same arguments did."""
        for name in self._kept:
            setattr(self, name, state[name])

    @abstractmethod
    def _add(self, frame: Any, annotated: bool) -> None:
        """Take a frame up."""

    def _add_temporary(self, frame: Any) -> None:
        """Keep a frame until the next one is added."""
        raise ValueError("this bank was made without a temporary slot")

    @abstractmethod
    def _keep(self, kept: list[list[int]]) -> None:
        """Keep some objects of each group, which may be none."""

    def _read(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        """Readouts [K, M, CV] of each group, of the objects that are asked for."""
        raise TypeError("this memory keeps frames; expected a network that reads them itself")


class SearchedBank(Bank):
    """A bank that is searched for the winners of a query once, for all objects that are read with it."""

    def __init__(self) -> None:
        super().__init__()
        self._last_query: tuple[Tensor, Tensor | None] | None = None
        self._last_winners: list[Winners] = []

    @abstractmethod
    def _search(self, key: Tensor, selection: Tensor | None) -> list[Winners]:
        """What each group reads."""

    @abstractmethod
    def _values(self) -> list[Tensor]:
        """The values [K, N, CV] of each group, in which its winners are."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._changed()

    def _changed(self) -> None:
        """Search anew; to be called when the content has changed."""
        self._last_query = None

    def _read(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        if self._last_query is None or self._last_query[0] is not key or self._last_query[1] is not selection:
            self._last_winners = self._search(key, selection)
            self._last_query = key, selection
        return [
            gather_winners(found, values[within(group, objects)])
            for group, values, found in zip(self.groups, self._values(), self._last_winners, strict=True)
        ]


@dataclass(frozen=True)
class _View:
    """Some of the objects of a bank."""

    bank: Bank
    chosen: slice

    @property
    def summary(self) -> Tensor | None:
        summary = self.bank.summary
        return None if summary is None else summary[:, self.chosen]

    @property
    def frames(self) -> list[TokenFrame]:
        return self.bank.frames_of(self.chosen)

    def add(self, frame: Any) -> None:
        raise TypeError("a view of a memory cannot be added to")

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        return self.bank.read(key, selection, self.chosen)


def within(group: slice, chosen: slice) -> slice:
    """The part of a group that was chosen, counted from the start of the group; empty if there is none."""
    start, stop = max(group.start, chosen.start), min(group.stop, chosen.stop)
    return slice(start - group.start, max(start, stop) - group.start)


def joined_blocks(blocks: Sequence[Winners]) -> Winners:
    """The winners of all queries, found for some at a time."""
    return Winners(torch.cat([block.positions for block in blocks]), torch.cat([block.weights for block in blocks]))


@dataclass
class _Group:
    """Objects that were introduced in the same frame, and their values."""

    start: int  # number of the frame that introduced them; older frames hold nothing of theirs
    values: Tensor  # K slots*h*w CV; zero where nothing was stored


class MemoryBank(SearchedBank):
    """Whole frames, in slots that are allocated when the first frame comes.

    Keys are shared by all objects, in the augmented form of `networks.common.memory`, and so is the similarity: objects
    of equal start share one softmax.

    max_frames: slots. When all are taken, a new frame takes the slot of the oldest frame without annotation, or, if
        all are annotated, of the oldest. None: as many as come, allocated in blocks.
    top_k: positions read per query (all, if the memory holds fewer); None reads everything.
    temporary: keep one more slot, for `add_temporary`.
    """

    _kept = (*SearchedBank._kept, "_slots", "_keys", "_numbers", "_annotated", "_temporary", "_count")

    def __init__(self, max_frames: int | None, top_k: int | None, *, temporary: bool = False) -> None:
        super().__init__()
        if (max_frames is not None and max_frames < 1) or (top_k is not None and top_k < 1):
            raise ValueError(f"max_frames {max_frames} and top_k {top_k} must be at least 1")
        self._max_frames = max_frames
        self._top_k = top_k
        self._with_temporary = temporary
        self._slots = (max_frames or _LEAST_GROWTH) + temporary
        self._keys: Tensor | None = None  # slots*h*w D
        self._groups: list[_Group] = []
        self._numbers: list[int] = []  # number of the frame in each permanent slot
        self._annotated: list[bool] = []
        self._temporary: int | None = None  # number of the temporary frame, in the slot after the permanent ones
        self._count = 0  # frames ever added

    @property
    def counts(self) -> list[int]:
        return [len(group.values) for group in self._groups]

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers (0 for the first frame ever added) of the frames that are kept, oldest first."""
        return tuple(sorted(self._in_slots()))

    def _add_temporary(self, frame: MemoryFrame) -> None:
        if not self._with_temporary:
            super()._add_temporary(frame)
        self._temporary = self._count
        self._store(frame, len(self._numbers))

    def drop_temporary(self) -> None:
        self._temporary = None
        self._changed()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "groups": [(group.start, group.values) for group in self._groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._groups = [_Group(*group) for group in state["groups"]]

    def _add(self, frame: MemoryFrame, annotated: bool) -> None:
        slot = len(self._numbers)
        if self._max_frames is None or slot < self._max_frames:
            self._numbers.append(self._count)
            self._annotated.append(annotated)
        else:
            slot = min(range(slot), key=lambda taken: (self._annotated[taken], self._numbers[taken]))
            self._numbers[slot], self._annotated[slot] = self._count, annotated
        self._temporary = None
        self._store(frame, slot)

    def _keep(self, kept: list[list[int]]) -> None:
        for group, own in zip(self._groups, kept, strict=True):
            if len(own) < len(group.values):
                group.values = group.values[own]
        self._groups = [group for group in self._groups if len(group.values)]
        self._changed()
        if not self._groups:
            self._keys, self._numbers, self._annotated, self._temporary = None, [], [], None
            return
        # A frame that nobody reads any more must not outlive others for having been annotated.
        first = min(group.start for group in self._groups)
        pairs = zip(self._numbers, self._annotated, strict=True)
        self._annotated = [annotated and number >= first for number, annotated in pairs]

    def _in_slots(self) -> list[int]:
        return self._numbers if self._temporary is None else [*self._numbers, self._temporary]

    @property
    def _area(self) -> int:
        return 0 if self._keys is None else len(self._keys) // self._slots

    def _store(self, frame: MemoryFrame, slot: int) -> None:
        keys, values = memory_tokens(frame.key, frame.shrinkage)[0], value_tokens(frame)[0]
        area, known = len(keys), self.objects
        if self._keys is None:
            self._keys = keys.new_zeros(self._slots * area, keys.shape[1])
        elif slot == self._slots:
            self._grow(self._slots + max(_LEAST_GROWTH, self._slots // 2))
        if len(values) > known:
            buffer = values.new_zeros(len(values) - known, self._slots * area, values.shape[2])
            self._groups.append(_Group(self._count, buffer))
        place = slice(slot * area, (slot + 1) * area)
        self._keys[place] = keys
        for group, own in zip(self._groups, self.groups, strict=True):
            group.values[:, place] = values[own]
        self._count += 1
        self._changed()

    def _grow(self, slots: int) -> None:
        assert self._keys is not None
        more = (slots - self._slots) * self._area
        self._keys = torch.cat([self._keys, self._keys.new_zeros(more, self._keys.shape[1])])
        for group in self._groups:
            objects, _, channels = group.values.shape
            group.values = torch.cat([group.values, group.values.new_zeros(objects, more, channels)], 1)
        self._slots = slots

    def _values(self) -> list[Tensor]:
        return [group.values for group in self._groups]

    def _search(self, key: Tensor, selection: Tensor | None) -> list[Winners]:
        assert self._top_k is not None
        found: list[list[Winners]] = [[] for _ in self._groups]
        for scores in self._scores(key, selection):
            for group, blocks in zip(self._groups, found, strict=True):
                own, first = self._of_group(scores, group)
                block = find_winners(own, self._top_k)
                blocks.append(block._replace(positions=block.positions + first))
        return [joined_blocks(blocks) for blocks in found]

    def _read(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        if self._top_k is not None:
            return super()._read(key, selection, objects)
        parts: list[list[Tensor]] = [[] for _ in self._groups]
        for scores in self._scores(key, selection):
            for group, place, blocks in zip(self._groups, self.groups, parts, strict=True):
                own, first = self._of_group(scores, group)
                values = group.values[within(place, objects), first : first + own.shape[1]]
                blocks.append(own.softmax(1).to(values.dtype) @ values)
        return [torch.cat(blocks, 1) for blocks in parts]

    def _scores(self, key: Tensor, selection: Tensor | None) -> Iterator[Tensor]:
        """Similarities [m, N] with all stored positions, for some queries at a time."""
        assert self._keys is not None
        stored = self._keys[: len(self._in_slots()) * self._area]
        return (scores[0] for scores in score_blocks(query_tokens(key, selection), stored[None]))

    def _of_group(self, scores: Tensor, group: _Group) -> tuple[Tensor, int]:
        """The scores that count for a group, from its first position on, and that position."""
        valid = [number >= group.start for number in self._in_slots()]
        area = scores.shape[1] // len(valid)
        first = valid.index(True)
        own = scores[:, first * area :]
        if not all(valid[first:]):
            stale = torch.tensor([not ok for ok in valid[first:]], device=scores.device)
            own = own.masked_fill(stale.repeat_interleave(area), -torch.inf)
        return own, first * area
