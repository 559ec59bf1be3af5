"""3x3 convolutions, which are where these networks spend their time.

Two exact re-arrangements, both up to rounding:

- Input that is the same for all objects of an image may be given apart from what is the object's own. A convolution of
  a concatenation is the sum of two convolutions, so the shared one is computed once per image.
- On CPUs, in float32, wide layers use Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, CVPR 2016): 16
  multiplications instead of 36 for each 2x2 square of the output, as 16 matrix products. GPU libraries do it
  themselves.

Letters: N images, C O channels in and out, H W size, T = N * ceil(H/2) * ceil(W/2) tiles.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        self._kept: dict[tuple[int, int], Tensor] | None = None

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
        if _worthwhile(x, self.weight):
            return convolve_winograd(x, self._transformed(channels), bias)
        return F.conv2d(x, self.weight[:, channels], bias, padding=1)

    def _transformed(self, channels: slice) -> Tensor:
        """The kernel in Winograd's domain, [16, O, C].

        In training it is kept as long as `kernels_kept` says, in evaluation until the weight changes. Fused optimisers
        change a weight without counting its version up, hence nothing else is kept where one may be at work: in
        training mode, or after a pass with gradient.
        """
        if self._kept is not None:
            part = channels.start, channels.stop
            if part not in self._kept:
                with torch.enable_grad():  # the first to ask may be a pass without gradient, later ones not
                    self._kept[part] = transform_kernel(self.weight[:, channels])
            return self._kept[part]
        if self.training or torch.is_grad_enabled():
            self._kernel = None
            return transform_kernel(self.weight[:, channels])
        version = (self.weight.data_ptr(), 0 if self.weight.is_inference() else self.weight._version)
        if self._kernel is None or self._kernel_of != version:
            self._kernel, self._kernel_of = transform_kernel(self.weight.detach()), version
        return self._kernel[..., channels]


@contextmanager
def kernels_kept(network: nn.Module) -> Iterator[None]:
    """Transform every kernel of `network` at most once within the block, in which no weight may change.

    For the forward pass of a training step: a clip uses each kernel many times, and the gradients of all uses are
    added up before they are transformed back.
    """
    convolutions = [module for module in network.modules() if isinstance(module, Conv3x3)]
    for module in convolutions:
        module._kept = {}
    try:
        yield
    finally:
        for module in convolutions:
            module._kept = None


def _worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether minimal filtering of x [N, C, H, W] by a weight [O, …] is faster than the plain convolution."""
    tiles = x.shape[0] * ((x.shape[2] + 1) // 2) * ((x.shape[3] + 1) // 2)
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and min(x.shape[1], weight.shape[0]) >= _LEAST_CHANNELS
        and tiles >= _LEAST_TILES
    )


def convolve_winograd(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """`F.conv2d(x, weight, bias, padding=1)` by minimal filtering; `kernel` is `transform_kernel(weight)`."""
    if torch.is_grad_enabled():
        result: Tensor = _Winograd.apply(x, kernel, bias)
        return result
    return _filter(x, kernel, bias)


def transform_kernel(weight: Tensor) -> Tensor:
    """Kernels [O, C, 3, 3] to Winograd's domain, [16, O, C]."""
    by_tap = weight.permute(0, 2, 3, 1).flatten(1, 2)  # O 9 C: how a channels-last weight lies in memory
    return torch.bmm(_kernel_matrix(weight).expand(len(weight), 16, 9), by_tap).transpose(0, 1)


def _kernel_matrix(like: Tensor) -> Tensor:
    """[16, 9]: what each of the 16 transformed taps takes of the 9 taps of a kernel."""
    one_way = like.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    return torch.kron(one_way, one_way)


class _Winograd(torch.autograd.Function):
    """Convolution of x [N, C, H, W] with a transformed kernel [16, O, C]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _filter(x, kernel, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, kernel = ctx.saved_tensors
        of_x = of_kernel = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _filter(gradient, kernel.transpose(1, 2), None, _TURNED)
        if ctx.needs_input_grad[1]:
            of_kernel = _correlate(gradient, x)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_kernel, of_bias


# Along one axis, where the taps of a kernel end up when it is turned around: its outer ones change places.
_STRAIGHT, _TURNED = (0, 1, 2, 3), (3, 1, 2, 0)


def _filter(x: Tensor, kernel: Tensor, bias: Tensor | None, taps: Sequence[int] = _STRAIGHT) -> Tensor:
    """Images [N, C, H, W] and kernel [16, O, C] to [N, O, H, W], channels-last; `taps` is the order of the kernel's."""
    height, width = x.shape[2:]
    padded = _padded(x, border=1)
    shape = x.shape[0], kernel.shape[1], padded.shape[1] - 2, padded.shape[2] - 2
    result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    image = result.permute(0, 2, 3, 1)
    for rows in _bands(image, max(kernel.shape[1:])):
        products = _tiles(padded[:, rows.start : rows.stop + 2], taps) @ kernel.transpose(1, 2)
        _untile(products, bias, image[:, rows], taps)
    # Odd sizes are cropped by a copy: the result of a Function must not be a view if it is to be changed in place.
    odd = height % 2 or width % 2
    return result[:, :, :height, :width].contiguous(memory_format=torch.channels_last) if odd else result


def _correlate(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient [16, O, C] of the kernel, from those of the output [N, O, H, W] and the input [N, C, H, W]."""
    squares, padded = _padded(gradient, border=0), _padded(x, border=1)
    result: Tensor | None = None
    # Wider bands than elsewhere: every band but the first reads and writes the whole result.
    for rows in _bands(squares, max(gradient.shape[1], x.shape[1]) // 4):
        lifted, tiles = _lift(squares[:, rows]).transpose(1, 2), _tiles(padded[:, rows.start : rows.stop + 2])
        result = torch.bmm(lifted, tiles) if result is None else result.baddbmm_(lifted, tiles)
    assert result is not None, "an image has at least one row"
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
    pairs = max(1, _BAND // max(1, images * width // 2 * channels))
    for start in range(0, height, 2 * pairs):
        yield slice(start, min(start + 2 * pairs, height))


def _tiles(padded: Tensor, taps: Sequence[int] = _STRAIGHT) -> Tensor:
    """Transformed 4x4 tiles [16, T, C], two pixels apart, of [N, H + 2, W + 2, C]; rows and columns as in `taps`."""
    images, height, width, channels = padded.shape
    down, across = height // 2 - 1, width // 2 - 1
    tiles = padded.new_empty(4, 4, images, down, across, channels)
    d = [padded[:, i : i + 2 * down : 2] for i in range(4)]
    for tap, row in zip(taps, (d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]), strict=True):
        e, out = [row[:, :, i : i + 2 * across : 2] for i in range(4)], tiles[tap]
        torch.sub(e[0], e[2], out=out[taps[0]])
        torch.add(e[1], e[2], out=out[taps[1]])
        torch.sub(e[2], e[1], out=out[taps[2]])
        torch.sub(e[1], e[3], out=out[taps[3]])
    return tiles.view(16, -1, channels)


def _untile(products: Tensor, bias: Tensor | None, out: Tensor, taps: Sequence[int]) -> None:
    """Turn products [16, T, O] into 2x2 squares of `out` [N, H, W, O] and add the bias."""
    by_tap = products.view(4, 4, out.shape[0], out.shape[1] // 2, out.shape[2] // 2, out.shape[3])
    m = [by_tap[tap] for tap in taps]
    for i, column in enumerate(((m[0] + m[1]).add_(m[2]), (m[1] - m[2]).sub_(m[3]))):
        row = [column[tap] for tap in taps]
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
