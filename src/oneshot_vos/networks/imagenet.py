"""Trunks initialised with torchvision's ImageNet weights."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, WeightsEnum

from oneshot_vos.errors import UserError
from oneshot_vos.networks.resnet import ResNet
from oneshot_vos.networks.stcn import STCN


def load_imagenet(network: STCN, generator: torch.Generator) -> None:
    """Initialise the key encoder with ResNet-50 and the value encoder with ResNet-18, as the publication does.

    `generator` fills the mask channels of the value encoder's first convolution. Raises `UserError`, and changes
    nothing, if the weights cannot be had or the network's trunks are not of the published shape.
    """
    key_state = _matched(network.key_encoder, _fetch(ResNet50_Weights.IMAGENET1K_V1), "key encoder", "ResNet-50")
    value_state = _matched(network.value_encoder, _fetch(ResNet18_Weights.IMAGENET1K_V1), "value encoder", "ResNet-18")
    network.key_encoder.load_state_dict(key_state, strict=False)
    network.value_encoder.load_state_dict(
        _with_mask_channels(network.value_encoder, value_state, generator), strict=False
    )
    for name, bias in network.value_encoder.named_parameters():
        if name not in value_state and name.endswith("bias") and not name.startswith("fuser."):
            nn.init.zeros_(bias)


def _fetch(weights: WeightsEnum) -> dict[str, Tensor]:
    """State dict of a torchvision model, from the cache or the network; the checksum is verified after a download."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{cached}: no usable ImageNet weights there, and they could not be downloaded ({error}). Place the file "
            f"{cached.name} of torchvision ({weights}) there, or set the profile's init.backbone to random"
        ) from error


def _matched(trunk: ResNet, imagenet: Mapping[str, Tensor], role: str, model: str) -> dict[str, Tensor]:
    """ImageNet entries under the trunk's own names, without the fourth stage and the classifier."""
    renamed = {
        name.replace("layer1.", f"{trunk.stages[0]}."): tensor
        for name, tensor in imagenet.items()
        if not name.startswith(("layer4.", "fc."))
    }
    own = trunk.state_dict()
    wrong = [name for name, tensor in renamed.items() if not _fits(name, tensor, own)]
    own_weights = {name for name in own if name.endswith("weight") and not name.startswith("fuser.")}
    wrong += sorted(own_weights - set(renamed))
    if wrong:
        raise UserError(
            f"ImageNet weights of {model} do not fit the {role}, whose shape is not the published one "
            f"({len(wrong)} entries differ, the first is {wrong[0]}). Set the profile's init.backbone to random, or "
            "the network's widths, depths, block and norm to their defaults"
        )
    return renamed


def _fits(name: str, tensor: Tensor, own: Mapping[str, Tensor]) -> bool:
    if name not in own:
        return False
    if name == "conv1.weight":  # may take masks besides RGB
        return own[name].shape[0] == tensor.shape[0] and own[name].shape[2:] == tensor.shape[2:]
    return own[name].shape == tensor.shape


def _with_mask_channels(trunk: ResNet, state: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Append orthogonal mask channels after the RGB channels of the first convolution."""
    rgb = state["conv1.weight"]
    extra = trunk.conv1.in_channels - rgb.shape[1]
    masks = nn.init.orthogonal_(rgb.new_empty(rgb.shape[0], extra, *rgb.shape[2:]), generator=generator)
    return {**state, "conv1.weight": torch.cat([rgb, masks], 1)}
