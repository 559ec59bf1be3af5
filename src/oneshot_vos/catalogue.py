"""What can be chosen by name: networks and ways of training. Adding one is a new file and one line here.

The entries say where a thing is, and what params.yaml has to be checked against, without importing it: torch takes
seconds to load, and a mistyped name should not.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from oneshot_vos.registry import Registry


@dataclass(frozen=True)
class NetworkEntry:
    """A network and the loss that it is trained with, as `module:name`."""

    network: str
    loss: str
    recurrent: bool = False  # a state travels from frame to frame


@dataclass(frozen=True)
class StrategyEntry:
    """A way of training, as `module:name`.

    labels: which masks it is given, `every` or those of `first` frames. shortest_clip: the fewest frames it can use.
    recurrent: whether it can train networks with a recurrent state. given: what the trained network is shown of a
    video's masks, `first` or, for a network that learned without any, `empty`: one object whose mask shows nothing.
    """

    strategy: str
    labels: str = "first"
    shortest_clip: int = 2
    recurrent: bool = True
    given: str = "first"


_NETWORKS, _SUPERVISION = "oneshot_vos.networks", "oneshot_vos.supervision"

NETWORKS: Registry[NetworkEntry] = Registry(
    "network",
    {
        "stcn": NetworkEntry(f"{_NETWORKS}.stcn.network:STCN", f"{_NETWORKS}.common.losses:BootstrappedCrossEntropy"),
        "xmem": NetworkEntry(
            f"{_NETWORKS}.xmem.network:XMem", f"{_NETWORKS}.common.losses:BootstrappedDice", recurrent=True
        ),
        "cutie": NetworkEntry(f"{_NETWORKS}.cutie.network:Cutie", f"{_NETWORKS}.cutie.loss:PointLoss", recurrent=True),
    },
)

STRATEGIES: Registry[StrategyEntry] = Registry(
    "strategy",
    {
        "full": StrategyEntry(f"{_SUPERVISION}.full:FullSupervision", labels="every"),
        "t_step": StrategyEntry(f"{_SUPERVISION}.backward:TStep"),
        "two_step": StrategyEntry(f"{_SUPERVISION}.backward:TwoStep", shortest_clip=3),
        "one_step": StrategyEntry(f"{_SUPERVISION}.backward:OneStep", recurrent=False),
        "empty": StrategyEntry(f"{_SUPERVISION}.empty:EmptyReference", shortest_clip=3, given="empty"),
    },
)


def resolve(place: str) -> Any:
    """Import what `module:name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
