"""Trunks initialised with ImageNet weights: residual ones with torchvision's, others with timm's."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, WeightsEnum

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.resnet import ResNet
from oneshot_vos.networks.common.timm_trunk import TimmTrunk
from oneshot_vos.networks.common.weights import read_weights

_PACKAGE = "package:"
_MODELS: dict[str, tuple[WeightsEnum, str]] = {
    "basic": (ResNet18_Weights.IMAGENET1K_V1, "ResNet-18"),
    "bottleneck": (ResNet50_Weights.IMAGENET1K_V1, "ResNet-50"),
}


def load_imagenet(
    network: nn.Module,
    trunks: Iterable[str],
    generator: torch.Generator,
    files: Mapping[str, str | None] = MappingProxyType({}),
) -> None:
    """Initialise these submodules of the network with ImageNet weights.

    A `ResNet` gets the torchvision weights of its kind of block, a `TimmTrunk` those of `files`, by the name of the
    backbone, or timm's; see `imagenet_backbone`. `generator` fills input channels beyond RGB. Raises `UserError`, and
    changes nothing, if the weights cannot be had or a trunk is not of the published shape.
    """
    loaded: list[tuple[ResNet | TimmTrunk, dict[str, Tensor]]] = []
    for name in trunks:
        trunk = network.get_submodule(name)
        if isinstance(trunk, TimmTrunk):
            loaded.append((trunk, imagenet_backbone(trunk, files.get(trunk.name))))
        else:
            assert isinstance(trunk, ResNet)
            weights, title = _MODELS[trunk.block]
            loaded.append((trunk, _matched(trunk, _fetch(weights), name.replace("_", " "), title)))
    for trunk, state in loaded:
        trunk.load_state_dict(_with_mask_channels(trunk, state, generator), strict=False)


def _of_trunk(name: str, trunk: ResNet) -> bool:
    """Whether an entry belongs to the residual network itself, not to what an encoder adds to it."""
    return name.startswith(("conv1.", "bn1.", *(f"{stage}." for stage in trunk.stages)))


def _fetch(weights: WeightsEnum) -> dict[str, Tensor]:
    """State dict of a torchvision model, from the cache or the network; the checksum is verified after a download."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        state = dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
        if not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise TypeError("not a table of tensors")
        return state
    except Exception as error:  # a damaged file can raise anything
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
    shapes = _shapes(trunk)
    wrong = [name for name, tensor in renamed.items() if shapes.get(name) != list(tensor.shape)]
    own_weights = {name for name in shapes if name.endswith("weight") and _of_trunk(name, trunk)}
    wrong += sorted(own_weights - set(renamed))
    if wrong:
        raise UserError(
            f"ImageNet weights of {model} do not fit the {role}, whose shape is not the published one "
            f"({len(wrong)} entries differ, the first is {wrong[0]}). Set the profile's init.backbone to random, or "
            "the network's widths, depths, block and norm to their defaults"
        )
    return renamed


def _shapes(trunk: ResNet | TimmTrunk) -> dict[str, list[int]]:
    """What ImageNet weights have to look like: as the trunk's entries, but the first convolution has RGB alone."""
    shapes = {name: list(tensor.shape) for name, tensor in trunk.state_dict().items()}
    shapes[trunk.first_weight][1] = 3
    return shapes


def _with_mask_channels(
    trunk: ResNet | TimmTrunk, state: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Append orthogonal mask channels after the RGB channels of the first convolution."""
    rgb = state[trunk.first_weight]
    extra = trunk.get_parameter(trunk.first_weight).shape[1] - rgb.shape[1]
    masks = nn.init.orthogonal_(rgb.new_empty(rgb.shape[0], extra, *rgb.shape[2:]), generator=generator)
    return {**state, trunk.first_weight: torch.cat([rgb, masks], 1)}


# --- backbones of timm: weights from timm itself, from a file, or from an installed package of weights ----------------


def imagenet_backbone(trunk: TimmTrunk, place: str | None) -> dict[str, Tensor]:
    """Entries of the trunk's backbone with ImageNet weights; the first convolution has its RGB channels alone.

    place: a file of weights (.safetensors, or .pth of tensors alone), or `package:NAME/FILE` for one inside an
    installed package; None asks timm, which keeps what it downloads. A file has timm's names, or other ones in the
    order of timm's, which is compared shape by shape. Raises `UserError` if the weights cannot be had or do not fit.
    """
    if place is None:
        return _matched_timm(trunk, _downloaded(trunk.name), f"timm's weights of {trunk.name}")
    path = locate(place)
    return _matched_timm(trunk, read_weights(path), str(path))


def locate(place: str) -> Path:
    """The file that `place` names; `UserError` if there is none."""
    package, _, file = place.removeprefix(_PACKAGE).partition("/")
    if not place.startswith(_PACKAGE):
        path, remedy = Path(place).expanduser(), "Check init.files"
    else:
        spec = find_spec(package)
        folders = list(spec.submodule_search_locations or []) if spec else []
        path = Path(folders[0] if folders else package) / file
        remedy = f"Install the package: pip install {package.replace('_', '-')}"
    if not path.is_file():
        raise UserError(f"{place}: no such file of weights ({path}). {remedy}, or let timm download its own: null")
    return path


def _downloaded(name: str) -> dict[str, Tensor]:
    import timm

    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"trunk {name}: timm could not get its ImageNet weights ({str(error).splitlines()[0]}). Go online once, "
            "name a file under init.files, or set the profile's init.backbone to random"
        ) from error
    return model.state_dict()


def _matched_timm(trunk: TimmTrunk, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    names, shapes = list(trunk.backbone.model.state_dict()), _shapes(trunk)
    given = {name: weights[name] for name in names} if set(names) <= set(weights) else dict(weights)
    if len(given) < len(names):
        raise UserError(f"{source}: {len(given)} tensors; the backbone {trunk.name} has {len(names)}")
    matched = {}
    for name, (theirs, tensor) in zip(names, given.items(), strict=False):
        entry = f"backbone.model.{name}"
        if list(tensor.shape) != shapes[entry]:
            raise UserError(
                f"{source}: {theirs} is {list(tensor.shape)} where the backbone {trunk.name} has {name} "
                f"{shapes[entry]}; expected weights of this backbone, with timm's names or in timm's order"
            )
        matched[entry] = tensor
    return matched
