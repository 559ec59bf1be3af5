"""Strategies, built by name."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import require_arguments, resolve
from oneshot_vos.supervision import STRATEGIES
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.supervision.strategy import Strategy


def build_strategy(
    name: str, settings: Mapping[str, Any], network: Network, loss: nn.Module, options: RolloutOptions
) -> Strategy:
    """The strategy `name` with keyword `settings`, which trains `network` with `loss`.

    The network has its initial weights by now: a strategy may copy them. Raises `UserError` for an unknown name, an
    unknown or missing setting, and a recurrent network with a strategy that cannot train one.
    """
    spec = STRATEGIES[name]
    if network.recurrent and not spec.recurrent:
        raise UserError(
            f"'{name}' cannot train {type(network).__name__}: its recurrent state needs two steps to fill. Choose "
            "'two_step' or 't_step'"
        )
    construct = partial(resolve(spec.strategy), network, loss, options)
    require_arguments(construct, settings, f"strategy.{name}")
    built: Strategy = construct(**settings)
    return built


def check_settings(name: str, settings: Mapping[str, Any], where: str) -> None:
    """Raise `UserError` if the strategy `name` does not take these keyword settings; `where` is their place."""
    require_arguments(partial(resolve(STRATEGIES[name].strategy), None, None, None), settings, where)
