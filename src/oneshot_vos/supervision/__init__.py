"""How a network is taught: from every frame's masks, or from the first frame's alone."""

from typing import Any

from torch import nn

from oneshot_vos.catalogue import STRATEGIES, resolve
from oneshot_vos.errors import UserError
from oneshot_vos.networks.interface import Network
from oneshot_vos.registry import Registry
from oneshot_vos.supervision.one_shot import OneShot, Reference, hard, soft
from oneshot_vos.supervision.rollout import Rollout

REFERENCES: Registry[Reference] = Registry("reference", {"soft": soft, "hard": hard})


def build_supervision(
    name: str, network: Network[Any], loss: nn.Module, rollout: Rollout, reference: str = "soft"
) -> nn.Module:
    """The way of training `name`; a backward pass makes it one-shot training with that pass.

    `reference` matters to one-shot training alone. A way that cannot train a recurrent network is refused.
    """
    entry = STRATEGIES[name]
    if network.recurrent and not entry.recurrent:
        raise UserError(
            f"'{name}' cannot train {type(network).__name__}: its recurrent state needs two steps to fill. Choose "
            "'two_step' or 't_step'"
        )
    strategy = resolve(entry.strategy)
    if isinstance(strategy, type) and issubclass(strategy, nn.Module):
        return strategy(network, loss, rollout)
    return OneShot(network, loss, strategy(), rollout, REFERENCES[reference])


__all__ = ["REFERENCES", "build_supervision"]
