"""Weight files: our own, which say what they are, and the official ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from oneshot_vos import __version__
from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.official import fit_objects, load_official, load_strictly, plain_table

# All metadata go under one name: with several, the order in the file, and so its checksum, would change between runs.
_METADATA = "oneshot_vos"


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, Any]) -> None:
    """Write the network's state dict as safetensors, atomically; equal weights and metadata give equal bytes.

    `metadata` holds JSON values, such as the model's name, its keyword arguments, the run and the iteration; the
    version of this package is added as `version`.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    text = json.dumps({**metadata, "version": __version__}, sort_keys=True)
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; safetensors hides its files from colleagues
        try:
            save_file(tensors, temporary, {_METADATA: text})
        except SafetensorError as error:  # a full disk, in the words of another language
            raise OSError(str(error)) from error
        temporary.chmod(mode)


def read_metadata(path: Path) -> dict[str, Any]:
    """What `save_weights` wrote beside the weights; empty for safetensors of another program."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return dict(json.loads(metadata.get(_METADATA, "{}")))
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable(path, error, "safetensors weights") from error


def load_weights(path: Path, network: Network, *, generator: torch.Generator | None = None) -> None:
    """Load a `.safetensors` file of ours or an official `.pth` file, strictly.

    `generator` matters to weights that know other objects if the network does not, or the other way round, see
    `fit_objects`; without it such a file of ours is refused. A file that is missing,
    truncated, of another kind or of another network raises `UserError` and leaves the network as it was.
    """
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
        load_strictly(network, fit_objects(network, state, generator) if generator else state, str(path))
    else:
        load_official(network, _read_official(path), generator=generator, source=str(path))


def recognise(path: Path) -> tuple[str | None, dict[str, Any] | None]:
    """What network a weight file belongs to, as far as it tells: its name and its keyword arguments.

    Files of ours say both. Of official files, and of other safetensors, the names of the weights tell the network, and
    the arguments are those of the published one, Cutie's small variant included. None stands for what is not known. An
    unreadable file raises `UserError`.
    """
    if path.suffix == ".safetensors":
        told = read_metadata(path)
        if told:
            return told.get("model"), told.get("settings")
        names = set(_read_safetensors(path))
    else:
        names = set(plain_table(_read_official(path), str(path)))
    for name, spec in NETWORKS.items():
        if spec.owns(names):
            return name, spec.arguments(names)
    return None, None


def architecture(weights: Path, network: str | None = None) -> tuple[str, Mapping[str, Any]]:
    """The name of a weight file's network and its keyword arguments.

    network: the name, where somebody says it. Raises `UserError` for an unknown one, for another one than the file
    says, and for a file that says nothing where nobody else does.
    """
    if network is not None:
        NETWORKS[network]  # an unknown name raises
    found, arguments = recognise(weights)
    if found is not None and network is not None and found != network:
        raise UserError(f"{weights}: these are weights of '{found}', not of '{network}'; leave --network out")
    name = network or found
    if name is None:
        raise UserError(
            f"{weights}: does not say which network its weights are of, and they are of none known here; expected "
            f"weights of {', '.join(NETWORKS)}, as `oneshot-vos train` or the official programs write them"
        )
    return name, arguments or {}


def read_weights(path: Path) -> dict[str, Any]:
    """What a weight file holds, by name: `.safetensors`, or else a `.pth` of tensors alone."""
    return dict(_read_safetensors(path) if path.suffix == ".safetensors" else _read_official(path))


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error, "safetensors weights") from error


def _read_official(path: Path) -> Mapping[str, Any]:
    expected = "an official weight file (.pth) of tensors alone"
    try:
        content = read_tensors(path)
    except (FileNotFoundError, UnreadableTensorsError) as error:
        raise _unreadable(path, error, expected) from error
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise _unreadable(path, TypeError("not a table from names to tensors"), expected)
    if {"fingerprint", "iteration", "optimiser"} <= content.keys():
        raise UserError(
            f"{path}: the checkpoint of a training that has not ended; expected weights. Make them of it: "
            f"oneshot-vos export {path}"
        )
    return content


def _unreadable(path: Path, error: Exception, expected: str) -> UserError:
    if not path.exists():
        return UserError(f"{path}: not found; expected {expected}. Check the name, or make or download the file")
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return UserError(
        f"{path}: not readable as weights ({reason}); expected {expected}. It is truncated, or a file of another kind: "
        "name another file, or make or download it again"
    )


# --- what `torch.save` wrote: the one place where such files are opened --------------------------------------------


class UnreadableTensorsError(Exception):
    """Says in one line why a file is not one of tensors and plain values."""


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Any:
    """The content of a file, with its tensors on `device`; no code of the file is run, and no class of it is made.

    A missing file raises `FileNotFoundError`, any other that cannot be read `UnreadableTensorsError`.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch trusts the order of what it reads, so that a damaged file can raise anything
        raise UnreadableTensorsError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnpicklingError":  # torch's words on it are an advice to switch its protection off
        return "no file of tensors, or one that wants to run code"
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
