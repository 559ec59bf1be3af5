"""Reading the memory: equal forms give equal numbers, and no input breaks it."""

import pytest
import torch
from tests.networks.top_k import read_top_k

from oneshot_vos.networks.common.interface import MemoryFrame
from oneshot_vos.networks.common.memory import (
    _SCORES_AT_ONCE,
    ClipMemory,
    as_maps,
    find_winners,
    memory_tokens,
    query_tokens,
    read_full,
    read_fused,
    score_blocks,
    similarity,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_similarity_is_the_negative_distance(generator):
    key, query = torch.randn(2, 2, 8, 3, 4, generator=generator)
    expected = -(key.flatten(2).unsqueeze(2) - query.flatten(2).unsqueeze(3)).square().sum(1)
    expected += query.flatten(2).square().sum(1).unsqueeze(2)  # the term that a softmax cannot see
    actual = similarity(query_tokens(query), memory_tokens(key))
    torch.testing.assert_close(actual, expected / 8**0.5, atol=1e-5, rtol=1e-5)


def test_similarity_with_shrinkage_and_selection(generator):
    key, query, selection = torch.rand(3, 2, 8, 3, 4, generator=generator)
    shrinkage = 1 + torch.rand(2, 1, 3, 4, generator=generator)
    difference = key.flatten(2).unsqueeze(2) - query.flatten(2).unsqueeze(3)  # B CK M N
    weighted = (selection.flatten(2).unsqueeze(3) * difference.square()).sum(1)
    expected = -shrinkage.flatten(2) * weighted / 8**0.5
    actual = similarity(query_tokens(query, selection), memory_tokens(key, shrinkage))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("k", [24, 100])
def test_top_k_of_the_whole_memory_is_the_full_read(generator, k):
    query, memory = torch.randn(2, 2, 24, 9, generator=generator)
    values = torch.randn(2, 3, 24, 5, generator=generator)
    full = read_full(query[:, :10], memory, values)
    torch.testing.assert_close(read_top_k(query[:, :10], memory, values, k), full, atol=1e-6, rtol=1e-5)


def test_top_k_reads_the_most_similar_alone(generator):
    query, memory = torch.randn(1, 4, 9, generator=generator), torch.randn(1, 50, 9, generator=generator)
    values = torch.randn(1, 2, 50, 3, generator=generator)
    scores = similarity(query, memory)
    losers = scores < scores.topk(7).values.min(-1, keepdim=True).values
    expected = scores.masked_fill(losers, -torch.inf).softmax(-1).unsqueeze(1) @ values
    torch.testing.assert_close(read_top_k(query, memory, values, 7), expected, atol=1e-6, rtol=1e-5)


def test_top_k_in_chunks_of_queries_is_the_same(generator, monkeypatch):
    query, memory = torch.randn(1, 30, 9, generator=generator), torch.randn(1, 40, 9, generator=generator)
    values = torch.randn(1, 2, 40, 3, generator=generator)
    whole = read_top_k(query, memory, values, 5)
    monkeypatch.setitem(_SCORES_AT_ONCE, "cpu", 7 * 40)
    torch.testing.assert_close(read_top_k(query, memory, values, 5), whole)


@pytest.mark.parametrize("width", [8, 9])
def test_the_fused_read_is_the_full_read_and_passes_the_same_gradients(generator, width):
    query, memory = (torch.randn(2, n, width, generator=generator) for n in (7, 11))
    inputs = [tensor.requires_grad_() for tensor in (query, memory, torch.randn(2, 3, 11, 5, generator=generator))]
    results = []
    for read in (read_full, read_fused):
        readout = read(*inputs)
        results.append([readout, *torch.autograd.grad(readout.square().sum(), inputs)])
    for full, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, full, atol=1e-5, rtol=1e-4)


def test_scores_are_computed_for_some_queries_at_a_time(generator, monkeypatch):
    query, memory = torch.randn(1, 10, 4, generator=generator), torch.randn(1, 5, 4, generator=generator)
    monkeypatch.setitem(_SCORES_AT_ONCE, "cpu", 15)
    blocks = list(score_blocks(query, memory))
    assert [block.shape[1] for block in blocks] == [3, 3, 3, 1]
    torch.testing.assert_close(torch.cat(blocks, 1), similarity(query, memory))


def test_very_negative_scores_have_winners_with_finite_weights():
    winners = find_winners(torch.tensor([[-1e30, -3e30, -2e30, -9e37]]), 2)
    assert sorted(winners.positions[0].tolist()) == [0, 2]
    assert winners.weights.sum() == 1


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_keys_give_finite_readouts(generator, scale, dtype):
    key, query = (scale * torch.randn(2, 1, 16, 4, 4, generator=generator)).to(dtype)
    values = torch.randn(1, 2, 16, 6, generator=generator).to(dtype)
    for readout in (
        read_full(query_tokens(query), memory_tokens(key), values),
        read_top_k(query_tokens(query), memory_tokens(key), values, 3),
    ):
        assert readout.dtype == dtype
        assert readout.isfinite().all()
        assert readout.abs().max() <= values.abs().max() * 1.02  # a weighted mean; bfloat16 rounds


def test_autocast_leaves_the_similarity_in_float32(generator):
    key, query = torch.randn(2, 1, 16, 4, 4, generator=generator)
    expected = similarity(query_tokens(query), memory_tokens(key))
    with torch.autocast("cpu", torch.bfloat16):
        actual = similarity(query_tokens(query), memory_tokens(key))
    torch.testing.assert_close(actual, expected, atol=0, rtol=0)


def test_clip_memory_reads_all_frames_and_passes_gradients(generator):
    memory = ClipMemory()
    frames = [torch.randn(2, 4, 3, 5, generator=generator, requires_grad=True) for _ in range(2)]
    values = [torch.randn(2, 3, 6, 3, 5, generator=generator, requires_grad=True) for _ in range(2)]
    for key, value in zip(frames, values, strict=True):
        memory.add(MemoryFrame(key, None, None, value, None))
    query = torch.randn(2, 4, 3, 5, generator=generator, requires_grad=True)
    readout = memory.read(query, None)
    assert readout.shape == (2, 3, 6, 3, 5)
    assert memory.keys.shape == (2, 30, 5)
    readout.square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in [query, *frames, *values])


def test_as_maps_restores_the_order_of_positions():
    maps = torch.arange(24.0).view(1, 1, 2, 3, 4)
    torch.testing.assert_close(as_maps(maps.flatten(-2).transpose(-1, -2), 3, 4), maps)
