"""How a network is taught: from every frame's masks, or from the first frame's alone."""

from typing import Any

from torch import nn

from oneshot_vos.catalogue import STRATEGIES, resolve
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import Registry
from oneshot_vos.supervision.one_shot import Handover, OneShot, hard, soft
from oneshot_vos.supervision.rollout import RolloutOptions

HANDOVERS: Registry[Handover] = Registry("handover", {"soft": soft, "hard": hard})


def build_supervision(
    name: str, network: Network[Any], loss: nn.Module, rollout: RolloutOptions, handover: str = "soft"
) -> nn.Module:
    """The way of training `name`; a backward pass makes it one-shot training with that pass.

    `handover` matters to one-shot training alone. A way that cannot train a recurrent network is refused.
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
    return OneShot(network, loss, strategy(), rollout, HANDOVERS[handover])


__all__ = ["HANDOVERS", "build_supervision"]
