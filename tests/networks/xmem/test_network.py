"""XMem's variants through the interface that training and inference use."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.interface import Prediction, State
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.xmem.network import XMem

TINY: dict[str, Any] = {
    "key_block": "basic",
    "key_widths": (8, 16, 24),
    "key_depths": (1, 1, 1),
    "value_widths": (8, 16, 24),
    "value_depths": (1, 1, 1),
    "key_dim": 8,
    "value_dim": 16,
    "hidden_dim": 4,
    "decoder_dims": (16, 12, 8),
    "norm": "group",
}
FIRST = "value_encoder.conv1.weight"


def tiny(**changes: Any) -> XMem:
    torch.manual_seed(0)
    return XMem(**{**TINY, **changes})


def walk(
    network: XMem, frames: Tensor, masks: Tensor, present: Tensor, *, deep: bool = True
) -> tuple[list[Prediction], State]:
    """Predict frames [B, T, 3, H, W] one after another from the masks [B, K, H, W] of the first."""
    memory, predictions = ClipMemory(), []
    features = [network.encode(frame) for frame in frames.unbind(1)]
    state = network.initial_state(features[0], masks.shape[1])
    for number, (here, onward) in enumerate(pairwise(features)):
        frame, state = network.memorise(here, masks, state, deep=deep or number == 0)
        memory.add(frame)
        update = number < len(features) - 2
        prediction, state = network.segment(onward, memory, state, masks, present, update=update)
        predictions.append(prediction)
        masks = prediction.masks
    return predictions, state


def clip(batch: int, objects: int, *, frames: int = 3, height: int = 48, width: int = 64):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, objects + 1, (batch, height, width), generator=generator)
    masks = torch.stack([(labels == k).float() for k in range(1, objects + 1)], 1)
    return torch.randn(batch, frames, 3, height, width, generator=generator), labels, masks


def loss_of(predictions: list[Prediction], labels: Tensor, present: Tensor) -> Tensor:
    """The loss of predictions against the same classes [B, H, W] in every frame."""
    terms = build_loss("xmem", {})(predictions, [labels] * len(predictions), present, 0, torch.Generator())
    total: Tensor = terms["total"]
    return total


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("change", [{}, {"norm": "frozen_batch", "key_block": "bottleneck"}, {"hidden_dim": 0}])
def test_small_variants_learn(objects, change):
    network = build_network("xmem", {**TINY, **change}).train()
    frames, labels, masks = clip(2, objects)
    present = torch.ones(2, objects)
    predictions, _ = walk(network, frames, masks, present)
    assert predictions[-1].logits.shape == (2, objects + 1, 48, 64)
    assert predictions[-1].masks.shape == (2, objects, 48, 64)
    # The last frame alone, as in one-shot training of recurrent networks: all that led to it learns.
    loss_of(predictions[-1:], labels, present).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not without
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or ".mlp." in name, name  # one of its few hidden units may be off


def test_two_steps_fill_what_one_step_leaves_empty():
    """With two frames the decoder's update of the state is never used; this is why one-step training is refused."""
    network = tiny().train()
    frames, labels, masks = clip(1, 1, frames=2)
    predictions, _ = walk(network, frames, masks, torch.ones(1, 1))
    loss_of(predictions, labels, torch.ones(1, 1)).backward()
    empty = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert empty
    assert all(name.startswith("decoder.hidden_update.") for name in empty)


def test_without_sensory_memory_there_is_no_state():
    network = tiny(hidden_dim=0).eval()
    assert not network.recurrent
    assert tiny().recurrent
    frames, _, masks = clip(1, 2)
    _, state = walk(network, frames, masks, torch.ones(1, 2))
    assert state == ()
    assert not [name for name in network.state_dict() if "hidden" in name]


def test_updates_move_the_state_only_when_asked():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    features = network.encode(frames[:, 0])
    (zero,) = start = network.initial_state(features, 2)
    assert zero.shape == (1, 2, 4, 3, 4)
    assert zero.abs().max() == 0
    frame, same = network.memorise(features, masks, start, deep=False)
    deep_frame, deep = network.memorise(features, masks, start, deep=True)
    assert same is start
    assert not torch.equal(deep[0], zero)
    torch.testing.assert_close(deep_frame.value, frame.value)  # values do not depend on the state
    assert frame.shrinkage is not None
    assert frame.selection is not None
    assert frame.shrinkage.min() >= 1
    assert 0 < frame.selection.min() < frame.selection.max() < 1
    memory = ClipMemory()
    memory.add(frame)
    updated, after = network.segment(features, memory, deep, masks)
    kept, before = network.segment(features, memory, deep, masks, update=False)
    torch.testing.assert_close(updated.logits, kept.logits)
    torch.testing.assert_close(before[0], deep[0], atol=0, rtol=0)
    assert not torch.equal(after[0], deep[0])
    other, _ = network.segment(features, memory, start, masks, update=False)
    assert not torch.allclose(other.logits, kept.logits, atol=1e-4)  # predictions depend on the state


def test_objects_are_interchangeable():
    network = tiny().eval()
    frames, _, masks = clip(1, 3)
    with torch.no_grad():
        straight = walk(network, frames, masks, torch.ones(1, 3))[0][-1].masks
        turned = walk(network, frames, masks.flip(1), torch.ones(1, 3))[0][-1].masks
    torch.testing.assert_close(turned.flip(1), straight, atol=1e-5, rtol=1e-4)


def test_absent_object_changes_nothing():
    network = tiny().eval()
    frames, _, masks = clip(1, 1)
    padded = torch.cat([masks, torch.zeros_like(masks)], 1)
    with torch.no_grad():
        alone, (state_alone,) = walk(network, frames, masks, torch.ones(1, 1))
        beside, (state_beside,) = walk(network, frames, padded, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(beside[-1].masks[:, :1], alone[-1].masks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state_beside[:, :1], state_alone, atol=1e-5, rtol=1e-4)
    assert beside[-1].masks[:, 1].max() < 1e-6


def test_samples_of_a_batch_are_independent():
    network = tiny().eval()
    frames, _, masks = clip(3, 2)
    with torch.no_grad():
        batched = walk(network, frames, masks, torch.ones(3, 2))[0][-1].logits
        single = walk(network, frames[1:2], masks[1:2], torch.ones(1, 2))[0][-1].logits
    torch.testing.assert_close(batched[1:2], single, atol=1e-4, rtol=1e-4)


def test_channels_last_gives_the_same():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        plain = walk(network, frames, masks, torch.ones(1, 2))[0][-1].logits
        network.to(memory_format=torch.channels_last)
        last = walk(network, frames, masks, torch.ones(1, 2))[0][-1].logits
    torch.testing.assert_close(last, plain, atol=1e-4, rtol=1e-4)


def test_autocast_keeps_state_and_aggregation_in_float32():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        predictions, (state,) = walk(network, frames, masks, torch.ones(1, 2))
    assert state.dtype == predictions[-1].logits.dtype == torch.float32
    assert predictions[-1].logits.isfinite().all()


def test_batch_statistics_never_move():
    network = tiny(norm="frozen_batch").train()
    frames, _, masks = clip(2, 1)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    assert any(name.endswith("running_mean") for name in before)
    walk(network, frames, masks, torch.ones(2, 1))
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, before[name], atol=0, rtol=0)


def test_single_object_weights():
    single, evaluation, training = tiny(single_object=True), tiny(), tiny()
    frames, _, masks = clip(1, 1)
    load_official(evaluation, single.state_dict())
    load_official(training, single.state_dict(), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = walk(single, frames, masks, torch.ones(1, 1))[0][-1].masks
        for network in (evaluation, training):  # a single object has no others
            torch.testing.assert_close(walk(network, frames, masks, torch.ones(1, 1))[0][-1].masks, expected)
    assert evaluation.state_dict()[FIRST][:, 4].abs().max() == 0
    added = training.state_dict()[FIRST][:, 4].flatten(1)
    torch.testing.assert_close(added @ added.T, torch.eye(len(added)), atol=1e-5, rtol=0)


def test_weights_of_the_variant_without_sensory_memory_are_refused():
    with pytest.raises(UserError, match=r"missing: value_encoder\.hidden_reinforce.*of another shape"):
        load_official(tiny(), tiny(hidden_dim=0).state_dict())


def test_initial_values():
    network = XMem(**{**TINY, "key_widths": (8, 16, 64)})
    key = network.key_proj.key_proj
    rows = key.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
    assert key.bias is not None
    assert key.bias.abs().max() == 0
    reinforce = network.value_encoder.hidden_reinforce
    assert reinforce is not None
    weight = reinforce.transform.weight
    fans = 9 * (weight.shape[0] + weight.shape[1])
    assert weight.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.1)  # Xavier, normal


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"norm": "batch"}, "batch"),
        ({"key_block": "wide"}, "wide"),
        ({"key_widths": (8, 16)}, "three stages"),
        ({"decoder_dims": (16, 12)}, "decoder_dims.*three numbers"),
        ({"decoder_dims": (16, 0, 8)}, "decoder_dims 0"),
        ({"value_dim": 0}, "value_dim 0"),
        ({"key_dim": -1}, "key_dim -1"),
        ({"hidden_dim": -4}, "hidden_dim -4"),
    ],
)
def test_wrong_arguments_are_refused(wrong, named):
    with pytest.raises(UserError, match=named):
        tiny(**wrong)
