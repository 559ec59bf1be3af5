"""3x3 convolutions that may take what all objects of an image share apart from what is an object's own.

A convolution of a concatenation is the sum of two convolutions, so the shared one is computed once per image.
"""

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
