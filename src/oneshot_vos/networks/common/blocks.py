"""Building blocks that more than one network uses.

Much of what a network computes per object depends on the image alone. Blocks here therefore take two inputs where the
usual form concatenates: `own` [B*K, C, h, w] for every object and `shared` [B, C', h, w] for every image. A convolution
of a concatenation is the sum of two convolutions, so the shared one is computed once per image.

Letters: B batch, K objects, N = B*K objects of all images, C input channels, D hidden channels, h w size.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def add_shared(own: Tensor, shared: Tensor) -> Tensor:
    """Add a map of every image [B, ...] to the maps of its objects [B*K, ...]."""
    if own.shape[0] == shared.shape[0]:
        return own + shared
    per_image = own.unflatten(0, (shared.shape[0], -1))
    return (per_image + shared.unsqueeze(1)).flatten(0, 1)


class Conv3x3(nn.Conv2d):
    """3x3 convolution with padding 1 and bias; names and initialisation are those of `nn.Conv2d`.

    shared_first: in the kernel, the channels of `shared` come before those of the objects' own input.
    """

    def __init__(self, in_channels: int, out_channels: int, *, shared_first: bool = False) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.shared_first = shared_first

    def forward(self, x: Tensor, shared: Tensor | None = None) -> Tensor:
        """Convolve [B*K, C, H, W]; with `shared` [B, C', H, W], convolve `cat([x, shared])` without building it.

        With `shared_first` that is `cat([shared, x])`.
        """
        if shared is None:
            return F.conv2d(x, self.weight, self.bias, padding=1)
        first = shared.shape[1] if self.shared_first else x.shape[1]
        parts = self.weight[:, :first], self.weight[:, first:]
        of_shared, of_x = parts if self.shared_first else reversed(parts)
        return add_shared(F.conv2d(x, of_x, padding=1), F.conv2d(shared, of_shared, self.bias, padding=1))


class ResidualBlock(nn.Module):
    """Pre-activation residual block without normalisation: shortcut(x) + conv2(relu(conv1(relu(x)))), 3x3.

    The shortcut is the identity, or what `shortcut` makes where the numbers of channels differ.
    """

    def __init__(
        self, in_channels: int, out_channels: int, shortcut: Callable[[int, int], nn.Conv2d] = Conv3x3
    ) -> None:
        super().__init__()
        self.downsample = None if in_channels == out_channels else shortcut(in_channels, out_channels)
        self.conv1 = Conv3x3(in_channels, out_channels)
        self.conv2 = Conv3x3(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, h, w] to [N, out_channels, h, w]."""
        y = self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))
        return y + (x if self.downsample is None else self.downsample(x))


class SplitResidualBlock(nn.Module):
    """A residual block over `cat([own, shared])`, whose shortcut is always a convolution.

    `own` [B*K, in_channels - C', h, w] and `shared` [B, C', h, w] to [B*K, out_channels, h, w].
    shared_first: the block is over `cat([shared, own])`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, shared_first: bool = False) -> None:
        super().__init__()
        self.downsample = Conv3x3(in_channels, out_channels, shared_first=shared_first)
        self.conv1 = Conv3x3(in_channels, out_channels, shared_first=shared_first)
        self.conv2 = Conv3x3(out_channels, out_channels)

    def forward(self, own: Tensor, shared: Tensor) -> Tensor:
        """Without building the concatenation; the shared half is convolved once per image."""
        y = F.relu(self.conv1(F.relu(own), F.relu(shared)), inplace=True)
        return self.conv2(y) + self.downsample(own, shared)


class ChannelGate(nn.Module):
    """One weight in (0, 1) per channel, from average- and max-pooled maps through the same two-layer perceptron."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 1)
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to the same shape."""
        weight = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        return x * weight[:, :, None, None]


class SpatialGate(nn.Module):
    """One weight in (0, 1) per position, from the maximum and the mean over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential()
        self.spatial.add_module("conv", nn.Conv2d(2, 1, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to the same shape."""
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial(pooled))


class CBAM(nn.Module):
    """Convolutional block attention module: channel gate, then spatial gate; [B, C, h, w] to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        return self.SpatialGate(self.ChannelGate(x))


class FeatureFusion(nn.Module):
    """Fuse features of objects with features of their image: residual block, attention, residual block.

    `own` [B*K, own_channels, h, w] and `shared` [B, shared_channels, h, w] to [B*K, out_channels, h, w].
    shared_first: the order of the two in the weights, see `SplitResidualBlock`.
    """

    def __init__(
        self, own_channels: int, shared_channels: int, out_channels: int, *, shared_first: bool = False
    ) -> None:
        super().__init__()
        self.block1 = SplitResidualBlock(own_channels + shared_channels, out_channels, shared_first=shared_first)
        self.attention = CBAM(out_channels)
        self.block2 = ResidualBlock(out_channels, out_channels)

    def forward(self, own: Tensor, shared: Tensor) -> Tensor:
        x = self.block1(own, shared)
        return self.block2(x + self.attention(x))


class UpsampleBlock(nn.Module):
    """Double the resolution of object maps and add the image's skip features of that resolution.

    `x` [B*K, in_channels, h, w] and `skip` [B, skip_channels, 2h, 2w] to [B*K, out_channels, 2h, 2w].
    """

    def __init__(self, skip_channels: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.skip_conv = Conv3x3(skip_channels, in_channels)
        self.out_conv = ResidualBlock(in_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out_conv(add_shared(x, self.skip_conv(skip)))


# --- the recurrent cell of networks with a sensory memory: a gated recurrent unit, but for the reset of its input -----


def gate_convolution(in_channels: int, hidden_channels: int) -> Conv3x3:
    """The convolution that computes the gates of `update_hidden` from `cat([input, hidden])`."""
    convolution = Conv3x3(in_channels + hidden_channels, 3 * hidden_channels)
    nn.init.xavier_normal_(convolution.weight)
    return convolution


def update_hidden(transform: Conv3x3, x: Tensor, hidden: Tensor) -> Tensor:
    """One step of the cell in float32: x [N, C, h, w] and hidden h [N, D, h, w] to the next hidden state.

    h' = sigmoid(f) h (1 - sigmoid(u)) + sigmoid(u) tanh(n), with the gates forget f, update u and new n that
    `transform` computes. Float32 under autocast too, because rounding adds up from frame to frame.
    """
    with torch.autocast(x.device.type, enabled=False):
        hidden = hidden.float()
        forget, update, new = transform(torch.cat([x.float(), hidden], 1)).chunk(3, 1)
        return torch.lerp(forget.sigmoid() * hidden, new.tanh(), update.sigmoid())


class GatedUpdate(nn.Module):
    """The cell as a module: `transform` holds its one convolution."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.transform = gate_convolution(in_channels, hidden_channels)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Input [N, C, h, w] and hidden [N, D, h, w] to the next hidden state, float32."""
        return update_hidden(self.transform, x, hidden)


class DecoderUpdate(nn.Module):
    """Move a recurrent state on with what was decoded: maps of every resolution, averaged to stride 16 and summed.

    dims: channels of the maps at stride 16, 8 and 4. mid_channels: of their sum.
    """

    def __init__(self, dims: Sequence[int], mid_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.g16_conv = nn.Conv2d(dims[0], mid_channels, 1)
        self.g8_conv = nn.Conv2d(dims[1], mid_channels, 1)
        self.g4_conv = nn.Conv2d(dims[2] + 1, mid_channels, 1)
        self.transform = gate_convolution(mid_channels, hidden_channels)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor, logits: Tensor, hidden: Tensor) -> Tensor:
        """Maps g16 [N, C, h, w], g8 [N, C', 2h, 2w], g4 [N, C'', 4h, 4w], logits [N, 1, 4h, 4w], hidden [N, D, h, w].

        Returns the next hidden state in float32.
        """
        # Averaging before the concatenation spares a copy of the largest map.
        fine = torch.cat([F.avg_pool2d(g4, 4), F.avg_pool2d(logits, 4).to(g4.dtype)], 1)
        seen = self.g16_conv(g16) + self.g8_conv(F.avg_pool2d(g8, 2)) + self.g4_conv(fine)
        return update_hidden(self.transform, seen, hidden)
