"""A read of the most similar memory positions, put together from the parts that inference uses."""

import torch
from torch import Tensor

from oneshot_vos.networks.common.memory import Winners, find_winners, gather_winners, score_blocks


def read_top_k(query: Tensor, memory: Tensor, values: Tensor, k: int) -> Tensor:
    """Softmax over the k most similar memory positions of each query; over all of them if there are fewer than k.

    Shapes as in `read_full`. Only the winners are read from the values, so the cost of reading hardly grows with the
    memory.
    """
    parts = [find_winners(scores, k) for scores in score_blocks(query, memory)]
    winners = [torch.cat(tensors, 1) for tensors in zip(*parts, strict=True)]
    return torch.stack([gather_winners(Winners(*own), tables) for *own, tables in zip(*winners, values, strict=True)])
