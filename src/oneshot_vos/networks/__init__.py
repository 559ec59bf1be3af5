"""The networks, by name.

A network is a file here that implements `interface.Network`, and one entry in `NETWORKS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from oneshot_vos.networks.imagenet import load_imagenet
from oneshot_vos.networks.interface import Network
from oneshot_vos.networks.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.official import load_official
from oneshot_vos.networks.stcn import STCN
from oneshot_vos.params import require_arguments
from oneshot_vos.registry import Registry


@dataclass(frozen=True)
class NetworkSpec:
    """What the rest of the package needs to know of a network."""

    name: str
    build: Callable[..., Network[Any]]  # keyword hyper-parameters; the published network without any
    recurrent: bool
    loss: Callable[..., nn.Module]  # keywords start, end, top_p
    load_official: Callable[..., None]  # network, state dict; keywords generator, source
    load_imagenet: Callable[..., None]  # network, generator


NETWORKS: Registry[NetworkSpec] = Registry(
    "network",
    {
        "stcn": NetworkSpec(
            name="stcn",
            build=STCN,
            recurrent=STCN.recurrent,
            loss=BootstrappedCrossEntropy,
            load_official=load_official,
            load_imagenet=load_imagenet,
        )
    },
)


def build_network(name: str, settings: Mapping[str, Any]) -> Network[Any]:
    """Build the network `name` with keyword hyper-parameters; an unknown keyword raises `UserError`."""
    spec = NETWORKS[name]
    require_arguments(spec.build, settings, f"networks.{name}")
    return spec.build(**settings)


__all__ = ["NETWORKS", "NetworkSpec", "build_network"]
