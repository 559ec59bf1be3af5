"""Wide 3x3 convolutions by minimal filtering give what plain ones give."""

import pytest
import torch
from torch import nn

from oneshot_vos.networks.common.blocks import Conv3x3
from oneshot_vos.networks.common.winograd import LEAST_CHANNELS, WinogradConv3x3, use_winograd

WIDE = LEAST_CHANNELS


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 1), (40, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_convolution(size: tuple[int, int], bias: bool) -> None:
    plain = nn.Conv2d(5, 6, 3, padding=1, bias=bias)
    x = images(2, 5, *size)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv3x3(plain)(x), plain(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shared_first", [True, False])
def test_shared_input(shared_first: bool) -> None:
    plain = Conv3x3(9, 8, shared_first=shared_first)
    own, shared = images(6, 4, 6, 7), images(2, 5, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv3x3(plain)(own, shared), plain(own, shared), atol=1e-5, rtol=1e-4)


def test_under_autocast_it_stays_exact() -> None:
    plain = nn.Conv2d(5, 6, 3, padding=1)
    fast, x = WinogradConv3x3(plain), images(1, 5, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = fast(x)
    torch.testing.assert_close(found, plain(x).detach(), atol=1e-5, rtol=1e-4)


def test_wide_layers_alone_are_replaced() -> None:
    network = nn.Sequential(
        *(nn.Conv2d(WIDE, WIDE, 3, padding=1), nn.Conv2d(WIDE, WIDE - 1, 3, padding=1)),
        *(nn.Conv2d(WIDE, WIDE, 3, stride=2, padding=1), nn.Conv2d(WIDE, WIDE, 1), Conv3x3(WIDE, WIDE)),
    )
    use_winograd(network)
    assert [type(module) for module in network] == [WinogradConv3x3, nn.Conv2d, nn.Conv2d, nn.Conv2d, WinogradConv3x3]
