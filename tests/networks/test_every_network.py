"""What holds for every network, through the interface that training and inference use."""

import pytest
import torch
from tests.networks.walks import TINY, clip, loss_of, tiny, walk

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.resnet import FrozenBatchNorm

every_network = pytest.mark.parametrize("name", TINY)


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, {}) for name in TINY),
        ("stcn", {"norm": "frozen_batch"}),
        ("stcn", {"norm": "frozen_batch", "key_block": "bottleneck"}),
        ("xmem", {"norm": "frozen_batch", "key_block": "bottleneck"}),
        ("xmem", {"hidden_dim": 0}),
        ("cutie", {"norm": "frozen_batch", "pixel_block": "bottleneck"}),
    ],
)
def test_small_variants_learn(name, change, objects):
    network = tiny(name, **change).train()
    frames, labels, masks = clip(2, objects)
    predictions = walk(network, frames, masks)
    assert predictions[-1].logits.shape == (2, objects + 1, 48, 64)
    assert predictions[-1].masks.shape == (2, objects, 48, 64)
    # The last frame alone, as in one-shot training of recurrent networks: all that led to it learns.
    loss_of(name, predictions[-1:], labels).backward()
    for place, parameter in network.named_parameters():
        assert parameter.grad is not None, place
        assert parameter.grad.isfinite().all(), place
        assert parameter.grad.abs().sum() > 0 or ".mlp." in place, place  # one of its few hidden units may be off


@pytest.mark.parametrize(("name", "part"), [("xmem", "decoder.hidden_update."), ("cutie", "mask_decoder.sensory_up")])
def test_two_steps_fill_what_one_step_leaves_empty(name, part):
    """With two frames the decoder's update of the state is never used; this is why one-step training is refused."""
    network = tiny(name).train()
    frames, labels, masks = clip(1, 1, frames=2)
    loss_of(name, walk(network, frames, masks), labels).backward()
    empty = {place for place, parameter in network.named_parameters() if parameter.grad is None}
    assert empty
    assert all(place.startswith(part) for place in empty)


@every_network
def test_objects_are_interchangeable(name):
    network = tiny(name).eval()
    frames, _, masks = clip(1, 3)
    with torch.no_grad():
        straight = walk(network, frames, masks)[-1].masks
        turned = walk(network, frames, masks.flip(1))[-1].masks
    torch.testing.assert_close(turned.flip(1), straight, atol=1e-5, rtol=1e-4)


@every_network
def test_absent_object_changes_nothing(name):
    network = tiny(name).train()
    frames, labels, masks = clip(1, 1)
    padded, present = torch.cat([masks, torch.zeros_like(masks)], 1), torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        alone, beside = walk(network, frames, masks), walk(network, frames, padded, present)
    torch.testing.assert_close(beside[-1].masks[:, :1], alone[-1].masks, atol=1e-5, rtol=1e-4)
    assert beside[-1].masks[:, 1].max() < 1e-6
    if name != "xmem":  # whose Dice is a mean over all objects, absent ones included
        own, padded_loss = loss_of(name, alone, labels), loss_of(name, beside, labels, present)
        torch.testing.assert_close(padded_loss, own, atol=1e-4, rtol=1e-4)


@every_network
def test_samples_of_a_batch_are_independent(name):
    network = tiny(name).eval()
    frames, _, masks = clip(3, 2)
    with torch.no_grad():
        batched = walk(network, frames, masks)[-1].logits
        single = walk(network, frames[1:2], masks[1:2])[-1].logits
    torch.testing.assert_close(batched[1:2], single, atol=1e-4, rtol=1e-4)


@every_network
def test_channels_last_gives_the_same(name):
    network = tiny(name).eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        plain = walk(network, frames, masks)[-1].logits
        last = walk(network.to(memory_format=torch.channels_last), frames, masks)[-1].logits
    torch.testing.assert_close(last, plain, atol=1e-4, rtol=1e-4)


@every_network
def test_batch_statistics_never_move(name):
    network = tiny(name, norm="frozen_batch").train()
    frames, labels, masks = clip(2, 1)
    before = {place: buffer.clone() for place, buffer in network.named_buffers()}
    assert any(place.endswith("running_mean") for place in before)
    loss_of(name, walk(network, frames, masks), labels).backward()
    for place, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, before[place], atol=0, rtol=0)
    assert all(norm.weight.grad is not None for norm in network.modules() if isinstance(norm, FrozenBatchNorm))


@pytest.mark.parametrize(
    ("name", "wrong", "named"),
    [
        *((name, {"norm": "batch"}, "batch") for name in TINY),
        *((name, {"key_block": "wide"}, "wide") for name in ("stcn", "xmem")),
        *((name, {"key_widths": (8, 16)}, "three stages") for name in ("stcn", "xmem")),
        ("xmem", {"decoder_dims": (16, 12)}, "decoder_dims.*three numbers"),
        ("xmem", {"decoder_dims": (16, 0, 8)}, "decoder_dims 0"),
        ("xmem", {"value_dim": 0}, "value_dim 0"),
        ("xmem", {"key_dim": -1}, "key_dim -1"),
        ("xmem", {"hidden_dim": -4}, "hidden_dim -4"),
        ("cutie", {"pixel_block": "wide"}, "wide"),
        ("cutie", {"mask_widths": (8, 16)}, "three stages"),
        ("cutie", {"queries": 5}, "queries 5"),
        ("cutie", {"heads": 3}, "3 heads"),
        ("cutie", {"transformer_blocks": 0}, "0 transformer_blocks"),
        ("cutie", {"value_dim": 18, "decoder_dims": (18, 8, 8)}, "value_dim 18"),
        ("cutie", {"decoder_dims": (12, 12, 8)}, r"decoder_dims \[12, 12, 8\].*16"),
        ("cutie", {"decoder_dims": (16, 8)}, r"decoder_dims \[16, 8\]"),
        ("stcn", {"key_width": [8, 8, 8]}, r"networks\.stcn.*key_width.*key_widths"),
    ],
)
def test_wrong_arguments_are_refused(name, wrong, named):
    with pytest.raises(UserError, match=named):
        tiny(name, **wrong)


def test_unknown_network_is_refused():
    with pytest.raises(UserError, match="did you mean 'stcn'"):
        build_network("stcm", {})
