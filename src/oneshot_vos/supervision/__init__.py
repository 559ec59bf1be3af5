"""How a network is taught: from every frame's masks, or from the first frame's alone."""

from typing import Any

from torch import nn

from oneshot_vos.networks.interface import Network
from oneshot_vos.registry import Registry
from oneshot_vos.supervision.backward import BackwardPass, OneStep, TStep, TwoStep
from oneshot_vos.supervision.full import FullSupervision
from oneshot_vos.supervision.one_shot import OneShot, Reference, hard, soft

BACKWARD_PASSES: Registry[type[BackwardPass]] = Registry(
    "backward pass", {"t_step": TStep, "two_step": TwoStep, "one_step": OneStep}
)
REFERENCES: Registry[Reference] = Registry("reference", {"soft": soft, "hard": hard})


def build_supervision(name: str, network: Network[Any], loss: nn.Module, reference: str = "soft") -> nn.Module:
    """`full`, or one-shot with the backward pass of that name; `reference` matters to one-shot alone."""
    if name == "full":
        return FullSupervision(network, loss)
    return OneShot(network, loss, BACKWARD_PASSES[name](), REFERENCES[reference])


__all__ = ["BACKWARD_PASSES", "REFERENCES", "FullSupervision", "OneShot", "build_supervision"]
