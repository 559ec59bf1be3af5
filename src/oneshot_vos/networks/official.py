"""Weights published with the official programs, loaded into the networks here.

STCN's names are the official ones, so nothing is renamed; a file may be a resume file (the weights under `network`),
carry the prefix `module.` of a distributed run, or come from single-object pre-training, whose value encoder knows no
other objects.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.stcn import STCN

_SHOWN = 10  # names in an error message


def load_official(
    network: STCN,
    state_dict: Mapping[str, Any],
    *,
    generator: torch.Generator | None = None,
    source: str = "state dict",
) -> None:
    """Load official STCN weights, strictly: a missing, unexpected or mis-shaped entry raises `UserError`.

    Single-object weights are widened by an input channel for the other objects: of zeros, which leaves predictions as
    they were (for evaluation), or, if a `generator` is given, orthogonal (for further training).
    `source` names the weights in error messages.
    """
    state = _plain(state_dict, source)
    if not network.single_object:
        state = _with_others_channel(state, generator)
    load_strictly(network, state, source)


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


def _plain(state_dict: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """The flat table of tensors inside an official weight or resume file."""
    inner = state_dict.get("network", state_dict)
    if not isinstance(inner, Mapping) or not inner or not _all_tensors(inner.values()):
        raise UserError(f"{source}: not a table from names to tensors; expected an official weight or resume file")
    return {name.removeprefix("module."): tensor for name, tensor in inner.items()}


def _all_tensors(values: Iterable[Any]) -> bool:
    return all(isinstance(value, Tensor) for value in values)


def _with_others_channel(state: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Widen the 4 input channels of a single-object value encoder to 5; other weights come back as they are."""
    name = "value_encoder.conv1.weight"
    weight = state.get(name)
    if weight is None or weight.ndim != 4 or weight.shape[1] != 4:
        return state
    channel = torch.zeros_like(weight[:, :1])
    if generator is not None:
        nn.init.orthogonal_(channel, generator=generator)
    return {**state, name: torch.cat([weight, channel], 1)}
