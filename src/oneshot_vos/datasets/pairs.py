"""Sets of image–mask pairs as data: one JSON file that names every pair, as `index.py` does for videos."""

import os
from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.datasets.static import ImagePair
from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json, sha256_of, write_json

_FORMAT = "oneshot-vos pairs 1"
_EXPECTED = "an index of image–mask pairs, as written by the stage 'data'"


def write_pairs(path: Path, pairs: Sequence[ImagePair]) -> None:
    """Write the names and files of `pairs`, relative to the folder of `path`, with the masks' SHA-256."""
    folder = path.parent.absolute()
    entries = [
        {
            "name": pair.name,
            "image": Path(os.path.relpath(pair.image.absolute(), folder)).as_posix(),
            "mask": Path(os.path.relpath(pair.mask.absolute(), folder)).as_posix(),
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
    folder = path.parent
    return [
        ImagePair(
            entry["name"],
            Path(os.path.normpath(folder / entry["image"])),
            Path(os.path.normpath(folder / entry["mask"])),
        )
        for entry in content["pairs"]
    ]
