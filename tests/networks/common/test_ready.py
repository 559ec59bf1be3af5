"""The network for inference gives the numbers of the network that was trained."""

import pytest
import torch
from tests.stages.clips import TINY
from torch import nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.networks.common.resnet import FrozenBatchNorm
from oneshot_vos.networks.common.weights import save_weights

CPU = torch.device("cpu")


def trained(model: str, norm: str, block: str) -> tuple[nn.Module, dict[str, object]]:
    """A network whose normalisations do something."""
    key = "pixel_block" if model == "cutie" else "key_block"
    settings = {**TINY[model], "norm": norm, key: block}
    torch.manual_seed(0)
    network = build_network(model, settings).eval()
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
    return network, settings


def second_frame(network, frames: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    memory = ClipMemory()
    with torch.no_grad():
        first, second = (network.encode(frame) for frame in frames)
        frame, state = network.memorise(first, masks, network.initial_state(first, masks.shape[1]))
        memory.add(frame)
        return network.segment(second, memory, state, masks)[0].masks


@pytest.mark.parametrize("model", ["stcn", "xmem", "cutie"])
@pytest.mark.parametrize(
    ("norm", "block"), [("frozen_batch", "basic"), ("frozen_batch", "bottleneck"), ("group", "basic")]
)
def test_the_same_masks_up_to_rounding(model, norm, block, tmp_path):
    network, settings = trained(model, norm, block)
    save_weights(tmp_path / "w.safetensors", network, {})
    ready = load_for_inference(model, settings, tmp_path / "w.safetensors", CPU)
    assert not ready.training
    assert not any(isinstance(module, FrozenBatchNorm) for module in ready.modules())
    frames = torch.randn(2, 1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 2, 32, 48)
    masks[:, 0, 4:20, 4:30], masks[:, 1, 22:30, 10:40] = 1, 1
    expected = second_frame(network, frames, masks)
    assert expected.std() > 0.01
    torch.testing.assert_close(second_frame(ready, frames, masks), expected, atol=1e-4, rtol=1e-4)


def test_weights_that_do_not_fit_are_named(tmp_path):
    network, settings = trained("stcn", "group", "basic")
    save_weights(tmp_path / "w.safetensors", network, {})
    with pytest.raises(UserError, match=r"w\.safetensors: these weights do not fit STCN"):
        load_for_inference("stcn", {**settings, "value_dim": 16}, tmp_path / "w.safetensors", CPU)
