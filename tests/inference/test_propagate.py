from collections.abc import Sequence

import pytest
import torch
from tests.inference.notes import Notes
from torch import Tensor

from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.stcn.network import STCN


def clip(frames: int, height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(frames, 3, height, width, generator=torch.Generator().manual_seed(7))


def given(height: int, width: int, *channels: int) -> Annotation:
    masks = torch.zeros(len(channels), height, width)
    for place, channel in enumerate(channels):
        masks[place, 4 : height - 4, (5 * channel) % (width - 8) : (5 * channel) % (width - 8) + 6] = 1
    taken = masks.cumsum(0) - masks > 0  # one object per pixel
    return Annotation(channels, masks.masked_fill(taken, 0))


def run(
    network: Network,
    images: Tensor,
    annotations: dict[int, Annotation],
    settings: InferenceSettings,
    *,
    required: Sequence[int] | None = None,
) -> dict[int, Tensor]:
    objects = max(channel for annotation in annotations.values() for channel in annotation.channels)
    steps = plan_frames(range(len(images)), annotations, settings, required=required, recurrent=network.recurrent)
    frames = (images[step.index] for step in steps)
    return dict(predict_frames(network, steps, frames, annotations.__getitem__, objects, settings))


def assert_equal(one: dict[int, Tensor], other: dict[int, Tensor]) -> None:
    assert one.keys() == other.keys()
    for t in one:
        torch.testing.assert_close(one[t], other[t], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("last", [False, True])
def test_chunks_do_not_change_the_result(tiny: STCN, chunk: int, last: bool) -> None:
    annotations = {0: given(32, 48, 1, 2, 4), 3: given(32, 48, 3, 5)}
    whole = InferenceSettings(memory_every=2, top_k=5, include_last=last)
    parts = InferenceSettings(memory_every=2, top_k=5, include_last=last, object_chunk=chunk)
    assert_equal(run(tiny, clip(7), annotations, whole), run(tiny, clip(7), annotations, parts))


def test_a_bound_that_is_not_reached_changes_nothing_and_one_that_is_does(tiny: STCN) -> None:
    annotations = {0: given(32, 48, 1, 2)}
    results = [run(tiny, clip(9), annotations, InferenceSettings(2, 5, max_frames=n)) for n in (4, 1000, 2)]
    assert_equal(results[0], results[1])
    assert all(torch.equal(results[0][t], results[2][t]) for t in range(5))  # two memory frames until here
    assert not torch.equal(results[0][8], results[2][8])


def test_fewer_memory_positions_than_top_k(tiny: STCN) -> None:
    annotations = {0: given(16, 16, 1)}
    few = run(tiny, clip(3, 16, 16), annotations, InferenceSettings(top_k=20))
    everything = run(tiny, clip(3, 16, 16), annotations, InferenceSettings(top_k=None))
    assert_equal(few, everything)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 40), (50, 18)])
def test_any_size(tiny: STCN, size: tuple[int, int]) -> None:
    results = run(tiny, clip(3, *size), {0: given(*size, 1, 2)}, InferenceSettings())
    for probabilities in results.values():
        assert probabilities.shape == (3, *size)
        torch.testing.assert_close(probabilities.sum(0), torch.ones(size))


def test_the_given_masks_come_back_and_nothing_does_before_them(tiny: STCN) -> None:
    annotation = given(32, 48, 1, 2)
    results = run(tiny, clip(4), {2: annotation}, InferenceSettings())
    for t in (0, 1):
        assert not results[t].argmax(0).any()
    labels = results[2].argmax(0)
    assert torch.equal(labels == 1, annotation.masks[0] > 0)
    assert torch.equal(labels == 2, annotation.masks[1] > 0)


def test_an_object_that_is_given_again_is_corrected_and_stays_one_object(tiny: STCN) -> None:
    """Giving it again together with all others is the same as starting there, but for the memory of before."""
    first, again = given(32, 48, 1, 2), given(32, 48, 2)
    results = run(tiny, clip(6), {0: first, 3: again}, InferenceSettings(memory_every=2, max_frames=1))
    labels = results[3].argmax(0)
    assert torch.equal(labels == 2, again.masks[0] > 0)
    for probabilities in results.values():
        assert probabilities.shape[0] == 3
        torch.testing.assert_close(probabilities.sum(0), torch.ones(32, 48))
    both = {0: first, 3: given(32, 48, 1, 2)}
    anew = run(tiny, clip(6)[3:], {0: given(32, 48, 1, 2)}, InferenceSettings(memory_every=2, max_frames=1))
    corrected = run(tiny, clip(6), both, InferenceSettings(memory_every=2, max_frames=1))
    assert_equal({t - 3: corrected[t] for t in (3, 4, 5)}, anew)


def test_frames_that_are_not_required_change_nothing(tiny: STCN) -> None:
    annotations = {0: given(32, 48, 1), 4: given(32, 48, 2)}
    settings = InferenceSettings(memory_every=3, top_k=5)
    everything = run(tiny, clip(9), annotations, settings)
    some = run(tiny, clip(9), annotations, settings, required=[2, 5, 8])
    assert_equal(some, {t: everything[t] for t in (2, 5, 8)})


def test_bfloat16_stays_near(tiny: STCN) -> None:
    annotations = {0: given(32, 48, 1, 2)}
    settings = InferenceSettings(memory_every=2)
    exact = run(tiny, clip(5), annotations, settings)
    steps = plan_frames(range(5), annotations, settings)
    half = predict_frames(tiny, steps, clip(5), annotations.__getitem__, 2, settings, dtype=torch.bfloat16)
    for t, probabilities in half:
        assert probabilities.dtype == torch.float32
        assert (probabilities - exact[t]).abs().max() < 0.1


def test_a_recurrent_state_follows_every_object_from_its_own_first_frame() -> None:
    network = Notes()
    annotations = {0: given(32, 48, 2), 2: given(32, 48, 1, 3)}
    run(network, clip(5), annotations, InferenceSettings(memory_every=2), required=[3])
    assert network.memorised == [[0], [102, 0, 0]]  # object 2 first, in the order of appearance
    assert [call["state"] for call in network.decoded] == [[100], [101], [202, 100, 100]]


def test_a_recurrent_state_is_split_and_joined_with_the_chunks() -> None:
    annotations = {0: given(32, 48, 1, 2, 3)}
    whole, parts = Notes(), Notes()
    one = run(whole, clip(6), annotations, InferenceSettings(memory_every=2))
    other = run(parts, clip(6), annotations, InferenceSettings(memory_every=2, object_chunk=2))
    assert_equal(one, other)
    assert [call["state"] for call in parts.decoded[-2:]] == [[304, 304], [304]]
    assert whole.decoded[-1]["state"] == [304, 304, 304]


def test_a_frame_whose_masks_are_all_given_is_not_segmented() -> None:
    network = Notes()
    run(network, clip(3), {0: given(32, 48, 1), 1: given(32, 48, 1, 2)}, InferenceSettings())
    assert (len(network.images), len(network.memorised), len(network.decoded)) == (3, 2, 1)
