"""Convolutional blocks of Cutie.

Letters: B batch, K objects, C channels, h w size. `own` [B*K, C, h, w] are maps of objects, `shared` [B, C', h, w] of
their image, as in `blocks`.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.networks.common.blocks import Conv3x3, ResidualBlock, add_shared


class ChannelAttentionBlock(nn.Module):
    """Pre-activation residual block whose branch is weighed channel by channel.

    The weights come from the averages over the map, by a convolution along the channel axis (efficient channel
    attention, Wang et al., CVPR 2020).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv3x3(channels, channels)
        self.conv2 = Conv3x3(channels, channels)
        kernel = int((math.log2(channels) + 1) / 2)
        kernel += kernel % 2 == 0
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to the same shape."""
        y = self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))
        weights = self.conv(y.mean((2, 3)).unsqueeze(1)).sigmoid().transpose(1, 2).unsqueeze(-1)  # N C 1 1
        return torch.addcmul(x, y, weights.to(y.dtype)) if x.dtype == y.dtype else x + y * weights


class Distributor(nn.Module):
    """A map of the image and maps of its objects, brought to the same channels and added."""

    def __init__(self, shared_channels: int, own_channels: int, out_channels: int) -> None:
        super().__init__()
        self.x_transform = nn.Conv2d(shared_channels, out_channels, 1)
        self.g_transform = nn.Conv2d(own_channels, out_channels, 1)

    def forward(self, own: Tensor, shared: Tensor) -> Tensor:
        """[B*K, own_channels, h, w] and [B, shared_channels, h, w] to [B*K, out_channels, h, w]."""
        return add_shared(self.g_transform(own), self.x_transform(shared))


class ObjectFusion(nn.Module):
    """Fuse maps of objects with a map of their image; shapes as in `Distributor`."""

    def __init__(self, shared_channels: int, own_channels: int, out_channels: int) -> None:
        super().__init__()
        self.distributor = Distributor(shared_channels, own_channels, out_channels)
        self.block1 = ChannelAttentionBlock(out_channels)
        self.block2 = ChannelAttentionBlock(out_channels)

    def forward(self, own: Tensor, shared: Tensor) -> Tensor:
        return self.block2(self.block1(self.distributor(own, shared)))


class SkipUpsampleBlock(nn.Module):
    """Double the resolution of object maps, add a skip map of the image, and mix.

    `x` [B*K, in_channels, h, w] and `skip` [B, in_channels, 2h, 2w] to [B*K, out_channels, 2h, 2w].
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_conv = ResidualBlock(in_channels, out_channels, partial(nn.Conv2d, kernel_size=1))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out_conv(add_shared(x, skip))
