"""The memory of a video: bounded, allocated once, and read by objects that appeared at different times."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from oneshot_vos.networks.interface import Memory, MemoryFrame
from oneshot_vos.networks.memory import as_maps, memory_tokens, query_tokens, similarity, value_tokens

# Similarities held at a time: a CPU reads them again from its caches, a GPU wants few large pieces of work.
_SCORES_AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 26}


@dataclass
class _Group:
    """Objects that were introduced in the same frame, and their values."""

    objects: slice  # their place in the order of introduction
    start: int  # number of the frame that introduced them; older frames hold nothing of theirs
    values: Tensor  # K slots*h*w CV; zero where nothing was stored


@dataclass(frozen=True)
class _Winners:
    """The positions that each of M queries reads, and how much of each: [M, k]."""

    positions: Tensor
    weights: Tensor


class MemoryBank:
    """Memory frames of one video in slots that are allocated when the first frame comes.

    Keys are shared by all objects, in the augmented form of `networks.memory`. A frame may hold more objects than the
    one before: the new ones read the memory from that frame on only. The similarity is computed once for all
    objects; objects of equal start share one softmax.

    max_frames: slots. When all are taken, a new frame takes the slot of the oldest frame without annotation, or, if
        all are annotated, of the oldest.
    top_k: positions read per query (all, if the memory holds fewer); None reads everything.
    temporary: keep one more slot, for `add_temporary`.
    """

    def __init__(self, max_frames: int, top_k: int | None, *, temporary: bool = False) -> None:
        if max_frames < 1 or (top_k is not None and top_k < 1):
            raise ValueError(f"max_frames {max_frames} and top_k {top_k} must be at least 1")
        self._max_frames = max_frames
        self._top_k = top_k
        self._slots = max_frames + temporary
        self._keys: Tensor | None = None  # slots*h*w D
        self._groups: list[_Group] = []
        self._numbers: list[int] = []  # number of the frame in each permanent slot
        self._annotated: list[bool] = []
        self._temporary: int | None = None  # number of the temporary frame, in the slot after the permanent ones
        self._count = 0  # frames ever added
        self._last_query: tuple[Tensor, Tensor | None] | None = None
        self._last_winners: list[_Winners] = []

    @property
    def objects(self) -> int:
        """Number of objects seen so far."""
        return self._groups[-1].objects.stop if self._groups else 0

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers (0 for the first frame ever added) of the frames that are kept, oldest first."""
        return tuple(sorted(self._in_slots()))

    def add(self, frame: MemoryFrame, *, annotated: bool = False) -> None:
        """Keep a frame (batch size 1) for good; its first objects are those known, further ones start here."""
        slot = len(self._numbers)
        if slot < self._max_frames:
            self._numbers.append(self._count)
            self._annotated.append(annotated)
        else:
            slot = min(range(slot), key=lambda taken: (self._annotated[taken], self._numbers[taken]))
            self._numbers[slot], self._annotated[slot] = self._count, annotated
        self._temporary = None
        self._store(frame, slot)

    def add_temporary(self, frame: MemoryFrame) -> None:
        """Keep a frame until the next one is added; it cannot introduce objects."""
        if self._slots == self._max_frames:
            raise ValueError("this bank was made without a temporary slot")
        if frame.value.shape[1] != self.objects:
            raise ValueError(f"{frame.value.shape[1]} objects in a temporary frame, expected {self.objects}")
        self._temporary = self._count
        self._store(frame, len(self._numbers))

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        """Read with the query key [1, CK, h, w] (and selection, same shape): values [1, K, CV, h, w]."""
        return self._read(key, selection, slice(0, self.objects))

    def view(self, objects: slice) -> Memory:
        """The same memory for some of the objects; views of one frame share the search."""
        return _View(self, objects)

    def _in_slots(self) -> list[int]:
        return self._numbers if self._temporary is None else [*self._numbers, self._temporary]

    def _store(self, frame: MemoryFrame, slot: int) -> None:
        keys, values = memory_tokens(frame.key, frame.shrinkage)[0], value_tokens(frame)[0]
        area = len(keys)
        if self._keys is None:
            self._keys = keys.new_zeros(self._slots * area, keys.shape[1])
        known = self.objects
        if len(values) < known:
            raise ValueError(f"{len(values)} objects in a memory frame, expected at least {known}")
        if len(values) > known:
            buffer = values.new_zeros(len(values) - known, self._slots * area, values.shape[2])
            self._groups.append(_Group(slice(known, len(values)), self._count, buffer))
        place = slice(slot * area, (slot + 1) * area)
        self._keys[place] = keys
        for group in self._groups:
            group.values[:, place] = values[group.objects]
        self._count += 1
        self._last_query = None

    def _read(self, key: Tensor, selection: Tensor | None, objects: slice) -> Tensor:
        if self._keys is None:
            raise ValueError("the memory is empty")
        read = self._read_all if self._top_k is None else self._read_winners
        readouts = read(key, selection, objects)
        return as_maps(torch.cat(readouts)[None], *key.shape[-2:])

    def _read_winners(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        """Values [1, M, CV] of every object."""
        if self._last_query is None or self._last_query[0] is not key or self._last_query[1] is not selection:
            self._last_winners = self._search(key, selection)
            self._last_query = key, selection
        return [
            embedding_bag(found.positions, table, per_sample_weights=found.weights.to(table.dtype), mode="sum")[None]
            for group, found in zip(self._groups, self._last_winners, strict=True)
            for table in group.values[_within(group.objects, objects)]
        ]

    def _search(self, key: Tensor, selection: Tensor | None) -> list[_Winners]:
        """What every group reads."""
        parts = [[self._best(scores, group) for group in self._groups] for scores in self._scores(key, selection)]
        return [
            _Winners(torch.cat([part.positions for part in own]), torch.cat([part.weights for part in own]))
            for own in zip(*parts, strict=True)
        ]

    def _best(self, scores: Tensor, group: _Group) -> _Winners:
        scores, first = self._of_group(scores, group)
        assert self._top_k is not None
        best, positions = scores.topk(min(self._top_k, scores.shape[1]), dim=1, sorted=False)
        return _Winners(positions + first, best.softmax(1))

    def _read_all(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        """Values [K, M, CV] of every group."""
        parts: list[list[Tensor]] = []
        for scores in self._scores(key, selection):
            column = []
            for group in self._groups:
                own, first = self._of_group(scores, group)
                values = group.values[_within(group.objects, objects), first : first + own.shape[1]]
                column.append(own.softmax(1).to(values.dtype) @ values)
            parts.append(column)
        return [torch.cat(columns, 1) for columns in zip(*parts, strict=True)]

    def _scores(self, key: Tensor, selection: Tensor | None) -> Iterator[Tensor]:
        """Similarities [m, N] with all stored positions, for some queries at a time."""
        assert self._keys is not None
        query = query_tokens(key, selection)
        area = query.shape[1]
        keys = self._keys[None, : len(self._in_slots()) * area]
        rows = max(1, _SCORES_AT_ONCE.get(key.device.type, 1 << 22) // keys.shape[1])
        for start in range(0, query.shape[1], rows):
            yield similarity(query[:, start : start + rows], keys)[0]

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


@dataclass(frozen=True)
class _View:
    """Some of the objects of a bank."""

    bank: MemoryBank
    chosen: slice

    @property
    def summary(self) -> Tensor | None:
        return None

    def add(self, frame: MemoryFrame) -> None:
        raise TypeError("a view of a memory cannot be added to")

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        return self.bank._read(key, selection, self.chosen)


def _within(group: slice, chosen: slice) -> slice:
    """The part of a group that was chosen, counted from the start of the group; empty if there is none."""
    start, stop = max(group.start, chosen.start), min(group.stop, chosen.stop)
    return slice(start - group.start, max(start, stop) - group.start)
