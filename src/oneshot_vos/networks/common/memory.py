"""Reading from the space-time memory.

Letters: B batch, K objects, CK/CV key and value channels, N memory positions, M query positions, D augmented width.

The similarity of memory key k (shrinkage s) and query key q (selection e) is

    S = -s * sum_c e_c (k_c - q_c)^2 / sqrt(CK)

or, for networks without shrinkage and selection, (2 <k, q> - |k|^2) / sqrt(CK): the |q|^2 that is left out is the same
for all of the memory. Both are one scalar product of augmented keys, [s k^2, s k, s] and [-e, 2 e q, -sum(e q^2)]
(D = 2 CK + 1), or [k, |k|^2] and [2 q, -1] (D = CK + 1), so the memory side is computed once, when a frame is stored.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import embedding_bag

from oneshot_vos.networks.common.interface import MemoryFrame, TokenFrame

# Scores held at a time in a top-k read: a CPU reads them again from its caches, a GPU wants few large pieces of work.
_SCORES_AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 26}


def _tokens(maps: Tensor) -> Tensor:
    """[..., C, h, w] to [..., h*w, C]; a view when the maps are channels-last."""
    return maps.flatten(-2).transpose(-1, -2)


def value_tokens(frame: MemoryFrame) -> Tensor:
    """Values of a frame as [B, K, h*w, CV]."""
    return _tokens(frame.value)


def memory_tokens(key: Tensor, shrinkage: Tensor | None = None) -> Tensor:
    """Augmented memory keys [B, h*w, D] in float32 of keys [B, CK, h, w] and shrinkage [B, 1, h, w].

    Shrinkage belongs with selection on the query side: give both or neither.
    """
    k = _tokens(key).float()
    if shrinkage is None:
        return torch.cat([k, k.square().sum(-1, keepdim=True)], -1)
    s = _tokens(shrinkage).float()
    return torch.cat([s * k.square(), s * k, s], -1)


def query_tokens(key: Tensor, selection: Tensor | None = None) -> Tensor:
    """Augmented query keys [B, h*w, D] in float32 of keys and selection [B, CK, h, w], scaled by 1/sqrt(CK)."""
    q = _tokens(key).float()
    scale = q.shape[-1] ** -0.5
    if selection is None:
        return torch.cat([2 * scale * q, q.new_full((*q.shape[:-1], 1), -scale)], -1)
    e = _tokens(selection).float() * scale
    return torch.cat([-e, 2 * e * q, -(e * q.square()).sum(-1, keepdim=True)], -1)


def similarity(query: Tensor, memory: Tensor) -> Tensor:
    """Similarities [B, M, N] of augmented queries [B, M, D] and memory [B, N, D].

    Always float32: it is a difference of large numbers, in which half precision would drown.
    """
    with torch.autocast(query.device.type, enabled=False):
        return query @ memory.transpose(-1, -2)


def read_full(query: Tensor, memory: Tensor, values: Tensor) -> Tensor:
    """Softmax over the whole memory; differentiable.

    query [B, M, D], memory [B, N, D], values [B, K, N, CV] to readouts [B, K, M, CV] in the type of the values.
    """
    # A fused kernel takes one type, and the scores need float32. On a CPU there is none for values wider than keys.
    if query.is_cuda and values.dtype == torch.float32:
        return read_fused(query, memory, values)
    weights = similarity(query, memory).softmax(-1)
    with torch.autocast(query.device.type, enabled=False):
        return weights.to(values.dtype).unsqueeze(1) @ values


def read_fused(query: Tensor, memory: Tensor, values: Tensor) -> Tensor:
    """`read_full` of float32 values by PyTorch's attention, which need not hold the weights [B, M, N]."""
    objects, unaligned = values.shape[1], -query.shape[-1] % 8  # kernels want rows of whole 32 bytes
    query, memory = (F.pad(tokens, (0, unaligned)).unsqueeze(1) for tokens in (query, memory))
    joined = values.transpose(1, 2).flatten(2).unsqueeze(1)  # B 1 N K*CV: all objects share the weights
    with torch.autocast(query.device.type, enabled=False):
        readout = F.scaled_dot_product_attention(query, memory, joined, scale=1.0)
    return readout.squeeze(1).unflatten(-1, (objects, -1)).transpose(1, 2)


class Winners(NamedTuple):
    """The memory positions that each query reads, and how much of each."""

    positions: Tensor  # ... M k
    weights: Tensor  # ... M k in float32; each query's sum is 1


def score_blocks(query: Tensor, memory: Tensor) -> Iterator[Tensor]:
    """Similarities [B, m, N], as `similarity` gives them, for some of the queries at a time: bounded for any memory."""
    rows = _SCORES_AT_ONCE.get(query.device.type, 1 << 22) // (memory.shape[0] * memory.shape[1])
    for part in query.split(max(1, rows), dim=1):
        yield similarity(part, memory)


def find_winners(scores: Tensor, k: int) -> Winners:
    """The k largest scores [..., M, N] of each query, or all if there are fewer, with softmax weights.

    The largest score is subtracted before the exponential: no score is too small or too large.
    """
    best, positions = scores.topk(min(k, scores.shape[-1]), dim=-1, sorted=False)
    return Winners(positions, best.softmax(-1))


def gather_winners(winners: Winners, values: Tensor) -> Tensor:
    """Readouts [K, M, CV] of values [K, N, CV]: only the winners [M, k] are touched."""
    weights = winners.weights.to(values.dtype)
    readouts = [embedding_bag(winners.positions, table, per_sample_weights=weights, mode="sum") for table in values]
    return torch.stack(readouts) if readouts else values.new_empty(0, weights.shape[0], values.shape[-1])


def as_maps(readout: Tensor, height: int, width: int) -> Tensor:
    """Readouts [B, K, h*w, CV] to maps [B, K, CV, h, w], as a channels-last view."""
    return readout.unflatten(2, (height, width)).permute(0, 1, 4, 2, 3)


class ClipMemory:
    """Memory of a training clip: keeps every frame and reads it, or lets it be read, with gradients.

    most: frames read at a time; None reads all. When there are more, each sample of the batch reads its own random
        choice of them, drawn at every read with its own one of `generators`.
    keep_first: the first frame is always among them.
    """

    def __init__(
        self, *, most: int | None = None, keep_first: bool = True, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self._most = most
        self._keep_first = keep_first
        self._generators = generators
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._frames: list[TokenFrame] = []
        self.summary: Tensor | None = None  # the sum of all summaries [B, K, ...]; None without any

    @property
    def keys(self) -> Tensor:
        """Augmented keys [B, N, D], frame after frame."""
        return torch.cat(self._keys, 1)

    @property
    def values(self) -> Tensor:
        """Values [B, K, N, CV], frame after frame."""
        return torch.cat(self._values, 2)

    def add(self, frame: MemoryFrame | TokenFrame) -> None:
        """Append one frame."""
        if isinstance(frame, TokenFrame):
            self._frames.append(frame)
            return
        self._keys.append(memory_tokens(frame.key, frame.shrinkage))
        self._values.append(value_tokens(frame))
        if frame.summary is not None:
            self.summary = frame.summary if self.summary is None else self.summary + frame.summary

    @property
    def frames(self) -> list[TokenFrame]:
        """The frames of a network that reads them itself: all, or a choice for each sample, drawn at every access."""
        if self._most is None or len(self._frames) <= self._most:
            return self._frames
        chosen = [sorted(self._choose(len(self._frames), self._most, generator)) for generator in self._generators]
        return [self._mixed([own[place] for own in chosen]) for place in range(self._most)]

    def _mixed(self, times: Sequence[int]) -> TokenFrame:
        """A frame made of another one for each sample of the batch."""

        def mix(*tensors: Tensor) -> Tensor:
            return torch.stack([tensors[t][sample] for sample, t in enumerate(times)])

        shared = zip(*(frame.shared for frame in self._frames), strict=True)
        own = zip(*(frame.own for frame in self._frames), strict=True)
        return TokenFrame(tuple(mix(*tensors) for tensors in shared), tuple(mix(*tensors) for tensors in own))

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        """Read with the query key [B, CK, h, w]: [B, K, CV, h, w]."""
        query = query_tokens(key, selection)
        if self._most is None or len(self._keys) <= self._most:
            return as_maps(read_full(query, self.keys, self.values), *key.shape[-2:])
        readouts = []
        for sample, generator in zip(range(key.shape[0]), self._generators, strict=True):
            chosen, own = self._choose(len(self._keys), self._most, generator), slice(sample, sample + 1)
            keys = torch.cat([self._keys[t][own] for t in chosen], 1)
            values = torch.cat([self._values[t][own] for t in chosen], 2)
            readouts.append(read_full(query[own], keys, values))
        return as_maps(torch.cat(readouts), *key.shape[-2:])

    def _choose(self, frames: int, most: int, generator: torch.Generator) -> list[int]:
        """`most` different ones of `frames` frames."""
        if not self._keep_first:
            return torch.randperm(frames, generator=generator)[:most].tolist()
        others = torch.randperm(frames - 1, generator=generator)[: most - 1] + 1
        return [0, *others.tolist()]
