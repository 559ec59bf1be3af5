"""The fast 3x3 convolution against the plain one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oneshot_vos.networks.common.convolution import Conv3x3, convolve_winograd, kernels_kept, transform_kernel


@pytest.fixture(autouse=True)
def _always_worthwhile(monkeypatch):
    """Use the fast path for the small tensors of these tests as well."""
    monkeypatch.setattr("oneshot_vos.networks.common.convolution._LEAST_CHANNELS", 1)
    monkeypatch.setattr("oneshot_vos.networks.common.convolution._LEAST_TILES", 1)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 8), (8, 5), (7, 9)])
@pytest.mark.parametrize("band", [1, 1 << 17])
def test_values_and_gradients(size, band, monkeypatch):
    monkeypatch.setattr("oneshot_vos.networks.common.convolution._BAND", band)
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3, *size), (4, 3, 3, 3), (4,))
    )

    def fast(x, weight, bias):
        return convolve_winograd(x, transform_kernel(weight), bias)

    torch.testing.assert_close(fast(x, weight, bias), F.conv2d(x, weight, bias, padding=1))
    assert torch.autograd.gradcheck(fast, (x, weight, bias), fast_mode=True)


def test_as_exact_as_the_plain_convolution():
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 256, 16, 16, generator=generator), torch.randn(128, 256, 3, 3, generator=generator) / 48
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    fast = convolve_winograd(x, transform_kernel(weight), None)
    assert (fast - exact).abs().max() <= 1e-5 * exact.abs().max()


@pytest.mark.parametrize("shared_first", [False, True])
def test_shared_input_equals_concatenation(shared_first):
    generator = torch.Generator().manual_seed(0)
    own, shared = torch.randn(6, 4, 6, 7, generator=generator), torch.randn(2, 5, 6, 7, generator=generator)
    convolution = Conv3x3(9, 8, shared_first=shared_first)
    repeated = shared.repeat_interleave(3, 0)
    concatenated = torch.cat([repeated, own] if shared_first else [own, repeated], 1)
    expected = F.conv2d(concatenated, convolution.weight, convolution.bias, padding=1)
    torch.testing.assert_close(convolution(own, shared), expected)
    with torch.no_grad():
        torch.testing.assert_close(convolution(own, shared), expected)


@pytest.mark.parametrize("settings", [{}, {"foreach": True}, {"fused": True}])
def test_follows_every_change_of_the_weight(settings):
    convolution, x = Conv3x3(4, 4), torch.randn(1, 4, 6, 6)
    optimiser = torch.optim.Adam(convolution.parameters(), lr=0.1, **settings)

    def check():
        with torch.no_grad():
            plain = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
            torch.testing.assert_close(convolution(x), plain, atol=1e-5, rtol=1e-4)

    for training in (False, True, False):
        convolution.train(training)
        check()
        convolution(x).square().sum().backward()
        optimiser.step()
        check()
    convolution.load_state_dict(Conv3x3(4, 4).state_dict())
    check()
    nn.init.normal_(convolution.weight)
    check()
    convolution.to(memory_format=torch.channels_last)
    check()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_kept_kernels_give_the_gradients_of_all_uses(layout):
    generator = torch.Generator().manual_seed(0)
    convolution = Conv3x3(9, 9).to(memory_format=layout)
    own, shared = torch.randn(4, 4, 6, 7, generator=generator), torch.randn(2, 5, 6, 7, generator=generator)

    def loss(convolve):
        with torch.no_grad():
            x = convolve(own, shared)  # the first use carries no gradient
        return convolve(convolve(x, None), None).square().sum() + convolve(own, shared).sum()

    def plain(x, shared):
        both = x if shared is None else torch.cat([x, shared.repeat_interleave(2, 0)], 1)
        return F.conv2d(both, convolution.weight, convolution.bias, padding=1)

    expected = torch.autograd.grad(loss(plain), list(convolution.parameters()))
    for _ in range(2):  # nothing is left over from the step before
        with kernels_kept(convolution):
            total = loss(convolution)
        found = torch.autograd.grad(total, list(convolution.parameters()))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # long float32 sums
        assert convolution._kept is None


def test_state_dict_is_that_of_a_convolution():
    assert list(Conv3x3(3, 4).state_dict()) == ["weight", "bias"]
