"""The recurrent cell of networks with a sensory memory: like a gated recurrent unit, without its reset of the input.

Letters: N objects of all images, C input channels, D hidden channels, h w size.
"""

import torch
from torch import Tensor, nn

from oneshot_vos.networks.common.convolution import Conv3x3


def gated_update(gates: Tensor, hidden: Tensor) -> Tensor:
    """Next hidden state [N, D, h, w] of gates [N, 3D, h, w] (forget f, update u, new n, before their activations).

    h' = sigmoid(f) h (1 - sigmoid(u)) + sigmoid(u) tanh(n)
    """
    forget, update, new = gates.chunk(3, 1)
    update = update.sigmoid()
    return torch.lerp(forget.sigmoid() * hidden, new.tanh(), update)


def gate_convolution(in_channels: int, hidden_channels: int) -> Conv3x3:
    """The convolution that computes the gates of `gated_update` from `cat([input, hidden])`."""
    convolution = Conv3x3(in_channels + hidden_channels, 3 * hidden_channels)
    nn.init.xavier_normal_(convolution.weight)
    return convolution


def update_hidden(transform: Conv3x3, x: Tensor, hidden: Tensor) -> Tensor:
    """One step of the cell in float32: x [N, C, h, w] and hidden [N, D, h, w] to the next hidden state.

    Float32 under autocast too, because rounding adds up from frame to frame.
    """
    with torch.autocast(x.device.type, enabled=False):
        hidden = hidden.float()
        return gated_update(transform(torch.cat([x.float(), hidden], 1)), hidden)


class GatedUpdate(nn.Module):
    """The cell as a module: `transform` holds its one convolution."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.transform = gate_convolution(in_channels, hidden_channels)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Input [N, C, h, w] and hidden [N, D, h, w] to the next hidden state, float32."""
        return update_hidden(self.transform, x, hidden)
