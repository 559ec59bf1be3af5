"""Random memory frames, shared by the tests of the banks."""

import torch
from torch import Tensor

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
