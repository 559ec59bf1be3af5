"""ImageNet weights for backbones of timm: from timm itself, from a file, or from an installed package of weights."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.timm_trunk import TimmTrunk
from oneshot_vos.networks.common.weights import read_weights

_PACKAGE = "package:"


def imagenet_backbone(trunk: TimmTrunk, place: str | None) -> dict[str, Tensor]:
    """Entries of the trunk's backbone with ImageNet weights; the first convolution has its RGB channels alone.

    place: a file of weights (.safetensors, or .pth of tensors alone), or `package:NAME/FILE` for one inside an
    installed package; None asks timm, which keeps what it downloads. A file has timm's names, or other ones in the
    order of timm's, which is compared shape by shape. Raises `UserError` if the weights cannot be had or do not fit.
    """
    if place is None:
        return _matched(trunk, _downloaded(trunk.name), f"timm's weights of {trunk.name}")
    path = locate(place)
    return _matched(trunk, read_weights(path), str(path))


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


def _matched(trunk: TimmTrunk, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    own = trunk.backbone.model.state_dict()
    names = list(own)
    given = {name: weights[name] for name in names} if set(names) <= set(weights) else dict(weights)
    first = trunk.first_weight.removeprefix("backbone.model.")
    if len(given) < len(names):
        raise UserError(f"{source}: {len(given)} tensors; the backbone {trunk.name} has {len(names)}")
    matched = {}
    for name, (theirs, tensor) in zip(names, given.items(), strict=False):
        expected = list(own[name].shape)
        if name == first:
            expected[1] = 3
        if list(tensor.shape) != expected:
            raise UserError(
                f"{source}: {theirs} is {list(tensor.shape)} where the backbone {trunk.name} has {name} {expected}; "
                "expected weights of this backbone, with timm's names or in timm's order"
            )
        matched[f"backbone.model.{name}"] = tensor
    return matched
