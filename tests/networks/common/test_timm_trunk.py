"""Backbones of timm as trunks: their maps, their rates, their ImageNet weights, folded for inference."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from tests.stages.clips import TINY
from torch import nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.imagenet import load_imagenet, locate
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.ready import fold_norms
from oneshot_vos.networks.common.timm_trunk import TimmTrunk

LITE = "tf_efficientnet_lite0"


def build(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    trunks = {"trunk": {"name": LITE, "rate": 0.1}, "value_trunk": {"name": LITE, "rate": 0.5}}
    return build_network(name, TINY[name] | trunks | more)


@pytest.mark.parametrize("name", TINY)
def test_every_network_runs_on_it_and_learns_at_its_rates(name: str) -> None:
    network = build(name)
    image, masks = torch.randn(1, 3, 64, 96), (torch.rand(1, 2, 64, 96) > 0.5).float()
    features = network.encode(image)
    memory = ClipMemory(most=None, keep_first=True, generators=[torch.Generator()])
    frame, state = network.memorise(features, masks, network.initial_state(features, 2))
    memory.add(frame)
    prediction, _ = network.segment(features, memory, state, masks)
    assert prediction.masks.shape == masks.shape
    prediction.logits.square().mean().backward()
    groups = {group.rate: group.parameters for group in network.parameter_groups()}
    assert set(groups) == {0.1, 0.5, 1.0}
    grouped = [parameter for group in network.parameter_groups() for parameter in group.parameters]
    assert len(grouped) == len(set(grouped)) == sum(1 for p in network.parameters() if p.requires_grad)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in groups[0.1][:3])


def test_statistics_stay_as_they_are_in_training() -> None:
    network = build("stcn").train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.encode(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert network.key_proj.training


def test_imagenet_weights_from_a_file_in_the_order_of_timm(tmp_path: Path) -> None:
    network = build("stcn")
    torch.manual_seed(1)
    published = timm.create_model(LITE).state_dict()
    file = tmp_path / "renamed.pth"
    torch.save({f"w{i}": tensor for i, tensor in enumerate(published.values())}, file)
    load_imagenet(network, NETWORKS["stcn"].trunks, torch.Generator().manual_seed(0), {LITE: str(file)})
    loaded = network.state_dict()
    for trunk, inputs in (("key_encoder", 3), ("value_encoder", 5)):
        first = loaded[f"{trunk}.backbone.model.conv_stem.weight"]
        assert torch.equal(first[:, :3], published["conv_stem.weight"])
        assert first.shape[1] == inputs
        name = "blocks.4.2.conv_pwl.weight"
        assert torch.equal(loaded[f"{trunk}.backbone.model.{name}"], published[name])
    torch.save({"w": torch.zeros(3)}, file)
    before = deepcopy(network.state_dict())
    with pytest.raises(UserError, match=r"renamed\.pth: 1 tensors; the backbone tf_efficientnet_lite0 has"):
        load_imagenet(network, NETWORKS["stcn"].trunks, torch.Generator(), {LITE: str(file)})
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_images_reach_the_backbone_as_it_was_trained() -> None:
    trunk = TimmTrunk(3, name=LITE)
    seen = []
    trunk.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    grey = (torch.tensor([0.5, 0.5, 0.5]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    trunk(grey[None, :, None, None].expand(1, 3, 32, 32))
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 32, 32), atol=1e-6, rtol=0)


def test_folding_leaves_the_maps() -> None:
    trunk = TimmTrunk(3, name=LITE).eval()
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    image = torch.randn(1, 3, 64, 64)
    before = trunk(image)
    holder = nn.ModuleDict({"trunk": trunk})
    fold_norms(holder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())
    for one, other in zip(before, trunk(image), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"name": "tf_efficientnet_lite"}, r"timm has no backbone .* did you mean 'tf_efficientnet_lite"),
        ({"name": "vit_tiny_patch16_224"}, "no maps at strides 4, 8 and 16"),
        ({"name": LITE, "rate": 0}, "rate 0; expected a number above 0"),
    ],
)
def test_wrong_trunks_are_refused(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        TimmTrunk(3, **settings)


@pytest.mark.parametrize(
    ("place", "remedy"),
    [("nosuch.pth", "Check init.files"), ("package:no_such_package/w.pth", "pip install no-such-package")],
)
def test_weights_that_are_not_there_are_named(place: str, remedy: str) -> None:
    with pytest.raises(UserError, match=rf"{place}: no such file of weights .*{remedy}"):
        locate(place)
