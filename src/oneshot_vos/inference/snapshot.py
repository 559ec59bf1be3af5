"""Where a tracker stands, as a file: so that hours of video need not be gone through twice after an interruption.

Tensors are stored as torch stores them, and read as tensors alone. What lies around them, the objects of this package,
is pickled; reading accepts no class from anywhere else, so a foreign file cannot run code. The network is not part of
it. A snapshot fits the version of the package that wrote it.
"""

import io
import pickle
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from oneshot_vos.files import replacing
from oneshot_vos.inference.propagate import ObjectTracker

_PACKAGE = "oneshot_vos."
_BUILTINS = frozenset({"set", "frozenset", "slice"})
_PROTOCOL = 5


def save_tracker(path: Path, tracker: ObjectTracker, position: int) -> None:
    """Write a tracker that has passed `position` frames, atomically."""
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(tracker)
    objects = torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)
    with replacing(path) as temporary:
        torch.save({"position": position, "objects": objects, "tensors": pickler.tensors}, temporary)


def load_tracker(
    path: Path, fresh: ObjectTracker, network: nn.Module, device: torch.device
) -> tuple[ObjectTracker, int] | None:
    """The tracker and its position; None if there is no file, or none that can be read.

    fresh: a tracker made with the same arguments; it lends what is not stored.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        stream = io.BytesIO(content["objects"].cpu().numpy().tobytes())
        tracker = _Unpickler(stream, content["tensors"], network, fresh).load()
        return (tracker, int(content["position"])) if isinstance(tracker, ObjectTracker) else None
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, pickle.UnpicklingError):
        return None  # damaged: the frames are gone through again, with the same result


class _Pickler(pickle.Pickler):
    """Leaves tensors, the network and functions out of the stream, by a name for each."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, _PROTOCOL)
        self.tensors: list[Tensor] = []
        self._places: dict[int, int] = {}  # id of a tensor to its place: what is shared stays shared

    def persistent_id(self, obj: Any) -> tuple[str, object] | None:
        if isinstance(obj, Tensor):
            if id(obj) not in self._places:
                self._places[id(obj)] = len(self.tensors)
                self.tensors.append(obj)
            return "tensor", self._places[id(obj)]
        if isinstance(obj, nn.Module):
            return "network", None
        if isinstance(obj, torch.dtype):
            return "dtype", str(obj).removeprefix("torch.")
        if isinstance(obj, FunctionType):
            return "function", obj.__module__
        return None


class _Unpickler(pickle.Unpickler):
    """Puts back what `_Pickler` left out, and knows the classes of this package alone."""

    def __init__(self, stream: io.BytesIO, tensors: list[Tensor], network: nn.Module, fresh: ObjectTracker) -> None:
        super().__init__(stream)
        self._tensors = tensors
        self._network = network
        self._functions = {
            value.__module__: value
            for bank in fresh.banks
            for value in vars(bank).values()
            if isinstance(value, FunctionType)
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = None
        if module_name.startswith(_PACKAGE) or (module_name == "builtins" and global_name in _BUILTINS):
            found = super().find_class(module_name, global_name)
        if not isinstance(found, type):
            raise pickle.UnpicklingError(f"{module_name}.{global_name} has no place in a snapshot")
        return found

    def persistent_load(self, pid: tuple[str, Any]) -> Any:
        kind, value = pid
        if kind == "tensor":
            return self._tensors[value]
        if kind == "network":
            return self._network
        if kind == "dtype":
            return getattr(torch, value)
        return self._functions[value]
