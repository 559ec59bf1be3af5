"""What is STCN's own; tests/networks/test_every_network.py has what it shares with the others."""

import pytest
import torch
from tests.networks.walks import clip, tiny, walk


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_runs_through(autocast):
    network = tiny("stcn").eval()
    frames, _, masks = clip(1, 2)
    if not autocast:
        network, frames = network.bfloat16(), frames.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        prediction = walk(network, frames, masks)[-1]
    assert prediction.logits.dtype == torch.float32  # the aggregation keeps its precision
    assert prediction.logits.isfinite().all()


def test_single_object_network_has_four_input_channels():
    network = tiny("stcn", single_object=True)
    assert network.value_encoder.conv1.in_channels == 4
    frames, _, masks = clip(1, 1)
    assert walk(network, frames, masks)[-1].masks.shape == (1, 1, 48, 64)
