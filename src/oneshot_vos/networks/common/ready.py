"""A network made ready for inference: the same masks up to rounding, with less work per frame."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.precision import has_fast_bfloat16
from oneshot_vos.networks.common.resnet import FrozenBatchNorm
from oneshot_vos.networks.common.timm_trunk import TimmTrunk
from oneshot_vos.networks.common.weights import load_weights
from oneshot_vos.networks.common.winograd import use_winograd


def load_for_inference(name: str, settings: Mapping[str, Any], weights: Path, device: torch.device) -> Network:
    """The network `name` with the weights of a file, on `device`, in evaluation mode, laid out for convolutions.

    Its state dict is not that of the network any more (see `fold_norms`; on a CPU also `use_winograd`): nothing can be
    loaded into it or saved from it. Raises what `build_network` and `load_weights` raise.
    """
    with _NothingDrawn():
        network = build_network(name, settings)
    load_weights(weights, network)
    network.eval()
    fold_norms(network)
    if device.type == "cpu" and not has_fast_bfloat16(device):
        use_winograd(network)
    return network.to(device).to(memory_format=torch.channels_last)


class _NothingDrawn(TorchFunctionMode):
    """Leaves out the draws of `torch.nn.init`, a quarter of the start: every weight that inference reads is loaded."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def fold_norms(network: nn.Module) -> None:
    """Make every normalisation with fixed statistics a part of the convolution that is registered right before it.

    norm(W x) = s (W x - mean) + b, with s the norm's weight over the deviation, is a convolution by s W with the bias
    b - s mean. Only for evaluation mode. A backbone of timm stays as it is if it does not apply its modules in the
    order in which they are registered: its maps of an image of noise would be others.
    """
    for trunk in (module for module in network.modules() if isinstance(module, TimmTrunk)):
        channels = trunk.get_parameter(trunk.first_weight).shape[1]
        noise = torch.randn(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
        folded = deepcopy(trunk)
        _fold(folded, nn.BatchNorm2d)
        with torch.no_grad():
            maps = zip(TimmTrunk.forward(trunk, noise), TimmTrunk.forward(folded, noise), strict=True)
            same = [torch.allclose(*pair, rtol=1e-3, atol=1e-3) for pair in maps]
        if all(same):
            trunk.backbone = folded.backbone
    _fold(network, FrozenBatchNorm)


def _fold(network: nn.Module, norms: type[nn.BatchNorm2d]) -> None:
    for module in list(network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(norm, norms) and isinstance(convolution, nn.Conv2d):
                module.register_module(first, fuse_conv_bn_eval(convolution, norm))
                module.register_module(second, getattr(norm, "act", nn.Identity()))
