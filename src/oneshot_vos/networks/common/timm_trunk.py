"""Trunks of the timm library: any of its backbones, cut after stride 16, in the place of a residual network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.registry import suggest

_STRIDES = (4, 8, 16)


class TimmTrunk(nn.Module):
    """Features at strides 4, 8 and 16 of the timm backbone `name`, e.g. `tf_efficientnet_lite0`.

    in_channels: RGB, normalised as everywhere here (the trunk converts it to what the backbone was trained with), and
    masks after it. rate: times the learning rate of the rest of the network, above 0. `channels` lists the widths of
    the three maps, which are normalised, each as a whole. Statistics of batch normalisation never change; its weights
    and biases are trained.

    Raises `UserError` for an unknown name, and for a backbone without maps at these strides.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, in_channels: int, *, name: str, rate: float = 1.0) -> None:
        super().__init__()
        if not (isinstance(rate, int | float) and rate > 0):
            raise UserError(f"trunk {name}: rate {rate!r}; expected a number above 0")
        self.name = name
        self.rate = float(rate)
        self.backbone, self.channels = _cut(name, in_channels)
        # Backbones leave their maps at any scale: 8 on average at stride 4 of an EfficientNet-Lite0.
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in self.channels)
        self.first_weight = f"backbone.model.{self.backbone.pretrained_cfg['first_conv']}.weight"
        scale, shift = _conversion(self.backbone.pretrained_cfg)
        masks = torch.zeros(in_channels - 3)
        self.register_buffer("scale", torch.cat([scale, masks + 1])[:, None, None], persistent=False)
        self.register_buffer("shift", torch.cat([shift, masks])[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> "TimmTrunk":
        """As `nn.Module.train`, but batch normalisation stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [B, C, H, W] to features at strides 4, 8 and 16."""
        maps = self.backbone(x * self.scale + self.shift)
        f4, f8, f16 = (norm(each) for norm, each in zip(self.norms, maps, strict=True))
        return f4, f8, f16


def backbone_rates(network: nn.Module) -> dict[nn.Parameter, float]:
    """The parameters of a network that belong to backbones of timm, each with its `rate`."""
    trunks = [module for module in network.modules() if isinstance(module, TimmTrunk)]
    return {parameter: trunk.rate for trunk in trunks for parameter in trunk.backbone.parameters()}


def _conversion(config: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """What RGB normalised as ImageNet usually is must be multiplied by, and what added, for this backbone."""
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    return torch.tensor(IMAGENET_DEFAULT_STD) / std, (torch.tensor(IMAGENET_DEFAULT_MEAN) - mean) / std


def _cut(name: str, in_channels: int) -> tuple[Any, tuple[int, ...]]:
    import timm

    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise UserError(f"trunk: timm has no backbone '{name}': {suggest(name, known)}")
    options: dict[str, Any] = {"pretrained": False, "features_only": True, "in_chans": in_channels}
    try:
        whole: Any = timm.create_model(name, **options)
        strides = whole.feature_info.reduction()
        places = [strides.index(stride) for stride in _STRIDES]
        backbone: Any = timm.create_model(name, **options, out_indices=places, feature_cls="getter")
    except (RuntimeError, AttributeError, ValueError, AssertionError) as error:
        raise UserError(
            f"trunk: timm's '{name}' has no maps at strides 4, 8 and 16 ({error or type(error).__name__}); "
            "choose a convolutional backbone with five stages, such as tf_efficientnet_lite0"
        ) from error
    return backbone, tuple(backbone.feature_info.channels())
