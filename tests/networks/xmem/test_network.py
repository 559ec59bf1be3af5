"""What is XMem's own; tests/networks/test_every_network.py has what it shares with the others."""

import pytest
import torch
from tests.networks.walks import clip, tiny, walk

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.official import load_official

FIRST = "value_encoder.conv1.weight"


def step(network, frames, masks):
    """The second frame's prediction from the first, and the state then; an object without a mask is absent."""
    first, second = (network.encode(frames[:, t]) for t in range(2))
    memory = ClipMemory()
    frame, state = network.memorise(first, masks, network.initial_state(first, masks.shape[1]))
    memory.add(frame)
    return network.segment(second, memory, state, masks, masks.flatten(2).any(-1).float())


def test_without_sensory_memory_there_is_no_state():
    network = tiny("xmem", hidden_dim=0).eval()
    assert not network.recurrent
    assert tiny("xmem").recurrent
    frames, _, masks = clip(1, 2)
    assert step(network, frames, masks)[1] == ()
    assert not [name for name in network.state_dict() if "hidden" in name]


def test_updates_move_the_state_only_when_asked():
    network = tiny("xmem").eval()
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


def test_autocast_keeps_state_and_aggregation_in_float32():
    network = tiny("xmem").eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        prediction, (state,) = step(network, frames, masks)
    assert state.dtype == prediction.logits.dtype == torch.float32
    assert prediction.logits.isfinite().all()


def test_an_absent_object_leaves_the_state_of_others():
    network = tiny("xmem").eval()
    frames, _, masks = clip(1, 1)
    padded = torch.cat([masks, torch.zeros_like(masks)], 1)
    with torch.no_grad():
        (alone,), (beside,) = (step(network, frames, each)[1] for each in (masks, padded))
    torch.testing.assert_close(beside[:, :1], alone, atol=1e-5, rtol=1e-4)


def test_single_object_weights():
    single, evaluation, training = tiny("xmem", single_object=True), tiny("xmem"), tiny("xmem")
    frames, _, masks = clip(1, 1)
    load_official(evaluation, single.state_dict())
    load_official(training, single.state_dict(), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = walk(single, frames, masks)[-1].masks
        for network in (evaluation, training):  # a single object has no others
            torch.testing.assert_close(walk(network, frames, masks)[-1].masks, expected)
    assert evaluation.state_dict()[FIRST][:, 4].abs().max() == 0
    added = training.state_dict()[FIRST][:, 4].flatten(1)
    torch.testing.assert_close(added @ added.T, torch.eye(len(added)), atol=1e-5, rtol=0)


def test_weights_of_the_variant_without_sensory_memory_are_refused():
    with pytest.raises(UserError, match=r"missing: value_encoder\.hidden_reinforce.*of another shape"):
        load_official(tiny("xmem"), tiny("xmem", hidden_dim=0).state_dict())


def test_initial_values():
    network = tiny("xmem", key_widths=(8, 16, 64))
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
