"""Weight files: our own, which say what they are, and the official ones."""

import json
import pickle
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
from oneshot_vos.networks.interface import Network
from oneshot_vos.networks.official import load_official, load_strictly

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
        save_file(tensors, temporary, {_METADATA: text})


def read_metadata(path: Path) -> dict[str, Any]:
    """What `save_weights` wrote beside the weights; empty for safetensors of another program."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error, "safetensors weights") from error
    return dict(json.loads(metadata.get(_METADATA, "{}")))


def load_weights(path: Path, network: Network[Any], *, generator: torch.Generator | None = None) -> None:
    """Load a `.safetensors` file of ours or an official `.pth` file, strictly.

    `generator` matters to official single-object weights alone, see `load_official`. A file that is missing,
    truncated, of another kind or of another network raises `UserError` and leaves the network as it was.
    """
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error, "safetensors weights") from error
        load_strictly(network, state, str(path))
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise _unreadable(path, error, "an official weight file (.pth) of tensors alone") from error
        load_official(network, content, generator=generator, source=str(path))


def _unreadable(path: Path, error: Exception, expected: str) -> UserError:
    if not path.exists():
        return UserError(f"{path}: not found; expected {expected}")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"{path}: not readable ({reason}); expected {expected}. The file is truncated or of another kind: "
        "delete it and make or download it again"
    )
