"""3x3 convolutions, which are where these networks spend their time.

Two exact re-arrangements, both up to rounding:

- Input that is the same for all objects of an image may be given apart from what is the object's own. A convolution of
  a concatenation is the sum of two convolutions, so the shared one is computed once per image.
- On CPUs, in float32, wide layers use Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, CVPR 2016): 16
  multiplications instead of 36 for each 2x2 square of the output, as 16 matrix products. GPU libraries do it
  themselves.

Letters: N images, C O channels in and out, H W size, T = N * ceil(H/2) * ceil(W/2) tiles.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Below these the transforms and the larger kernels cost more than the multiplications that they save.
_LEAST_CHANNELS = 256
_LEAST_TILES = 64
# Tiles times channels worked on at a time: 16 numbers each, so 8 MB.
_BAND = 1 << 17


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
        self._kernel: Tensor | None = None
        self._kernel_of: tuple[int, int] | None = None

    def forward(self, x: Tensor, shared: Tensor | None = None) -> Tensor:
        """Convolve [B*K, C, H, W]; with `shared` [B, C', H, W], convolve `cat([x, shared])` without building it.

        With `shared_first` that is `cat([shared, x])`.
        """
        if shared is None:
            return self._convolve(x, 0, self.bias)
        of_x, of_shared = (shared.shape[1], 0) if self.shared_first else (0, x.shape[1])
        return add_shared(self._convolve(x, of_x, None), self._convolve(shared, of_shared, self.bias))

    def _convolve(self, x: Tensor, first: int, bias: Tensor | None) -> Tensor:
        """Apply the part of the kernel whose input channels begin at `first`."""
        channels = slice(first, first + x.shape[1])
        weight = self.weight[:, channels]
        if not _worthwhile(x, weight):
            return F.conv2d(x, weight, bias, padding=1)
        return convolve_winograd(x, weight, bias, self._transformed(channels))

    def _transformed(self, channels: slice) -> Tensor:
        """The kernel in Winograd's domain. In evaluation it is kept until the weight changes.

        Fused optimisers change a weight without counting its version up, hence nothing is kept where one may be at
        work: in training mode, or after a pass with gradient.
        """
        if self.training or torch.is_grad_enabled():
            self._kernel = None
            return transform_kernel(self.weight[:, channels].detach())
        version = (self.weight.data_ptr(), 0 if self.weight.is_inference() else self.weight._version)
        if self._kernel is None or self._kernel_of != version:
            self._kernel, self._kernel_of = transform_kernel(self.weight.detach()), version
        return self._kernel[..., channels]


def _worthwhile(x: Tensor, weight: Tensor) -> bool:
    tiles = x.shape[0] * ((x.shape[2] + 1) // 2) * ((x.shape[3] + 1) // 2)
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and min(x.shape[1], weight.shape[0]) >= _LEAST_CHANNELS
        and tiles >= _LEAST_TILES
    )


def convolve_winograd(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor) -> Tensor:
    """`F.conv2d(x, weight, bias, padding=1)` by minimal filtering; `kernel` is `transform_kernel(weight)`."""
    if torch.is_grad_enabled():
        result: Tensor = _Winograd.apply(x, weight, bias, kernel)
        return result
    return _filter(x, kernel, bias)


def transform_kernel(weight: Tensor) -> Tensor:
    """Kernels [O, C, 3, 3] to Winograd's domain, [16, O, C]."""
    kernel = weight.new_empty(4, 4, *weight.shape[:2])
    for out, row in zip(kernel, _spread(*weight.permute(2, 3, 0, 1)), strict=True):
        for tap, value in zip(out, _spread(*row), strict=True):
            tap.copy_(value)
    return kernel.view(16, *weight.shape[:2])


def _spread(first: Tensor, middle: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    outer = (first + last).mul_(0.5)
    inner = middle * 0.5
    return first, outer + inner, outer - inner, last


def _weight_gradient(kernel: Tensor) -> Tensor:
    """The transpose of `transform_kernel`: gradients [16, O, C] to [O, C, 3, 3], channels-last."""
    rows = torch.stack(_gather(*kernel.unflatten(0, (4, 4))))
    return torch.stack(_gather(*rows.unbind(1)), 1).permute(2, 3, 0, 1)


def _gather(first: Tensor, plus: Tensor, minus: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    outer = (plus + minus).mul_(0.5)
    return first + outer, (plus - minus).mul_(0.5), outer + last


class _Winograd(torch.autograd.Function):
    """Convolution of x [N, C, H, W] with a weight [O, C, 3, 3] that is also given transformed, [16, O, C]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _filter(x, kernel, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, kernel = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            # Convolution with the kernel turned around: in the transformed domain its outer taps change places.
            turned = kernel.unflatten(0, (4, 4))[_TURNED][:, _TURNED].flatten(0, 1)
            of_x = _filter(gradient, turned.transpose(1, 2), None)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(_correlate(gradient, x))
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None


_TURNED = [3, 1, 2, 0]


def _filter(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Images [N, C, H, W] and kernel [16, O, C] to [N, O, H, W], channels-last."""
    height, width = x.shape[2:]
    padded = _padded(x, border=1)
    shape = x.shape[0], kernel.shape[1], padded.shape[1] - 2, padded.shape[2] - 2
    result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    image = result.permute(0, 2, 3, 1)
    for rows in _bands(image, max(kernel.shape[1:])):
        products = _tiles(padded[:, rows.start : rows.stop + 2]) @ kernel.transpose(1, 2)
        _untile(products, bias, image[:, rows])
    # Odd sizes are cropped by a copy: the result of a Function must not be a view if it is to be changed in place.
    odd = height % 2 or width % 2
    return result[:, :, :height, :width].contiguous(memory_format=torch.channels_last) if odd else result


def _correlate(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient [16, O, C] of the kernel, from those of the output [N, O, H, W] and the input [N, C, H, W]."""
    squares, padded = _padded(gradient, border=0), _padded(x, border=1)
    result = x.new_zeros(16, gradient.shape[1], x.shape[1])
    for rows in _bands(squares, max(result.shape[1:])):
        tiles = _tiles(padded[:, rows.start : rows.stop + 2])
        result.baddbmm_(_lift(squares[:, rows]).transpose(1, 2), tiles)
    return result


def _padded(x: Tensor, border: int) -> Tensor:
    """[N, C, H, W] to [N, H', W', C] with a border of zeros and, inside it, height and width rounded up to even."""
    images, channels, height, width = x.shape
    down, across = height + height % 2, width + width % 2
    padded = x.new_zeros(images, down + 2 * border, across + 2 * border, channels)
    padded[:, border : border + height, border : border + width] = x.permute(0, 2, 3, 1)
    return padded


def _bands(squares: Tensor, channels: int) -> Iterator[slice]:
    """Split the rows of [N, H, W, …] into bands of pairs, so that the tiles of a band stay in the caches."""
    images, height, width = squares.shape[:3]
    pairs = max(1, _BAND // (images * width // 2 * channels))
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


def _lift(squares: Tensor) -> Tensor:
    """The transpose of `_untile`: gradients [N, H, W, O] to [16, T, O]."""
    images, height, width, channels = squares.shape
    lifted = squares.new_empty(4, 4, images, height // 2, width // 2, channels)
    upper, lower = squares[:, 0::2], squares[:, 1::2]
    for out, row in zip(lifted, (upper, upper + lower, upper - lower, -lower), strict=True):
        left, right = row[:, :, 0::2], row[:, :, 1::2]
        out[0] = left
        torch.add(left, right, out=out[1])
        torch.sub(left, right, out=out[2])
        torch.neg(right, out=out[3])
    return lifted.view(16, -1, channels)
