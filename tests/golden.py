"""Reading golden numbers: files of expected arrays, and the recipe that makes their weights and clips from seeds."""

import json
import types
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oneshot_vos.networks.common.official import load_official

N = TypeVar("N", bound=nn.Module)
_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@cache
def load_recipe(root: Path) -> types.ModuleType:
    """The module beside the cases."""
    module = types.ModuleType("golden_recipe")
    exec(compile((root / "recipe.py").read_text(encoding="utf-8"), str(root / "recipe.py"), "exec"), module.__dict__)
    return module


def find_cases(folder: Path, kind: str, named: Callable[[str], bool] | None = None) -> list[Path]:
    """The cases of a kind: files with that word in their name, whatever stands before it. None there: skipped.

    named: another rule for the name without its suffix.
    """
    found = sorted(path for path in folder.glob("*.npz") if (named or (lambda stem: kind in stem))(path.stem))
    if not found:
        pytest.skip(f"no case of kind {kind} in {folder}")
    return found


def read_case(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a case was made from, and its arrays."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def read_shapes(root: Path, file: str) -> dict[str, list[int]]:
    """Names and shapes of an official state dict."""
    shapes: dict[str, list[int]] = json.loads((root / file).read_text(encoding="utf-8"))
    return shapes


def make_clip(recipe: types.ModuleType, video: Mapping[str, Any], checksums: Mapping[str, Any]) -> tuple[Tensor, Any]:
    """Normalised images [T, 3, H, W] and ids [T, H, W] of the clip that has the checksums of the case."""
    rgb, ids = recipe.det_video(*(video[name] for name in ("frames", "height", "width", "objects", "seed")))
    for name, array in (("rgb_crc32", rgb), ("ids_crc32", ids)):
        if name in checksums:
            assert zlib.crc32(array.tobytes()) == int(np.squeeze(checksums[name])), "the recipe made another clip"
    scaled = (rgb.astype(np.float32) / 255 - _MEAN) / _DEVIATION
    return torch.from_numpy(scaled.astype(np.float32).transpose(0, 3, 1, 2).copy()), ids


def build_blank(build: Callable[[], N]) -> N:
    """A network without initial values, which would be computed in vain."""
    with torch.device("meta"):
        network = build()
    return network.to_empty(device="cpu").eval()


def load_weights_of(recipe: types.ModuleType, network: N, shapes: Mapping[str, list[int]], salt: str) -> N:
    """Give the network the weights of a salt, strictly, through the loader of official files."""
    weights = recipe.det_state_dict(shapes, salt)
    load_official(network, {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()})
    return network


def each_case(folder: Path, kind: str, named: Callable[[str], bool] | None = None) -> Iterator[tuple[str, Any, Any]]:
    """Name, origin and arrays of the cases of a kind."""
    for path in find_cases(folder, kind, named):
        yield (path.stem, *read_case(path))
