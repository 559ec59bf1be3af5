"""Random memory frames, and what banks have in memory, shared by the tests of the banks."""

from typing import NamedTuple

import torch
from torch import Tensor

from oneshot_vos.inference.bank import Bank, MemoryBank
from oneshot_vos.inference.frame_bank import FrameBank
from oneshot_vos.inference.grouped import GroupedBank
from oneshot_vos.inference.long_term import LongTermBank
from oneshot_vos.networks.common.interface import MemoryFrame

CK, CV, HEIGHT, WIDTH = 4, 3, 2, 3
AREA = HEIGHT * WIDTH


def frame(objects: int, seed: int, *, plain: bool = False) -> MemoryFrame:
    """A frame whose summary of object k is 10 ** k, so that sums tell what went in."""
    generator = torch.Generator().manual_seed(seed)
    key, selection = (torch.randn(1, CK, HEIGHT, WIDTH, generator=generator) for _ in range(2))
    value = torch.randn(1, objects, CV, HEIGHT, WIDTH, generator=generator)
    shrinkage = 1 + torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
    summary = 10.0 ** torch.arange(objects).view(1, objects, 1)
    if plain:
        return MemoryFrame(key, None, None, value, summary)
    return MemoryFrame(key, shrinkage, selection.sigmoid(), value, summary)


def query(seed: int) -> tuple[Tensor, Tensor]:
    """Key and selection of a query frame."""
    generator = torch.Generator().manual_seed(1000 + seed)
    key, selection = (torch.randn(1, CK, 4, 5, generator=generator) for _ in range(2))
    return key, selection.sigmoid()


class MemorySize(NamedTuple):
    """How many positions objects of one group have in memory; of a `FrameBank`, how many frames."""

    permanent: int  # of annotated frames; of the first one, where there is a long-term memory
    temporary: int
    long_term: int


def sizes(bank: Bank) -> list[MemorySize]:
    """What each group has in memory."""
    if isinstance(bank, GroupedBank):
        return [size for own in bank._banks for size in sizes(own)]
    if isinstance(bank, LongTermBank):
        return [MemorySize(bank._area, len(bank._table) - bank._long - bank._area, bank._long)] * len(bank.counts)
    if isinstance(bank, FrameBank):
        area, starts = 1, [start for start, _ in bank._starts]
        frames = [(kept.number, kept.annotated) for kept in bank._since(0)]
    else:
        assert isinstance(bank, MemoryBank)
        area, starts = bank._area, [group.start for group in bank._groups]
        frames = list(zip(bank._in_slots(), [*bank._annotated, False], strict=False))
    read = [[annotated for number, annotated in frames if number >= start] for start in starts]
    return [MemorySize(area * sum(each), area * (len(each) - sum(each)), 0) for each in read]
