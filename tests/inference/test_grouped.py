"""Memories of their own for groups of objects, as in the official Cutie."""

import pytest
import torch
from tests.inference.memories import AREA, MemorySize, frame, query, sizes

from oneshot_vos.inference.bank import MemoryBank
from oneshot_vos.inference.grouped import GroupedBank


def test_each_group_keeps_its_own_first_frame_and_the_newest() -> None:
    grouped = GroupedBank(lambda: MemoryBank(3, 9))
    first, second = MemoryBank(3, 9), MemoryBank(3, 9)
    for t in range(9):
        one = frame(1 if t < 4 else 3, t)
        grouped.add(one, annotated=t in (0, 4))
        first.add(one._replace(value=one.value[:, :1]), annotated=t == 0)
        if t >= 4:
            second.add(one._replace(value=one.value[:, 1:]), annotated=t == 4)
    assert first.frames == (0, 7, 8)
    assert grouped.groups == [slice(0, 1), slice(1, 3)]
    assert sizes(grouped) == [MemorySize(AREA, 2 * AREA, 0)] * 2
    expected = torch.cat([first.read(*query(0)), second.read(*query(0))], 1)
    torch.testing.assert_close(grouped.read(*query(0)), expected)
    torch.testing.assert_close(grouped.view(slice(1, 2)).read(*query(0)), expected[:, 1:2])


def test_a_group_without_objects_is_gone() -> None:
    grouped = GroupedBank(lambda: MemoryBank(3, 9))
    for t, objects in enumerate([2, 3, 4]):
        grouped.add(frame(objects, t))
    expected = grouped.read(*query(0))
    grouped.remove([1, 2])
    assert grouped.groups == [slice(0, 1), slice(1, 2)]
    torch.testing.assert_close(grouped.read(*query(0)), expected[:, [0, 3]])
    assert grouped.summary is not None
    assert grouped.summary.flatten().tolist() == [3, 1000]


@pytest.mark.parametrize("grouped", [False, True])
def test_summaries_are_summed_over_all_frames_but_temporary_ones(grouped: bool) -> None:
    bank = GroupedBank(lambda: MemoryBank(2, 9)) if grouped else MemoryBank(2, 9, temporary=True)
    assert bank.summary is None
    for t, objects in enumerate([2, 2, 3, 3, 3]):
        bank.add(frame(objects, t))
        if not grouped:
            bank.add_temporary(frame(objects, 10 + t))
    assert bank.summary.flatten().tolist() == [5, 50, 300]
    assert bank.view(slice(1, 3)).summary.flatten().tolist() == [50, 300]
    bank.remove([0])
    assert bank.summary.flatten().tolist() == [50, 300]
