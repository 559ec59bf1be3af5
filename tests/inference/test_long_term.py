"""Long-term memory against the plain thing: a list of positions, read and condensed one by one by the formula."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from tests.inference.memories import AREA, CK, CV, MemorySize, frame, query, sizes
from tests.inference.official import SharedLongTermBank, most_used_strictly
from torch import Tensor

from oneshot_vos.inference.bank import Bank
from oneshot_vos.inference.grouped import GroupedBank
from oneshot_vos.inference.long_term import LongTermBank, most_used, usage
from oneshot_vos.inference_settings import LongTerm
from oneshot_vos.networks.common.interface import MemoryFrame

TOP_K = 9


@dataclass
class Position:
    """A memory position and the values that the official program pairs with it."""

    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    use: float = 0.0
    life: float = 1e-7

    @property
    def usage(self) -> float:
        return self.use / self.life

    def score(self, key: Tensor, selection: Tensor) -> Tensor:
        return -self.shrinkage * (selection * (self.key - key).square()).sum() / math.sqrt(CK)


@dataclass
class Values:
    """The values [K, CV] of a group, position by position."""

    objects: int
    working: list[Tensor] = field(default_factory=list)
    long: list[Tensor] = field(default_factory=list)


class Spelled:
    """The official memory, spelled out: keys of all groups together, values for the last of them."""

    def __init__(self, settings: LongTerm) -> None:
        self.settings = settings
        self.working: list[Position] = []
        self.long: list[Position] = []
        self.groups: list[Values] = []

    def add(self, one: MemoryFrame) -> None:
        key, shrinkage, selection = (maps[0].flatten(1).T for maps in one[:3] if maps is not None)
        self.working += [Position(*parts) for parts in zip(key, shrinkage[:, 0], selection, strict=True)]
        known = sum(group.objects for group in self.groups)
        if one.value.shape[1] > known:
            self.groups.append(Values(one.value.shape[1] - known))
        start = 0
        for group in self.groups:
            group.working += list(one.value[0, start : start + group.objects].flatten(2).unbind(2))
            start += group.objects
        if len(self.working) >= self.settings.max_frames * AREA:
            self.condense()

    def condense(self) -> None:
        newest = (self.settings.min_frames - 1) * AREA
        room = self.settings.max_elements - self.settings.prototypes
        if len(self.long) > room:
            self.forget(sorted(position.usage for position in self.long)[len(self.long) - room - 1])
        whole = len(self.working)
        candidates = self.working[AREA : whole - newest]
        order = sorted(range(len(candidates)), key=lambda place: -candidates[place].usage)
        chosen = order[: self.settings.prototypes]
        for number, group in enumerate(self.groups):
            stored = len(group.working)
            takes_part = stored == whole or stored > newest + 2 * AREA
            own = group.working[AREA : stored - newest] if takes_part else []
            first = len(candidates) - len(own)
            for place in chosen if takes_part else []:
                prototype = candidates[place]
                scores = [one.score(prototype.key, prototype.selection) for one in candidates[first:]]
                weights = torch.stack(scores).softmax(0)
                if place >= first:
                    group.long.append(sum(w * v for w, v in zip(weights, own, strict=True)))
                if number == 0:
                    mean = sum(w * one.shrinkage for w, one in zip(weights, candidates, strict=True))
                    self.long.append(Position(prototype.key, mean, prototype.selection))
            if stored == whole or stored >= newest + 2 * AREA:
                group.working = group.working[:AREA] + group.working[stored - newest :]
        self.working = self.working[:AREA] + self.working[whole - newest :]

    def forget(self, threshold: float) -> None:
        for group in self.groups:
            first = len(self.long) - len(group.long)
            pairs = zip(self.long[first:], group.long, strict=True)
            group.long = [value for position, value in pairs if position.usage > threshold]
        self.long = [position for position in self.long if position.usage > threshold]

    def read(self, keys: Tensor, selections: Tensor) -> Tensor:
        result = []
        for number, group in enumerate(self.groups):
            positions = self.long[len(self.long) - len(group.long) :] + self.working[-len(group.working) :]
            values = group.long + group.working
            readouts = []
            for key, selection in zip(keys[0].flatten(1).T, selections[0].flatten(1).T, strict=True):
                scores = torch.stack([position.score(key, selection) for position in positions])
                best = scores.topk(min(TOP_K, len(scores)))
                weights = best.values.softmax(0)
                readouts.append(sum(w * values[place] for w, place in zip(weights, best.indices, strict=True)))
                for w, place in zip(weights, best.indices, strict=True):
                    positions[place].use += float(w) if number == 0 else 0.0
            if number == 0:
                for position in positions:
                    position.life += 1
            result.append(torch.stack(readouts, 1))  # K M CV
        return torch.cat(result).permute(0, 2, 1).unflatten(2, keys.shape[-2:])


def follow(bank: Bank, objects: list[int], settings: LongTerm) -> Spelled:
    """Run both through frames with this many objects each, and compare every readout."""
    spelled = Spelled(settings)
    for t, known in enumerate(objects):
        bank.add(frame(known, t))
        spelled.add(frame(known, t))
        readout = bank.read(*query(t))[0]
        torch.testing.assert_close(readout, spelled.read(*query(t)), rtol=1e-4, atol=1e-5)
    return spelled


@pytest.mark.parametrize("max_elements", [1000, 12, 15], ids=["room for all", "full at every step", "full"])
def test_one_group_is_read_as_in_the_official_program(max_elements: int) -> None:
    settings = LongTerm(max_frames=4, min_frames=2, prototypes=5, max_elements=max_elements)
    bank = LongTermBank(settings, TOP_K)
    spelled = follow(bank, [2] * 13, settings)
    assert sizes(bank) == [MemorySize(AREA, len(spelled.working) - AREA, len(spelled.long))]
    ours = bank._table.rows(slice(0, bank._long))
    torch.testing.assert_close(ours["key"], torch.stack([position.key for position in spelled.long]))
    torch.testing.assert_close(
        usage(bank._table["counts"][bank._long :]), torch.tensor([position.usage for position in spelled.working])
    )


@pytest.mark.parametrize("second", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("min_frames", [2, 3])
def test_the_official_memory_misplaces_values_of_later_groups(second: int, min_frames: int) -> None:
    settings = LongTerm(max_frames=6, min_frames=min_frames, prototypes=7, max_elements=1000)
    bank = SharedLongTermBank(settings, TOP_K)
    spelled = follow(bank, [1] * second + [3] * 7 + [4] * 6, settings)
    assert [size.long_term for size in bank.sizes] == [len(group.long) for group in spelled.groups]
    assert [size.permanent + size.temporary for size in bank.sizes] == [len(group.working) for group in spelled.groups]


def test_the_official_memory_can_be_full_with_several_groups() -> None:
    settings = LongTerm(max_frames=5, min_frames=2, prototypes=6, max_elements=16)
    bank = SharedLongTermBank(settings, TOP_K)
    follow(bank, [1, 1, 2, 2, 2, 2] + [3] * 12, settings)
    assert len(bank.long_term["key"]) <= 16


def test_the_official_memory_of_one_group_is_ours() -> None:
    settings = LongTerm(max_frames=4, min_frames=3, prototypes=4, max_elements=9)
    ours, official = GroupedBank(lambda: LongTermBank(settings, TOP_K)), SharedLongTermBank(settings, TOP_K)
    for t in range(12):
        for bank in (ours, official):
            bank.add(frame(2, t))
        torch.testing.assert_close(ours.read(*query(t)), official.read(*query(t)))
    assert sizes(ours) == official.sizes


def test_later_objects_read_what_a_video_that_starts_with_them_would_give() -> None:
    """Keys and values of a later group belong together, whatever happened before."""
    settings = LongTerm(max_frames=4, min_frames=2, prototypes=5, max_elements=14)
    bank, late = GroupedBank(lambda: LongTermBank(settings, TOP_K)), LongTermBank(settings, TOP_K)
    for t in range(20):
        one = frame(2 if t < 5 else 3, t)
        bank.add(one)
        readout = bank.read(*query(t))
        if t >= 5:
            late.add(one._replace(value=one.value[:, 2:]))
            torch.testing.assert_close(readout[:, 2:], late.read(*query(t)))
    assert sizes(bank)[1] == sizes(late)[0]


def test_chunks_share_a_search_and_count_it_once() -> None:
    settings = LongTerm(max_frames=3, min_frames=2, prototypes=5, max_elements=14)
    whole, parts = (GroupedBank(lambda: LongTermBank(settings, TOP_K)) for _ in range(2))
    for t in range(9):
        for bank in (whole, parts):
            bank.add(frame(2 if t < 3 else 4, t))
        key, selection = query(t)
        expected = whole.read(key, selection)
        for chosen in (slice(0, 1), slice(1, 3), slice(3, 4)) if t >= 3 else (slice(0, 1), slice(1, 2)):
            torch.testing.assert_close(parts.view(chosen).read(key, selection), expected[:, chosen])


def test_memory_is_bounded_and_does_not_move() -> None:
    settings = LongTerm(max_frames=4, min_frames=2, prototypes=6, max_elements=20)
    bank = LongTermBank(settings, TOP_K)
    largest = []
    for t in range(60):
        bank.add(frame(1, t))
        bank.read(*query(t))
        (size,) = sizes(bank)
        assert size.long_term <= 20
        assert size.permanent + size.temporary < 4 * AREA
        largest.append(len(bank._table._columns["values"][0]))
    assert largest[30] == largest[-1]


@pytest.mark.parametrize("plain", [False, True], ids=["shrinkage and selection", "plain keys"])
def test_fewer_positions_than_prototypes_or_top_k(plain: bool) -> None:
    bank = LongTermBank(LongTerm(max_frames=3, min_frames=2, prototypes=500, max_elements=5000), 1000)
    for t in range(8):
        bank.add(frame(2, t, plain=plain))
        key, selection = query(t)
        assert bank.read(key, None if plain else selection).isfinite().all()
    assert sizes(bank)[0] == MemorySize(AREA, AREA, 6 * AREA)


def test_very_negative_similarity_gives_finite_readouts() -> None:
    bank = LongTermBank(LongTerm(max_frames=3, min_frames=2, prototypes=4, max_elements=8), TOP_K)
    for t in range(8):
        one = frame(1, t)
        bank.add(one._replace(key=1e4 * one.key))
        key, selection = query(t)
        assert bank.read(-1e5 * key, selection).isfinite().all()
        assert bank.read((-1e3 * key).bfloat16(), selection.bfloat16()).isfinite().all()


def test_values_keep_their_type() -> None:
    bank = LongTermBank(LongTerm(max_frames=3, min_frames=2, prototypes=4, max_elements=8), TOP_K)
    for t in range(6):
        one = frame(1, t)
        bank.add(one._replace(value=one.value.bfloat16()))
        assert bank.read(*query(t)).dtype == torch.bfloat16


@pytest.mark.parametrize("bank_type", [LongTermBank, SharedLongTermBank])
def test_objects_can_be_removed(bank_type: type[Bank]) -> None:
    settings = LongTerm(max_frames=4, min_frames=2, prototypes=5, max_elements=12)
    whole, rest = GroupedBank(lambda: LongTermBank(settings, TOP_K)), GroupedBank(lambda: LongTermBank(settings, TOP_K))
    if bank_type is SharedLongTermBank:
        whole, rest = SharedLongTermBank(settings, TOP_K), SharedLongTermBank(settings, TOP_K)
    for t in range(12):
        whole.add(frame(3, t))
        kept = frame(3, t)
        rest.add(kept if t < 7 else kept._replace(value=kept.value[:, [0, 2]], summary=kept.summary[:, [0, 2]]))
        expected, readout = whole.read(*query(t)), rest.read(*query(t))
        torch.testing.assert_close(readout, expected if t < 7 else expected[:, [0, 2]])
        if t == 6:
            rest.remove([1])
    rest.remove([0, 1])
    assert rest.objects == 0
    assert rest.summary is None
    rest.add(frame(2, 50))
    fresh = LongTermBank(settings, TOP_K)
    fresh.add(frame(2, 50))
    torch.testing.assert_close(rest.read(*query(0)), fresh.read(*query(0)))


def counts(*use: float) -> Tensor:
    return torch.stack([torch.tensor(use), torch.ones(len(use))], 1)


@pytest.mark.parametrize(
    ("buffer", "strict", "use", "stay"),
    [
        (0, False, (1, 2), [0, 1]),  # there is room
        (0, False, (3, 1, 2), [0, 1, 2]),  # just enough of it
        (0, True, (3, 1, 2), [0, 1, 2]),
        (0, False, (3, 1, 2, 5), [0, 2, 3]),
        (2, False, (3, 1, 2), [0]),
        (0, True, (3, 1, 2, 5), [0, 2, 3]),
        (0, True, (3, 1, 1, 5), [0, 3]),  # one too many, but two are used least
        (0, True, (1, 1, 1, 1), []),
    ],
)
def test_the_most_used_stay(buffer: int, strict: bool, use: tuple[float, ...], stay: list[int]) -> None:
    settings = LongTerm(prototypes=7, max_elements=10, buffer=buffer)
    choose = most_used_strictly if strict else most_used
    assert choose(counts(*use), settings).tolist() == stay


def test_misuse_is_refused() -> None:
    bank = LongTermBank(LongTerm(), TOP_K)
    with pytest.raises(ValueError, match="empty"):
        bank.read(*query(0))
    bank.add(frame(2, 0))
    with pytest.raises(ValueError, match="expected 2"):
        bank.add(frame(3, 0))
    with pytest.raises(ValueError, match="temporary slot"):
        bank.add_temporary(frame(2, 0))
    with pytest.raises(ValueError, match="to remove"):
        bank.remove([2])
    assert bank.read(*query(0)).shape == (1, 2, CV, 4, 5)
