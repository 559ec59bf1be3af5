"""The 3x3 convolution with shared input."""

import pytest
import torch
import torch.nn.functional as F

from oneshot_vos.networks.common.blocks import Conv3x3


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


def test_state_dict_is_that_of_a_convolution():
    assert list(Conv3x3(3, 4).state_dict()) == ["weight", "bias"]
