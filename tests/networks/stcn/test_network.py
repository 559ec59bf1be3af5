"""STCN's variants through the interface that training and inference use."""

from itertools import pairwise

import pytest
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.resnet import FrozenBatchNorm
from oneshot_vos.networks.stcn.network import STCN

TINY = {
    "key_block": "basic",
    "key_widths": (8, 16, 24),
    "key_depths": (1, 1, 1),
    "value_widths": (8, 16, 24),
    "value_depths": (1, 1, 1),
    "key_dim": 8,
    "value_dim": 16,
    "decoder_dims": (16, 12, 8),
    "norm": "group",
}


def walk(network: STCN, frames: torch.Tensor, masks: torch.Tensor, present: torch.Tensor) -> list[Prediction]:
    """Predict frames [B, T, 3, H, W] one after another from the masks [B, K, H, W] of the first."""
    memory, predictions = ClipMemory(), []
    features = [network.encode(frame) for frame in frames.unbind(1)]
    state = network.initial_state(features[0], masks.shape[1])
    for here, onward in pairwise(features):
        frame, state = network.memorise(here, masks, state)
        memory.add(frame)
        prediction, state = network.segment(onward, memory, state, masks, present)
        predictions.append(prediction)
        masks = prediction.masks
    return predictions


def clip(batch: int, objects: int, *, frames: int = 3, height: int = 48, width: int = 64):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, objects + 1, (batch, height, width), generator=generator)
    masks = torch.stack([(labels == k).float() for k in range(1, objects + 1)], 1)
    return torch.randn(batch, frames, 3, height, width, generator=generator), labels, masks


def loss_of(predictions: list[Prediction], labels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The loss of predictions against the same classes [B, H, W] in every frame."""
    targets = [labels] * len(predictions)
    return BootstrappedCrossEntropy()(predictions, targets, present, 0, torch.Generator())["total"]


@pytest.mark.parametrize("objects", [1, 2, 3])
@pytest.mark.parametrize("norm", ["group", "frozen_batch"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_small_variants_learn(objects, norm, block):
    network = build_network("stcn", {**TINY, "norm": norm, "key_block": block}).train()
    frames, labels, masks = clip(2, objects)
    present = torch.ones(2, objects)
    predictions = walk(network, frames, masks, present)
    assert predictions[-1].logits.shape == (2, objects + 1, 48, 64)
    assert predictions[-1].masks.shape == (2, objects, 48, 64)
    loss_of(predictions, labels, present).backward()
    missing = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not missing
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_objects_are_interchangeable():
    torch.manual_seed(0)
    network = STCN(**TINY).eval()
    frames, _, masks = clip(1, 3)
    with torch.no_grad():
        straight = walk(network, frames, masks, torch.ones(1, 3))[-1].masks
        turned = walk(network, frames, masks.flip(1), torch.ones(1, 3))[-1].masks
    torch.testing.assert_close(turned.flip(1), straight, atol=1e-5, rtol=1e-4)


def test_absent_object_changes_nothing():
    torch.manual_seed(0)
    network = STCN(**TINY).eval()
    frames, labels, masks = clip(1, 1)
    padded = torch.cat([masks, torch.zeros_like(masks)], 1)
    present = torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        alone = walk(network, frames, masks, torch.ones(1, 1))
        beside = walk(network, frames, padded, present)
    torch.testing.assert_close(beside[-1].masks[:, :1], alone[-1].masks, atol=1e-5, rtol=1e-4)
    assert beside[-1].masks[:, 1].max() < 1e-6
    torch.testing.assert_close(loss_of(beside, labels, present), loss_of(alone, labels, torch.ones(1, 1)))


def test_samples_of_a_batch_are_independent():
    torch.manual_seed(0)
    network = STCN(**TINY).eval()
    frames, _, masks = clip(3, 2)
    with torch.no_grad():
        batched = walk(network, frames, masks, torch.ones(3, 2))[-1].logits
        single = walk(network, frames[1:2], masks[1:2], torch.ones(1, 2))[-1].logits
    torch.testing.assert_close(batched[1:2], single, atol=1e-4, rtol=1e-4)


def test_channels_last_gives_the_same():
    torch.manual_seed(0)
    network = STCN(**TINY).eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        plain = walk(network, frames, masks, torch.ones(1, 2))[-1].logits
        network.to(memory_format=torch.channels_last)
        last = walk(network, frames, masks, torch.ones(1, 2))[-1].logits
    torch.testing.assert_close(last, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_runs_through(autocast):
    torch.manual_seed(0)
    network = STCN(**TINY).eval()
    frames, _, masks = clip(1, 2)
    if not autocast:
        network, frames = network.bfloat16(), frames.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        prediction = walk(network, frames, masks, torch.ones(1, 2))[-1]
    assert prediction.logits.dtype == torch.float32  # the aggregation keeps its precision
    assert prediction.logits.isfinite().all()


def test_single_object_network_has_four_input_channels():
    network = STCN(**TINY, single_object=True)
    assert network.value_encoder.conv1.in_channels == 4
    frames, _, masks = clip(1, 1)
    assert walk(network, frames, masks, torch.ones(1, 1))[-1].masks.shape == (1, 1, 48, 64)


def test_batch_statistics_never_move():
    network = STCN(**{**TINY, "norm": "frozen_batch"}).train()
    frames, labels, masks = clip(2, 1)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    assert any(name.endswith("running_mean") for name in before)
    predictions = walk(network, frames, masks, torch.ones(2, 1))
    loss_of(predictions, labels, torch.ones(2, 1)).backward()
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, before[name], atol=0, rtol=0)
    trained = [module.weight.grad for module in network.modules() if isinstance(module, FrozenBatchNorm)]
    assert all(gradient is not None for gradient in trained)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"norm": "batch"}, "batch"), ({"key_block": "wide"}, "wide"), ({"key_widths": (8, 16)}, "three stages")],
)
def test_wrong_arguments_are_refused(wrong, named):
    with pytest.raises(UserError, match=named):
        STCN(**{**TINY, **wrong})


def test_unknown_network_is_refused():
    with pytest.raises(UserError, match="did you mean 'stcn'"):
        build_network("stcm", {})


def test_an_unknown_hyper_parameter_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"networks\.stcn.*key_width.*key_widths"):
        build_network("stcn", {"key_width": [8, 8, 8]})
