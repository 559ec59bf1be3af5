"""What a tracker hands to a recurrent network and keeps of it, told by a network that only takes notes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.inference.notes import Notes
from tests.inference.official import CutieTracker
from tests.stages.clips import TINY
from torch import Tensor

from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, ObjectTracker, predict_frames
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.networks.xmem.network import XMem
from oneshot_vos.videos.images import normalise

SIZE = (32, 48)
NewTracker = Callable[[Network, int, InferenceSettings], ObjectTracker]


def squares(*channels: int, left: int = 0, size: tuple[int, int] = SIZE) -> Annotation:
    """Masks of 16 x 16 pixels, side by side."""
    masks = torch.zeros(len(channels), *size)
    for place in range(len(channels)):
        masks[place, :16, left + 16 * place : left + 16 * place + 16] = 1
    return Annotation(channels, masks)


def clip(frames: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(frames, 3, *size, generator=torch.Generator().manual_seed(3))


def still(frames: int) -> Tensor:
    """The same frame over and over: what a position reads is what was there."""
    return clip(1).expand(frames, -1, -1, -1)


def track(
    network: Network,
    given: dict[int, Annotation],
    settings: InferenceSettings,
    *,
    frames: int = 6,
    removed: dict[int, list[int]] | None = None,
    images: Tensor | None = None,
    objects: int = 3,
    new_tracker: NewTracker = ObjectTracker,
) -> list[Tensor]:
    images = clip(frames) if images is None else images
    rule = network.updates_memory_frames
    steps = plan_frames(range(len(images)), given, settings, recurrent=True, updates_memory_frames=rule)
    tracker, results = new_tracker(network.eval(), objects, settings), []
    for step in steps:
        tracker.remove((removed or {}).get(step.index, []))
        results.append(tracker.advance(step, images[step.index], given.get(step.index)))
    return results


def test_the_state_moves_on_as_planned() -> None:
    network = Notes()
    track(network, {0: squares(1)}, InferenceSettings(memory_every=2, stagger_updates=1, deep_update_every=3), frames=8)
    # frame 1 decodes, frame 2 is memorised, frame 3 decodes, frame 4 takes a deep update, ...
    assert [call["state"] for call in network.decoded] == [[100], [101], [101], [102], [202], [203], [203]]
    assert network.memorised == [[0], [101], [102], [203]]


def test_a_frame_gets_the_masks_of_the_one_before() -> None:
    network = Notes()
    results = track(network, {0: squares(1, 2), 3: squares(3)}, InferenceSettings(memory_every=2))
    for t, call in enumerate(network.decoded, 1):
        channels = [1, 2] if t < 4 else [1, 2, 3]
        assert call["means"] == pytest.approx(results[t - 1][channels].mean((1, 2)).tolist())


def test_summaries_reach_the_network() -> None:
    network = Notes()
    track(network, {0: squares(1), 3: squares(2)}, InferenceSettings(memory_every=2, object_chunk=1))
    assert [call["summary"] for call in network.decoded] == [[1], [1], [2], [3], [1], [3], [1]]


def test_masks_for_some_known_objects_leave_the_others_predicted() -> None:
    network = Notes()
    results = track(network, {0: squares(1, 2), 2: squares(2, left=32)}, InferenceSettings(), images=still(6))
    labels = results[2].argmax(0)
    assert (labels[:16, 32:] == 2).all()
    assert (labels == 1).any()
    assert (labels[16:] != 2).all()
    assert len(network.decoded) == 5


def test_a_removed_object_is_forgotten_and_starts_anew() -> None:
    network = Notes()
    given = {0: squares(1, 2), 5: squares(1)}
    results = track(network, given, InferenceSettings(memory_every=2), images=still(8), removed={3: [1]})
    assert [result[1].max() > 0.5 for result in results] == [True, True, True, False, False, True, True, True]
    assert not results[3][1].any()
    states = [call["state"] for call in network.decoded]
    assert states == [[100] * 2, [101] * 2, [202], [203], [304], [405, 100], [406, 101]]
    summaries = [call["summary"] for call in network.decoded]
    assert summaries == [[1, 1], [1, 1], [2], [2], [3], [4, 1], [4, 1]]
    assert [len(call["means"]) for call in network.decoded] == [2, 2, 1, 1, 1, 2, 2]
    assert network.decoded[2]["means"] == pytest.approx([results[2][2].mean().item()])


def test_officially_removed_objects_leave_their_summary_and_their_mask_behind() -> None:
    network = Notes()
    given = {0: squares(1, 2), 5: squares(1)}
    settings = InferenceSettings(memory_every=2)
    results = track(network, given, settings, frames=8, removed={3: [1]}, new_tracker=CutieTracker)
    assert network.decoded[2]["means"] == pytest.approx([results[2][1].mean().item()])  # that of object 1, for object 2
    assert [call["summary"] for call in network.decoded[-2:]] == [[4], [3]]  # 2 of before, 1 of frame 5


def test_when_all_objects_are_removed_nothing_is_computed_until_one_comes() -> None:
    for new_tracker in (ObjectTracker, CutieTracker):
        network = Notes()
        settings = InferenceSettings(memory_every=2)
        given = {0: squares(1, 2), 4: squares(2)}
        results = track(network, given, settings, removed={2: [1, 2]}, new_tracker=new_tracker)
        assert len(network.decoded) == 2
        assert network.decoded[1]["state"] == [100]
        for t in (2, 3):
            assert not results[t].argmax(0).any()


def test_unknown_objects_cannot_be_removed() -> None:
    with pytest.raises(ValueError, match="object 3 is not known"):
        track(Notes(), {0: squares(1)}, InferenceSettings(), removed={1: [3]})


def test_groups_are_decoded_apart_only_where_that_is_official() -> None:
    given = {0: squares(1, 2), 2: squares(3)}
    for new_tracker, chunk, sizes in (
        (ObjectTracker, None, [2, 2, 3]),
        (CutieTracker, None, [2, 2, 2, 1]),
        (CutieTracker, 1, [1] * 7),
    ):
        network = Notes()
        track(network, given, InferenceSettings(object_chunk=chunk), frames=4, new_tracker=new_tracker)
        assert [len(call["state"]) for call in network.decoded] == sizes


def test_a_frame_that_lists_all_objects_and_a_new_one_is_decoded_only_where_that_is_official() -> None:
    for new_tracker, states in ((ObjectTracker, [100, 0]), (CutieTracker, [101, 0])):
        network = Notes()
        given = {0: squares(1), 1: squares(1, 2)}
        track(network, given, InferenceSettings(), frames=2 + 1, new_tracker=new_tracker)
        assert len(network.memorised) == 2
        assert network.memorised[1] == states


def test_the_border_is_black_where_a_network_wants_it() -> None:
    for wanted in (False, True):
        network = Notes(black_border=wanted)
        track(network, {0: squares(1, size=(30, 48))}, InferenceSettings(), images=clip(2, (30, 48)))
        black = torch.from_numpy(normalise(np.zeros((1, 1, 3), np.uint8))).flatten()
        for row in (0, -1):
            corner = network.images[0][0, :, row, 0]
            torch.testing.assert_close(corner, black if wanted else torch.zeros(3))


@pytest.fixture(scope="module")
def tiny_xmem() -> XMem:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return XMem(**{**TINY["xmem"], "hidden_dim": 4, "decoder_dims": (16, 16, 16)}).eval()


LONG_TERM = LongTerm(max_frames=3, min_frames=2, prototypes=4, max_elements=9)


@pytest.mark.parametrize("long_term", [None, LONG_TERM], ids=["frames", "long-term"])
@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_do_not_change_what_xmem_says(tiny_xmem: XMem, chunk: int, long_term: LongTerm | None) -> None:
    given = {0: squares(1, 2), 3: squares(3, left=32)}
    whole = InferenceSettings(memory_every=1, top_k=4, long_term=long_term)
    parts = InferenceSettings(memory_every=1, top_k=4, long_term=long_term, object_chunk=chunk)
    one, other = (track(tiny_xmem, given, settings, frames=9) for settings in (whole, parts))
    torch.testing.assert_close(torch.stack(one), torch.stack(other), rtol=1e-3, atol=1e-4)


def test_objects_of_a_late_start_are_as_good_as_early_ones(tiny_xmem: XMem) -> None:
    """With long-term memory too, an object's masks do not depend on what was before it in the video."""
    settings = InferenceSettings(memory_every=1, top_k=6, long_term=LONG_TERM)
    images = clip(14)
    late = track(tiny_xmem, {0: squares(1), 5: squares(1, 2)}, settings, images=images, removed={6: [1]}, objects=2)
    fresh = track(tiny_xmem, {0: squares(1, 2)}, settings, images=images[5:], removed={1: [1]}, objects=2)
    torch.testing.assert_close(torch.stack(late[5:]), torch.stack(fresh), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("long_term", [None, LONG_TERM], ids=["frames", "long-term"])
def test_both_orientations_count_alike(tiny_xmem: XMem, long_term: LongTerm | None) -> None:
    """With `flip`, the mirrored video gives the mirrored masks, so that a symmetric one gives symmetric masks."""
    settings = InferenceSettings(memory_every=2, top_k=4, flip=True, long_term=long_term)
    images, given = clip(8), squares(1, 2)
    straight = torch.stack(track(tiny_xmem, {0: given}, settings, images=images))
    turned = Annotation(given.channels, given.masks.flip(-1))
    mirrored = torch.stack(track(tiny_xmem, {0: turned}, settings, images=images.flip(-1)))
    torch.testing.assert_close(mirrored.flip(-1), straight, rtol=1e-3, atol=1e-4)
    once = torch.stack(track(tiny_xmem, {0: given}, InferenceSettings(memory_every=2, top_k=4), images=images))
    assert (once - straight).abs().max() > 1e-4
    torch.testing.assert_close(straight.sum(1), torch.ones_like(straight[:, 0]))
    symmetric = Annotation((1,), squares(1, left=16).masks)
    result = torch.stack(track(tiny_xmem, {0: symmetric}, settings, images=images + images.flip(-1)))
    torch.testing.assert_close(result.flip(-1), result, rtol=1e-3, atol=1e-4)


def test_an_internal_size_is_that_of_resized_frames(tiny: STCN) -> None:
    images, given = clip(4, (48, 96)), squares(1, 2, size=(48, 96))
    inside = InferenceSettings(memory_every=1, top_k=4, internal_size=32)
    results = track(tiny, {0: given}, inside, images=images)
    small = torch.nn.functional.interpolate(images, size=(32, 64), mode="bilinear")
    masks = torch.nn.functional.interpolate(given.masks[None], size=(32, 64), mode="nearest-exact")[0]
    expected = track(
        tiny, {0: Annotation(given.channels, masks)}, InferenceSettings(memory_every=1, top_k=4), images=small
    )
    expected = torch.nn.functional.interpolate(torch.stack(expected), size=(48, 96), mode="bilinear")
    torch.testing.assert_close(torch.stack(results), expected)
    larger = InferenceSettings(memory_every=1, top_k=4, internal_size=48)
    assert track(tiny, {0: given}, larger, images=images)[3].shape == (4, 48, 96)


def test_distant_keys_give_finite_masks(tiny_xmem: XMem) -> None:
    images = clip(6)
    images[3:] *= 1e4
    settings = InferenceSettings(memory_every=1, top_k=4, long_term=LONG_TERM)
    for probabilities in track(tiny_xmem, {0: squares(1)}, settings, images=images):
        assert probabilities.isfinite().all()


@pytest.mark.parametrize("size", [(16, 16), (17, 40)])
def test_small_images_with_long_term_memory(tiny_xmem: XMem, size: tuple[int, int]) -> None:
    """Fewer positions than `top_k` and than prototypes."""
    settings = InferenceSettings(memory_every=1, top_k=30, long_term=LongTerm(max_frames=3, min_frames=2))
    given = Annotation((1,), torch.ones(1, *size))
    for probabilities in track(tiny_xmem, {0: given}, settings, images=clip(8, size)):
        assert probabilities.isfinite().all()
        assert probabilities.shape == (4, *size)


def test_bfloat16_stays_near(tiny_xmem: XMem) -> None:
    settings = InferenceSettings(memory_every=1, top_k=4, long_term=LONG_TERM, flip=True)
    steps = plan_frames(range(6), [0], settings, recurrent=True, updates_memory_frames=False)
    exact, half = (
        dict(predict_frames(tiny_xmem, steps, clip(6), lambda _: squares(1), 1, settings, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert max((exact[t] - half[t]).abs().max() for t in exact) < 0.1
