"""Networks and their losses, built by name."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import require_arguments, resolve


def build_network(name: str, settings: Mapping[str, Any]) -> Network:
    """Build the network `name` with keyword hyper-parameters, the published one without any.

    An unknown name or keyword raises `UserError`.
    """
    network = resolve(NETWORKS[name].network)
    require_arguments(network, settings, f"networks.{name}")
    built: Network = network(**settings)
    return built


def build_loss(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """Build the loss of the network `name` with keyword arguments; an unknown name or keyword raises `UserError`.

    A loss is called with `(predictions, targets, present, iteration, generators)`: predictions of the frames that have
    a target, targets as classes [B, H, W] in 0..K, present [B, K] in {0, 1} (in training on the CPU), and the
    generators of all its random draws. It returns `total`, which is minimised, and further terms to be shown.
    """
    loss = resolve(NETWORKS[name].loss)
    require_arguments(loss, settings, f"{name}.loss")
    built: nn.Module = loss(**settings)
    return built
