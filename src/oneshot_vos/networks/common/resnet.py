"""Residual networks cut after their third stage: the trunks of the key and value encoders."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError

NormName = Literal["frozen_batch", "group"]
BlockName = Literal["basic", "bottleneck"]
NormLayer = Callable[[int], nn.Module]


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics never change, in training mode either; weight and bias are trained."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """[B, C, H, W] to the same shape."""
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def group_norm(channels: int) -> nn.Module:
    """Group normalisation with about 16 channels a group: needs no statistics, so it suits random initialisation."""
    groups = math.gcd(channels, max(1, channels // 16))
    return nn.GroupNorm(groups, channels)


NORMS: dict[str, NormLayer] = {"frozen_batch": FrozenBatchNorm, "group": group_norm}


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: NormLayer, bias: bool) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=bias), norm(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, norm: NormLayer, bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=bias)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=bias)
        self.bn2 = norm(width)
        self.downsample = _shortcut(in_channels, width, stride, norm, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the block's output, at its stride."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride sits on the 3x3 one."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, norm: NormLayer, bias: bool) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=bias)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=bias)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=bias)
        self.bn3 = norm(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride, norm, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the block's output, at its stride."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """A residual network without its fourth stage and head.

    `widths` and `depths` give the inner channels and the number of blocks of the three stages; the stem has as many
    channels as the first width. `channels` lists what the stages put out, at strides 4, 8 and 16. `first_stage`
    names the first stage in the state dict.
    """

    first_weight = "conv1.weight"

    def __init__(
        self,
        in_channels: int,
        *,
        block: BlockName = "basic",
        widths: Sequence[int],
        depths: Sequence[int],
        norm: NormName = "frozen_batch",
        bias: bool = False,
        first_stage: str = "layer1",
    ) -> None:
        super().__init__()
        if block not in BLOCKS:
            raise UserError(f"unknown residual block '{block}'; known: {', '.join(BLOCKS)}")
        if len(widths) != 3 or len(depths) != 3:
            raise UserError(f"a trunk has three stages; got widths {list(widths)} and depths {list(depths)}")
        if norm not in NORMS:
            raise UserError(f"unknown normalisation '{norm}'; known: {', '.join(NORMS)}")
        normalise = NORMS[norm]
        self.block = block
        self.stages = (first_stage, "layer2", "layer3")
        self.channels = tuple(width * BLOCKS[block].expansion for width in widths)
        self.conv1 = nn.Conv2d(in_channels, widths[0], 7, 2, 3, bias=bias)
        self.bn1 = normalise(widths[0])
        entering = widths[0]
        for name, width, depth, stride in zip(self.stages, widths, depths, (1, 2, 2), strict=True):
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.append(BLOCKS[block](entering, width, stride if index == 0 else 1, normalise, bias))
                entering = width * BLOCKS[block].expansion
            self.add_module(name, blocks)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [B, C, H, W] to features at strides 4, 8 and 16."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        f4, f8, f16 = (x := self.get_submodule(name)(x) for name in self.stages)
        return f4, f8, f16
