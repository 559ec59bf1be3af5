"""Wide 3x3 convolutions on a CPU by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, CVPR 2016).

16 multiplications instead of 36 for each 2x2 square of the output, as 16 matrix products; exact up to rounding. For
inference alone: the kernels are transformed once. Libraries for GPUs do it by themselves.

Letters: N images, C O channels in and out, H W size, T = N * ceil(H/2) * ceil(W/2) tiles.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from oneshot_vos.networks.common.blocks import Conv3x3, add_shared

LEAST_CHANNELS = 256  # below, the transforms cost more than the multiplications that they save
_BAND = 1 << 17  # tiles times channels worked on at a time: 16 numbers each, so 8 MB


class WinogradConv3x3(nn.Module):
    """What a `Conv3x3`, or a 3x3 `nn.Conv2d` with stride and padding 1, computes in float32; no gradient."""

    kernel: Tensor  # 16 O C
    bias: Tensor | None

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.shared_first = isinstance(convolution, Conv3x3) and convolution.shared_first
        bias = None if convolution.bias is None else convolution.bias.detach().float()
        self.register_buffer("kernel", transform_kernel(convolution.weight.detach().float()))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, shared: Tensor | None = None) -> Tensor:
        """As `Conv3x3.forward`."""
        if shared is None:
            return _filter(x, self.kernel, self.bias)
        first = shared.shape[1] if self.shared_first else x.shape[1]
        parts = self.kernel[..., :first], self.kernel[..., first:]
        of_shared, of_x = parts if self.shared_first else reversed(parts)
        return add_shared(_filter(x, of_x, None), _filter(shared, of_shared, self.bias))


def use_winograd(network: nn.Module) -> None:
    """Put a `WinogradConv3x3` in the place of every convolution that is wide enough."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and _fits(child):
                module.register_module(name, WinogradConv3x3(child))


def transform_kernel(weight: Tensor) -> Tensor:
    """Kernels [O, C, 3, 3] to Winograd's domain, [16, O, C]."""
    one_way = weight.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    both_ways = torch.kron(one_way, one_way)  # [16, 9]: what a transformed tap takes of the 9 taps of a kernel
    return torch.einsum("to,kco->tkc", both_ways, weight.flatten(2)).contiguous()


def _fits(convolution: nn.Conv2d) -> bool:
    shape = convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, convolution.groups
    channels = min(convolution.in_channels, convolution.out_channels)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and channels >= LEAST_CHANNELS


def _filter(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Images [N, C, H, W] and kernel [16, O, C] to [N, O, H, W], channels-last."""
    height, width = x.shape[2:]
    padded = _padded(x.float())
    shape = x.shape[0], kernel.shape[1], padded.shape[1] - 2, padded.shape[2] - 2
    result = padded.new_empty(shape).to(memory_format=torch.channels_last)
    image = result.permute(0, 2, 3, 1)
    with torch.autocast(x.device.type, enabled=False):
        for rows in _bands(image, max(kernel.shape[1:])):
            products = _tiles(padded[:, rows.start : rows.stop + 2]) @ kernel.transpose(1, 2)
            _untile(products, bias, image[:, rows])
    return result[:, :, :height, :width]


def _padded(x: Tensor) -> Tensor:
    """[N, C, H, W] to [N, H', W', C] with a border of zeros and, inside it, height and width rounded up to even."""
    images, channels, height, width = x.shape
    padded = x.new_zeros(images, height + height % 2 + 2, width + width % 2 + 2, channels)
    padded[:, 1 : 1 + height, 1 : 1 + width] = x.permute(0, 2, 3, 1)
    return padded


def _bands(image: Tensor, channels: int) -> Iterator[slice]:
    """Split the rows of [N, H, W, …] into bands of pairs, so that the tiles of a band stay in the caches."""
    images, height, width = image.shape[:3]
    pairs = max(1, _BAND // max(1, images * width // 2 * channels))
    for start in range(0, height, 2 * pairs):
        yield slice(start, min(start + 2 * pairs, height))


def _tiles(padded: Tensor) -> Tensor:
    """Transformed 4x4 tiles [16, T, C], two pixels apart, of [N, H + 2, W + 2, C]."""
    images, height, width, channels = padded.shape
    down, across = height // 2 - 1, width // 2 - 1
    tiles = padded.new_empty(4, 4, images, down, across, channels)
    d = [padded[:, i : i + 2 * down : 2] for i in range(4)]
    for out, row in zip(tiles, (d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]), strict=True):
        e = [row[:, :, i : i + 2 * across : 2] for i in range(4)]
        torch.sub(e[0], e[2], out=out[0])
        torch.add(e[1], e[2], out=out[1])
        torch.sub(e[2], e[1], out=out[2])
        torch.sub(e[1], e[3], out=out[3])
    return tiles.view(16, -1, channels)


def _untile(products: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Turn products [16, T, O] into 2x2 squares of `out` [N, H, W, O] and add the bias."""
    m = products.view(4, 4, out.shape[0], out.shape[1] // 2, out.shape[2] // 2, out.shape[3])
    for i, row in enumerate(((m[0] + m[1]).add_(m[2]), (m[1] - m[2]).sub_(m[3]))):
        if bias is not None:
            row[1] += bias  # enters each of the two sums below once
        torch.add(row[0] + row[1], row[2], out=out[:, i::2, 0::2])
        torch.sub(row[1] - row[2], row[3], out=out[:, i::2, 1::2])
