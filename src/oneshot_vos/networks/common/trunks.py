"""The trunks of encoders: what turns an image, or an image and masks of its objects, into maps at stride 16."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.networks.common.resnet import ResNet
from oneshot_vos.networks.common.timm_trunk import TimmTrunk


class ValueTrunk(nn.Module):
    """Image and masks of its objects to values: before a trunk's class, and the `fuser` that the network registers."""

    fuser: nn.Module
    channels: tuple[int, ...]
    first_weight: str

    def forward(self, image: Tensor, masks: Tensor, of_image: Tensor) -> Tensor:
        """Image [B, 3, H, W], mask channels [B*K, 1 or 2, H, W], map of the image [B, C, h, w] to [B*K, CV, h, w]."""
        objects = masks.shape[0] // image.shape[0]
        image = image.repeat_interleave(objects, 0) if objects > 1 else image
        values: Tensor = self.fuser(super().forward(torch.cat([image, masks], 1))[-1], of_image)
        return values


class ResidualValueTrunk(ValueTrunk, ResNet):  # type: ignore[misc]
    """The published kind."""


class TimmValueTrunk(ValueTrunk, TimmTrunk):  # type: ignore[misc]
    """With a backbone of timm."""


def image_trunk(trunk: Mapping[str, Any] | None, **residual: Any) -> ResNet | TimmTrunk:
    """The trunk for images: the timm backbone with the arguments `trunk`, or without them a residual network."""
    return ResNet(3, first_stage="res2", **residual) if trunk is None else TimmTrunk(3, **trunk)


def value_trunk(masks: int, trunk: Mapping[str, Any] | None, **residual: Any) -> ValueTrunk:
    """The trunk for images with so many channels of masks, of the same two kinds."""
    return ResidualValueTrunk(3 + masks, **residual) if trunk is None else TimmValueTrunk(3 + masks, **trunk)
