"""Still images with a mask, the raw material of static pretraining: their index, and reading their objects.

The index is one JSON file that names every pair, as `index.py` does for videos.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, sha256_of, taken_apart, write_json
from oneshot_vos.videos.images import decoding, open_image
from oneshot_vos.videos.index import relative_path, resolve_path
from oneshot_vos.videos.masks import VOID, flat_ids, read_mask

_FORMAT = "oneshot-vos pairs 1"
_EXPECTED = "an index of image–mask pairs, as written by the stage 'data'"
# From this value on, the mask is a grey map (0 background … 255 object, soft edges), not a table of object ids.
_GREY_MAP = 128
_FEW = 8  # values; soft edges have more


@dataclass(frozen=True)
class ImagePair:
    """One image and its mask; `name` is the image's path below the root, without suffix."""

    name: str
    image: Path
    mask: Path


def read_objects(path: Path) -> list[NDArray[np.uint8]]:
    """Read the mask of a still image as one plane [H, W] per object, 0 background to 255 object.

    A mask of ids (0/1, or instances 1, 2, …) gives one hard plane per id in increasing order. A grey map (saliency
    sets: 8-bit grey, 0 to 255, soft edges) is one object and keeps its soft edges. An empty mask gives an empty list.
    """
    grey = _read_grey_map(path)
    if grey is not None:
        return [grey]
    ids = read_mask(path)
    largest = int(ids.max())
    present = np.flatnonzero(np.bincount(ids.ravel())[1:]) + 1 if largest > 1 else np.arange(1, largest + 1)
    if VOID in present and 1 < len(present) < VOID // 2:
        raise UserError(
            f"{path}: value {VOID} beside {len(present) - 1} id(s): a border to ignore, which would become an object; "
            "expected ids counted from 1. Set it to 0"
        )
    return [(ids == number).astype(np.uint8) * np.uint8(255) for number in present]


def looks_like_ids(path: Path) -> bool:
    """Whether a mask that is read as a grey map shows areas of a few low values and 255: ids and a border, maybe."""
    grey = _read_grey_map(path)
    if grey is None:
        return False
    found = np.unique(grey)
    low = found[(found > 0) & (found < _GREY_MAP)]
    return 0 < len(low) == len(found) - 2 < _FEW and found[-1] == VOID and bool(np.isin(low, flat_ids(grey)).all())


def _read_grey_map(path: Path) -> NDArray[np.uint8] | None:
    """The pixels of an 8-bit grey mask that reaches beyond `_GREY_MAP`; None for a mask of ids."""
    with decoding(path, "a mask as PNG file"), open_image(path, path) as image:
        if image.format != "PNG" or image.mode != "L":
            return None
        pixels = np.asarray(image)
    return pixels if pixels.max() >= _GREY_MAP else None


def write_pairs(path: Path, pairs: Sequence[ImagePair]) -> None:
    """Write the names and files of `pairs`, relative to the folder of `path`, with the masks' SHA-256."""
    entries = [
        {
            "name": pair.name,
            "image": relative_path(pair.image, path.parent),
            "mask": relative_path(pair.mask, path.parent),
            "sha256": sha256_of(pair.mask),
        }
        for pair in pairs
    ]
    write_json(path, {"format": _FORMAT, "set": path.stem, "count": len(pairs), "pairs": entries})


def read_pairs_index(path: Path) -> list[ImagePair]:
    """Read what `write_pairs` wrote; raises `UserError` if `path` is something else."""
    content = read_json(path, _EXPECTED)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(f"{path}: not {_EXPECTED}. Run the stage 'data' again")
    with taken_apart(path, _EXPECTED, "Run the stage 'data' again"):
        return [
            ImagePair(each["name"], resolve_path(path.parent, each["image"]), resolve_path(path.parent, each["mask"]))
            for each in content["pairs"]
        ]
