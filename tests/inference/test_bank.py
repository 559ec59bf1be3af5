"""The bank against the plain thing: one list of frames per object, read by the formula."""

import math

import pytest
import torch
from tests.inference.memories import MemorySize, sizes
from torch import Tensor

from oneshot_vos.inference.bank import MemoryBank
from oneshot_vos.networks.common.interface import MemoryFrame

CK, CV, HEIGHT, WIDTH = 6, 5, 3, 4


def frame(objects: int, seed: int, *, shrinkage: bool = False) -> MemoryFrame:
    generator = torch.Generator().manual_seed(seed)
    key = torch.randn(1, CK, HEIGHT, WIDTH, generator=generator)
    value = torch.randn(1, objects, CV, HEIGHT, WIDTH, generator=generator)
    s = 1 + torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
    return MemoryFrame(key, s if shrinkage else None, None, value, None)


def query(seed: int = 99) -> Tensor:
    return torch.randn(1, CK, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def read_one(
    frames: list[MemoryFrame], number: int, key: Tensor, top_k: int | None, selection: Tensor | None
) -> Tensor:
    """Readout [CV, h, w] of one object from its own frames, position by position."""
    keys = torch.cat([f.key[0].flatten(1) for f in frames], 1)  # CK N
    values = torch.cat([f.value[0, number].flatten(1) for f in frames], 1)  # CV N
    result = torch.empty(CV, HEIGHT * WIDTH)
    for m, q in enumerate(key[0].flatten(1).T):
        difference = (keys - q[:, None]).square()
        if selection is not None:
            difference = difference * selection[0].flatten(1).T[m][:, None]
        scores = -difference.sum(0) / math.sqrt(CK)
        if frames[0].shrinkage is not None:
            scores = scores * torch.cat([f.shrinkage[0, 0].flatten() for f in frames if f.shrinkage is not None])
        weights = torch.zeros_like(scores)
        best = scores.topk(min(top_k or len(scores), len(scores))).indices
        weights[best] = scores[best].softmax(0)
        result[:, m] = values @ weights
    return result.view(CV, HEIGHT, WIDTH)


def expect(
    bank: MemoryBank, frames: list[list[MemoryFrame]], top_k: int | None, selection: Tensor | None = None
) -> None:
    """`frames`: for every object the frames it should be read from."""
    key = query()
    expected = torch.stack([read_one(own, number, key, top_k, selection) for number, own in enumerate(frames)])
    torch.testing.assert_close(bank.read(key, selection)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("top_k", [None, 4, 1000])
@pytest.mark.parametrize("terms", [False, True], ids=["plain", "shrinkage and selection"])
def test_later_objects_read_only_what_came_after_them(top_k: int | None, terms: bool) -> None:
    stored = [frame(objects, seed, shrinkage=terms) for seed, objects in enumerate([2, 2, 3, 5, 5])]
    selection = torch.rand(1, CK, HEIGHT, WIDTH) if terms else None
    bank = MemoryBank(10, top_k)
    for one in stored:
        bank.add(one)
    assert bank.objects == 5
    expect(bank, [stored, stored, stored[2:], stored[3:], stored[3:]], top_k, selection)


@pytest.mark.parametrize("top_k", [None, 7])
def test_a_full_bank_drops_the_oldest_frame_without_annotation(top_k: int | None) -> None:
    stored = [frame(1 if seed < 4 else 2, seed) for seed in range(9)]
    bank = MemoryBank(4, top_k)
    for number, one in enumerate(stored):
        bank.add(one, annotated=number in (0, 4))
        assert len(bank.frames) <= 4
    assert bank.frames == (0, 4, 7, 8)
    first = [stored[number] for number in (0, 4, 7, 8)]
    expect(bank, [first, first[1:]], top_k)


@pytest.mark.parametrize("top_k", [None, 7])
def test_of_annotated_frames_only_the_oldest_goes(top_k: int | None) -> None:
    stored = [frame(1, seed) for seed in range(5)]
    bank = MemoryBank(3, top_k)
    for number, one in enumerate(stored):
        bank.add(one, annotated=number < 4)
    assert bank.frames == (2, 3, 4)
    expect(bank, [stored[2:]], top_k)


def test_an_object_reads_around_older_frames_in_the_ring() -> None:
    """The slots of frames that an object may not read lie between those that it may."""
    stored = [frame(objects, seed) for seed, objects in enumerate([1, 1, 1, 2, 2, 2])]
    bank = MemoryBank(4, 5)
    for number, one in enumerate(stored):
        bank.add(one, annotated=number in (1, 2))
    assert bank.frames == (1, 2, 4, 5)
    expect(bank, [[stored[number] for number in (1, 2, 4, 5)], [stored[4], stored[5]]], 5)


@pytest.mark.parametrize("max_frames", [2, 6])
def test_a_temporary_frame_lasts_until_the_next_one(max_frames: int) -> None:
    stored = [frame(2, seed) for seed in range(5)]
    bank = MemoryBank(max_frames, 6, temporary=True)
    bank.add(stored[0], annotated=True)
    bank.add_temporary(stored[1])
    expect(bank, [stored[:2]] * 2, 6)
    bank.add_temporary(stored[2])
    expect(bank, [[stored[0], stored[2]]] * 2, 6)
    bank.add(stored[3])
    expect(bank, [[stored[0], stored[3]]] * 2, 6)
    bank.add_temporary(stored[4])
    expect(bank, [[stored[0], stored[3], stored[4]]] * 2, 6)


@pytest.mark.parametrize("top_k", [None, 5])
def test_views_read_their_objects(top_k: int | None) -> None:
    bank = MemoryBank(5, top_k)
    for seed, objects in enumerate([3, 3, 4, 6]):
        bank.add(frame(objects, seed))
    key = query()
    whole = bank.read(key, None)
    for chosen in (slice(0, 2), slice(2, 5), slice(5, 6)):
        torch.testing.assert_close(bank.view(chosen).read(key, None), whole[:, chosen])


def test_views_of_one_frame_search_once_and_a_new_frame_starts_a_new_search(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = MemoryBank(5, 3)
    bank.add(frame(4, 0))
    searches = []
    search = MemoryBank._search

    def counted(self: MemoryBank, key: Tensor, selection: Tensor | None):
        searches.append(1)
        return search(self, key, selection)

    monkeypatch.setattr(MemoryBank, "_search", counted)
    key = query()
    for start in range(4):
        bank.view(slice(start, start + 1)).read(key, None)
    assert len(searches) == 1
    bank.add(frame(4, 1))
    bank.read(key, None)
    assert len(searches) == 2


def test_the_bank_does_not_grow() -> None:
    bank = MemoryBank(3, 4)
    bank.add(frame(2, 0), annotated=True)
    tensors = [bank._keys, bank._groups[0].values]
    addresses = [tensor.data_ptr() for tensor in tensors if tensor is not None]
    for seed in range(20):
        bank.add(frame(2, seed))
    assert [tensor.data_ptr() for tensor in (bank._keys, bank._groups[0].values) if tensor is not None] == addresses


@pytest.mark.parametrize("temporary", [False, True])
def test_an_unbounded_bank_grows_and_keeps_everything(temporary: bool) -> None:
    stored = [frame(1 if seed < 5 else 2, seed) for seed in range(30)]
    bank = MemoryBank(None, 5, temporary=temporary)
    for one in stored:
        bank.add(one)
        if temporary:
            bank.add_temporary(one._replace(value=-one.value))
    if temporary:
        bank.add(stored[0]._replace(value=stored[-1].value))  # the temporary one goes
        stored.append(stored[0]._replace(value=stored[-1].value))
    assert len(bank.frames) == len(stored)
    expect(bank, [stored, stored[5:]], 5)
    assert sizes(bank) == [
        MemorySize(0, len(stored) * HEIGHT * WIDTH, 0),
        MemorySize(0, (len(stored) - 5) * HEIGHT * WIDTH, 0),
    ]


@pytest.mark.parametrize("top_k", [None, 5])
def test_removed_objects_leave_the_others_as_they_were(top_k: int | None) -> None:
    stored = [frame(objects, seed) for seed, objects in enumerate([3, 3, 5, 6])]
    bank = MemoryBank(8, top_k)
    for one in stored:
        bank.add(one)
    before = bank.read(query(), None)
    bank.remove({1, 3, 5})
    assert bank.groups == [slice(0, 2), slice(2, 3)]
    torch.testing.assert_close(bank.read(query(), None), before[:, [0, 2, 4]])
    bank.remove([0, 1, 2])
    assert bank.objects == 0
    bank.add(stored[0])
    expect(bank, [stored[:1]] * 3, top_k)


def test_an_annotation_of_removed_objects_does_not_keep_its_frame() -> None:
    stored = [frame(objects, seed) for seed, objects in enumerate([1, 2, 2, 2, 2])]
    bank = MemoryBank(3, 5)
    for number, one in enumerate(stored[:3]):
        bank.add(one, annotated=number < 2)
    bank.remove([0])
    rest = [one._replace(value=one.value[:, 1:]) for one in stored]
    for one in rest[3:]:
        bank.add(one)
    assert bank.frames == (1, 3, 4)
    expect(bank, [[rest[1], rest[3], rest[4]]], 5)


def test_values_keep_their_type() -> None:
    bank = MemoryBank(2, 4)
    one = frame(2, 0)
    bank.add(one._replace(key=one.key.bfloat16(), value=one.value.bfloat16()))
    assert bank.read(query().bfloat16(), None).dtype == torch.bfloat16


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryBank(0, 20)
    bank = MemoryBank(2, 4)
    with pytest.raises(ValueError, match="empty"):
        bank.read(query(), None)
    bank.add(frame(2, 0))
    with pytest.raises(ValueError, match="expected at least 2"):
        bank.add(frame(1, 1))
    with pytest.raises(ValueError, match="temporary slot"):
        bank.add_temporary(frame(2, 1))
