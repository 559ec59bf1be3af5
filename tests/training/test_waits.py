"""No training step waits for its device: on `meta`, which has no values, to ask for one is an error."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tests.training.test_precision import PAIRS, clip

from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.params import load_params
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.training.distributed import World
from oneshot_vos.training.terms import LossTerms


@pytest.mark.parametrize(("network", "strategy"), PAIRS)
def test_a_step_asks_for_no_value(
    network: str, strategy: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no such device
    settings = load_params(repository / "params.yaml", "smoke").profile.networks[network]
    built = build_network(network, settings)
    options = RolloutOptions(memory_frames=2, deep_update=0.5)
    module = build_strategy(strategy, {}, built, build_loss(network, {}), options).to("meta").train()
    terms = module(clip().to("meta"), 30_000, Generators.of(0, 0, range(2)))
    terms["total"].backward()
    torch.nn.utils.clip_grad_norm_(built.parameters(), 1.0)
    LossTerms(World(0, 1, torch.device("meta"))).add(30_000, terms, ["a", "b"])
    assert all(each.device.type == "meta" for each in terms.values())
    assert sum(parameter.grad is not None for parameter in built.parameters()) > 10


def test_a_value_of_meta_cannot_be_asked_for() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(2, device="meta").tolist()
