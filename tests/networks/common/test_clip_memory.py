"""The memory of a training clip: which frames a read sees, and what the memory adds up."""

import pytest
import torch

from oneshot_vos.networks.common.interface import MemoryFrame
from oneshot_vos.networks.common.memory import ClipMemory, read_full


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def fill(memory: ClipMemory, frames: int, seed: int = 0) -> ClipMemory:
    """Add frames of one position, batch 2, whose value and summary are the frame's number."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(frames):
        key = torch.randn(2, 4, 1, 1, generator=generator)
        value = torch.full((2, 1, 1, 1, 1), float(number))
        memory.add(MemoryFrame(key, None, None, value, torch.full((2, 1), float(number))))
    return memory


def test_summaries_add_up():
    assert ClipMemory().summary is None
    torch.testing.assert_close(fill(ClipMemory(), 4).summary, torch.full((2, 1), 6.0))


@pytest.mark.parametrize("keep_first", [True, False])
def test_reads_some_frames_of_each_sample(generator, keep_first, monkeypatch):
    read: list[list[float]] = []

    def spy(query, memory, values):
        read.append(values[0, 0, :, 0].tolist())
        return read_full(query, memory, values)

    memory = fill(ClipMemory(most=3, keep_first=keep_first, generators=[generator] * 2), 6)
    monkeypatch.setattr("oneshot_vos.networks.common.memory.read_full", spy)
    for _ in range(20):
        assert memory.read(torch.randn(2, 4, 1, 1, generator=generator), None).shape == (2, 1, 1, 1, 1)
    assert len(read) == 40
    assert all(len(set(frames)) == 3 for frames in read)
    assert all(frames[0] == 0 for frames in read) == keep_first
    assert any(first != second for first, second in zip(read[::2], read[1::2], strict=True))
    assert {number for frames in read for number in frames} == set(range(6))


def test_reads_every_frame_up_to_the_limit(generator):
    query = torch.randn(2, 4, 1, 1, generator=generator)
    limited = fill(ClipMemory(most=3, generators=[generator] * 2), 3).read(query, None)
    unlimited = fill(ClipMemory(), 3).read(query, None)
    torch.testing.assert_close(limited, unlimited, atol=0, rtol=0)
