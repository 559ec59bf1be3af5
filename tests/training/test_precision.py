"""Training in bfloat16 reaches every parameter that training in float32 reaches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.precision import training_precision
from oneshot_vos.params import load_params
from oneshot_vos.supervision import STRATEGIES
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions

# Every strategy, with the network that has a state where it goes with one; every network.
PAIRS = [(network, "two_step") for network in NETWORKS if network != "xmem"]
PAIRS += [("xmem" if strategy.recurrent else "stcn", name) for name, strategy in STRATEGIES.items()]


def clip() -> ClipBatch:
    draws = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 3, (2, 4, 4, 4), generator=draws)
    targets = coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)
    masks = torch.stack([(targets[:, 0] == k).float() for k in (1, 2)], 1)
    frames = torch.randn(2, 4, 3, 64, 64, generator=draws)
    return ClipBatch(frames, masks, targets, torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 2), ["a", "b"])


def gradients(network: str, strategy: str, settings: dict[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_network(network, settings)
    # Points that follow the prediction would be other ones after rounding.
    loss = build_loss(network, {"importance": 0.0} if network == "cutie" else {})
    module = build_strategy(strategy, {}, built, loss, RolloutOptions(3, 0.5)).train()
    with training_precision(torch.device("cpu"), dtype):
        total = module(clip(), 0, Generators.of(0, 0, range(2)))["total"]
    total.backward()
    assert [name for name, parameter in built.named_parameters() if parameter.grad is None] == []
    return {name: parameter.grad for name, parameter in built.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize(("network", "strategy"), PAIRS)
def test_bfloat16_has_the_gradients_of_float32_up_to_rounding(network: str, strategy: str, repository: Path) -> None:
    settings = load_params(repository / "params.yaml", "smoke").profile.networks[network]
    exact = gradients(network, strategy, settings, torch.float32)
    rounded = gradients(network, strategy, settings, torch.bfloat16)
    whole = torch.stack([value.norm() for value in exact.values()]).norm()
    for name, value in exact.items():
        assert (rounded[name] - value).norm() <= 0.2 * value.norm() + 0.005 * whole, name


def test_no_copy_of_a_weight_outlives_its_use() -> None:
    """A copy made without gradient would serve the way back too, and cut the weight's gradient off (torch 2.10)."""
    with training_precision(torch.device("cpu"), torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
        assert not torch.is_autocast_cache_enabled()
    with training_precision(torch.device("cpu"), torch.float32):
        assert not torch.is_autocast_enabled("cpu")
