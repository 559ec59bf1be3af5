"""Stage `start`: weights that were trained elsewhere, or by another run, as a run of this profile starts from them."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from oneshot_vos.errors import UserError
from oneshot_vos.files import sha256_of
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import load_weights, recognise, save_weights
from oneshot_vos.params import Params
from oneshot_vos.registry import resolve

_log = logging.getLogger(__name__)
_CHANNEL_SEED = 14159265  # of the channel that single-object weights lack: as at the start of any training


def run(params: Params, name: str, weights: Path, out: Path) -> None:
    """Write the start `name` from the file `weights`, as the profile has the network, to `out`.

    Raises `UserError`, with all that differs, for weights of another network, or of other arguments or shapes.
    """
    network = params.starts[name].network
    settings = params.profile.networks[network]
    findings = find_mismatch(params, name, weights)
    if findings:
        raise UserError("; ".join(findings))
    built = build_network(network, settings)
    load_weights(weights, built, generator=torch.Generator().manual_seed(_CHANNEL_SEED))
    told = {"model": network, "settings": settings, "start": name, "from": sha256_of(weights)}
    save_weights(out, built, told)
    _log.info("%s: %s, as runs with init '%s' start", out, weights, name)


def find_mismatch(params: Params, name: str, weights: Path) -> list[str]:
    """What a weight file says of itself that is not so for the network of the start `name`; nothing is built."""
    network = params.starts[name].network
    found, arguments = recognise(weights)
    if found is not None and found != network:
        return [f"starts.{name}: {weights}: these are weights of '{found}', not of '{network}'"]
    if arguments is None:
        return []
    theirs, ours = _complete(network, arguments), _complete(network, params.profile.networks[network])
    return [
        f"starts.{name}: {weights}: {key} is {theirs.get(key)}, that of the profile '{params.profile_name}' is "
        f"{ours.get(key)}; expected weights of the same network"
        for key in sorted(theirs | ours)
        if key != "single_object" and theirs.get(key) != ours.get(key)  # that channel is added or taken away
    ]


def _complete(network: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All keyword arguments of a network, in the words of a file."""
    known = inspect.signature(resolve(NETWORKS[network].network)).parameters
    defaults = {key: each.default for key, each in known.items() if each.default is not inspect.Parameter.empty}
    return {key: list(each) if isinstance(each, tuple) else each for key, each in (defaults | dict(arguments)).items()}
