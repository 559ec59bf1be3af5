"""Reading what `torch.save` wrote, tensors and plain values alone: the one place where such files are opened."""

from pathlib import Path
from typing import Any

import torch


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
