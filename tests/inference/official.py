"""What the official programs do where we think them wrong (docs/quirks.md), so that numbers can be compared.

For XMem the long-term memory with its misplaced values, for Cutie groups of objects that are kept apart.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from tests.inference.memories import MemorySize
from torch import Tensor

from oneshot_vos.inference.bank import SearchedBank, joined_blocks
from oneshot_vos.inference.grouped import GroupedBank
from oneshot_vos.inference.long_term import (
    Columns,
    Table,
    count_usage,
    new_rows,
    potentiated,
    prototype_rows,
    usage,
)
from oneshot_vos.inference.plan import Memorise, Step
from oneshot_vos.inference.propagate import Annotation, ObjectTracker, new_bank
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.common.interface import MemoryFrame, Network
from oneshot_vos.networks.common.memory import Winners, find_winners, query_tokens, score_blocks, value_tokens


def xmem_tracker(network: Network, objects: int, settings: InferenceSettings) -> ObjectTracker:
    """A tracker whose long-term memory, if it has one, misplaces values of objects that come later."""
    tracker = ObjectTracker(network, objects, settings)
    if settings.long_term is not None:
        for memory in tracker._memories:
            memory.bank = SharedLongTermBank(settings.long_term, settings.top_k)
    return tracker


class CutieTracker(ObjectTracker):
    """Reads and decodes objects of different first frames apart, and does not wholly forget those that are removed."""

    def __init__(self, network: Network, objects: int, settings: InferenceSettings) -> None:
        super().__init__(network, objects, settings)
        self._left_behind: dict[int, list[Tensor]] = {}  # summaries of removed objects, for each memory
        for memory in self._memories:
            memory._apart = True
            if settings.long_term is None:
                memory.bank = GroupedBank(lambda: new_bank(network, settings))

    def remove(self, channels: Collection[int]) -> None:
        """Leave their summaries behind, and the masks of the frame before at the places of other objects."""
        for number, channel in enumerate(self._enabled):
            if channel in channels:
                summaries = [bank.summary for bank in self.banks]
                if None not in summaries:
                    self._left_behind[channel] = [summary[:, number].clone() for summary in summaries]
        previous = self._previous
        super().remove(channels)
        self._previous = previous

    def _must_segment(self, annotation: Annotation | None) -> bool:
        """Also if the given masks cover every known object and a new one."""
        new = annotation is not None and bool(set(annotation.channels) - set(self._enabled))
        return super()._must_segment(annotation) or (bool(self._enabled) and new)

    def _memorise(self, step: Step, features: list[tuple[Any, ...]], masks: Tensor) -> None:
        super()._memorise(step, features, masks)
        if step.memorise is Memorise.PERMANENT:
            for channel in self._left_behind.keys() & set(self._enabled):
                for bank, summary in zip(self.banks, self._left_behind.pop(channel), strict=True):
                    bank.summary[:, self._enabled.index(channel)] += summary


@dataclass
class _Group:
    """Values of objects that were introduced in the same frame."""

    long: Tensor  # K L' CV; belong to the last L' keys of the long-term memory
    working: Tensor  # K V CV; belong to the last V keys of the working memory


class SharedLongTermBank(SearchedBank):
    """Working and long-term memory with keys that all groups share, and values of each group for the last of them.

    With one group this is `LongTermBank`. Values of a later group come to lie beside keys that they do not belong to:
    its first stored frame stays when that of the video does, and of the prototypes only those count that were chosen
    among its own frames, wherever they are in the order of usage. Prototypes are chosen for the first group.

    settings, top_k: as for `LongTermBank`.
    """

    def __init__(self, settings: LongTerm, top_k: int) -> None:
        super().__init__()
        self._settings = settings
        self._top_k = top_k
        self._long, self._working = Table(), Table()  # keys and usage
        self._groups: list[_Group] = []
        self._area = 0  # positions of a frame

    @property
    def counts(self) -> list[int]:
        """How many objects each group has."""
        return [len(group.working) for group in self._groups]

    @property
    def sizes(self) -> list[MemorySize]:
        """What each group has values of."""
        return [
            MemorySize(self._area, group.working.shape[1] - self._area, group.long.shape[1]) for group in self._groups
        ]

    @property
    def long_term(self) -> Columns:
        """The long-term memory of all groups: `key` [N, CK], augmented `keys` [N, D], `counts` [N, 2]."""
        return self._long.rows(slice(0, len(self._long))) if len(self._long) else {}

    @property
    def long_term_values(self) -> list[Tensor]:
        """The values [K, L', CV] of each group."""
        return [group.long for group in self._groups]

    @property
    def working_usage(self) -> Tensor:
        """Usage [N] of the working memory, first frame included."""
        return usage(self._working["counts"])

    def _add(self, frame: MemoryFrame, annotated: bool) -> None:
        rows, values = new_rows(frame), value_tokens(frame)[0]
        self._area = len(rows["keys"])
        self._working.append(rows, room=self._area)
        for place, group in zip(self.groups, self._groups, strict=True):
            group.working = torch.cat([group.working, values[place]], 1)
        new = values[self.objects :]
        if len(new):
            self._groups.append(_Group(new[:, :0], new))
        if len(self._working) >= self._settings.max_frames * self._area:
            self._forget()
            self._condense()
        self._changed()

    def _keep(self, kept: list[list[int]]) -> None:
        for group, own in zip(self._groups, kept, strict=True):
            group.long, group.working = group.long[own], group.working[own]
        self._groups = [group for group in self._groups if len(group.working)]
        if not self._groups:
            self._long, self._working = Table(), Table()
        self._changed()

    def _forget(self) -> None:
        """Make room in long-term memory; the official program cannot do it with several groups."""
        if not len(self._long):
            return
        stay = most_used_strictly(self._long["counts"], self._settings)
        for group in self._groups:
            first = len(self._long) - group.long.shape[1]
            group.long = group.long[:, stay[stay >= first] - first]
        kept = self._long.rows(stay)
        self._long.cut(0)
        self._long.append(kept, room=0)

    def _condense(self) -> None:
        area, newest = self._area, (self._settings.min_frames - 1) * self._area
        whole = len(self._working)
        last = whole - newest
        prototypes, chosen, scores = prototype_rows(self._working, slice(area, last), self._settings.prototypes)
        self._long.append(prototypes, room=self._settings.max_elements)
        for group in self._groups:
            stored, least = group.working.shape[1], newest + 2 * area
            if stored == whole or stored > least:
                count = stored - newest - area
                valid = chosen >= scores.shape[1] - count
                own = potentiated(scores[valid, scores.shape[1] - count :], group.working[:, area : stored - newest])
                group.long = torch.cat([group.long, own], 1)
            if stored == whole or stored >= least:
                group.working = torch.cat([group.working[:, :area], group.working[:, stored - newest :]], 1)
        rows = [self._working.rows(slice(0, area)), self._working.rows(slice(last, whole))]
        self._working.cut(0)
        for part in rows:
            self._working.append(part, room=0)

    def _values(self) -> list[Tensor]:
        return [torch.cat([group.long, group.working], 1) for group in self._groups]

    def _search(self, key: Tensor, selection: Tensor | None) -> list[Winners]:
        long = len(self._long)
        keys = torch.cat([self._long["keys"], self._working["keys"]]) if long else self._working["keys"]
        found: list[list[Winners]] = [[] for _ in self._groups]
        for scores in score_blocks(query_tokens(key, selection), keys[None]):
            for group, blocks in zip(self._groups, found, strict=True):
                stored = group.long.shape[1], group.working.shape[1]
                own = torch.cat([scores[0][:, long - stored[0] : long], scores[0][:, len(keys) - stored[1] :]], 1)
                blocks.append(find_winners(own, self._top_k))
        winners = [joined_blocks(blocks) for blocks in found]
        self._count(winners[0])
        return winners

    def _count(self, winners: Winners) -> None:
        """Count what the first group reads; it has values for the last keys of either memory, mostly for all."""
        first, positions = self._groups[0], winners.positions
        in_long = positions < first.long.shape[1]
        for table, values, chosen in ((self._long, first.long, in_long), (self._working, first.working, ~in_long)):
            if len(table):
                shift = len(table) - values.shape[1] - (0 if table is self._long else first.long.shape[1])
                count_usage(table["counts"], Winners(positions[chosen] + shift, winners.weights[chosen]))


def most_used_strictly(counts: Tensor, settings: LongTerm) -> Tensor:
    """As `most_used`, but of equally used positions either all go or none; all may go."""
    used, room = usage(counts), settings.max_elements - settings.prototypes
    if len(used) < room:
        return torch.arange(len(used))
    excess = len(used) - room
    kept = used > used.kthvalue(excess).values if excess else torch.ones_like(used, dtype=torch.bool)
    return kept.nonzero().flatten()
