"""Weights published with the official programs, loaded into the networks here.

The networks' names are the official ones, so nothing is renamed; a file may be a resume file (the weights under
`network` or `weights`), carry the prefix `module.` of a distributed run, or come from single-object pre-training,
which knows no other objects.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.interface import Network

_IMAGE_AND_MASK = 4  # input channels of a single-object trunk
_SHOWN = 10  # names in an error message


def load_official(
    network: Network,
    state_dict: Mapping[str, Any],
    *,
    generator: torch.Generator | None = None,
    source: str = "state dict",
) -> None:
    """Load official weights, strictly: a missing, unexpected or mis-shaped entry raises `UserError`.

    Entries that the network calls optional (they serve training alone) keep their initial values if absent.
    The channel of the other objects is added or taken away as `fit_objects` does. `source` names the weights in error
    messages.
    """
    state = fit_objects(network, plain_table(state_dict, source), generator)
    for name, tensor in network.state_dict().items():
        if name.startswith(network.optional_weights) or name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
    load_strictly(network, state, source)


def fit_objects(network: Network, state: Mapping[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """The weights with as many input channels as the network has, be it one that sees the other objects or not.

    Single-object weights are widened by an input channel for the other objects: of zeros, which leaves predictions as
    they were (for evaluation), or, if a `generator` is given, orthogonal (for further training). Multi-object weights
    for a single-object network lose that channel; with a `generator`, the mask channel of the trunk's first
    convolution is then drawn anew, orthogonal by itself, as a single-object network starts from ImageNet.
    """
    own = network.state_dict()
    fitted = {name: _fitted(state[name], own[name], generator) for name in network.others_channels if name in state}
    return {**state, **fitted}


def _fitted(weight: Tensor, own: Tensor, generator: torch.Generator | None) -> Tensor:
    """Append or take away the last input channel if that makes the weight fit; otherwise as it is."""
    if weight.ndim != own.ndim or weight.shape[1] == own.shape[1]:
        return weight
    if weight.shape[1] == own.shape[1] + 1:
        weight = weight[:, :-1].clone()
        if generator is not None and weight.shape[1] == _IMAGE_AND_MASK:
            nn.init.orthogonal_(weight[:, -1:], generator=generator)
        return weight
    if weight.shape[1] + 1 != own.shape[1]:
        return weight
    channel = torch.zeros_like(weight[:, :1])
    if generator is not None:
        nn.init.orthogonal_(channel, generator=generator)
    return torch.cat([weight, channel], 1)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load `state` if its names and shapes are those of `network`; otherwise raise `UserError` and change nothing."""
    own = network.state_dict()
    findings = [
        *_finding("missing", [name for name in own if name not in state]),
        *_finding("unexpected", [name for name in state if name not in own]),
        *_finding(
            "of another shape",
            [
                f"{name} {list(state[name].shape)} instead of {list(own[name].shape)}"
                for name in own
                if name in state and state[name].shape != own[name].shape
            ],
        ),
    ]
    if findings:
        raise UserError(
            f"{source}: these weights do not fit {type(network).__name__} as it is configured; {'; '.join(findings)}. "
            "Load the weights that belong to this network, or give the network the arguments they were trained with"
        )
    network.load_state_dict(dict(state))


def _finding(kind: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{more}"]


def plain_table(state_dict: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """The flat table of tensors inside an official weight or resume file."""
    inner = state_dict.get("network", state_dict.get("weights", state_dict))
    named = inner.items() if isinstance(inner, Mapping) else ()
    if not named or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in named):
        raise UserError(f"{source}: not a table from names to tensors; expected an official weight or resume file")
    return {name.removeprefix("module."): tensor for name, tensor in named}
