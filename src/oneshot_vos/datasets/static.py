"""Folders of still images with masks, the raw material of static pretraining."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.datasets.images import decoding
from oneshot_vos.datasets.masks import read_mask
from oneshot_vos.errors import UserError

_IMAGE_SUFFIXES = (".jpg", ".jpeg")
_MASK_SUFFIX = ".png"
# From this value on, the mask is a grey map (0 background … 255 object, soft edges), not a table of object ids.
_GREY_MAP = 128


@dataclass(frozen=True)
class ImagePair:
    """One image and its mask; `name` is the image's path below the root, without suffix."""

    name: str
    image: Path
    mask: Path


def read_pairs(root: Path) -> list[ImagePair]:
    """List the image–mask pairs below `root`, sorted by name.

    Flat folders (`NAME.jpg` + `NAME.png`) and class folders (`CLASS/NAME.jpg` + `CLASS/NAME.png`) are both read. An
    image without a mask, a mask without an image, two files that claim one place in a pair, and a folder without any
    pair raise `UserError`.
    """
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; expected one with NAME.jpg + NAME.png pairs, flat or in class folders")
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    images = _by_name([path for path in files if path.suffix.lower() in _IMAGE_SUFFIXES])
    masks = _by_name([path for path in files if path.suffix.lower() == _MASK_SUFFIX])
    _refuse_singles(root, "image", sorted(images[key] for key in images.keys() - masks.keys()), "mask (.png)")
    _refuse_singles(root, "mask", sorted(masks[key] for key in masks.keys() - images.keys()), "image (.jpg)")
    if not images:
        raise UserError(f"{root}: no image–mask pairs found; expected NAME.jpg + NAME.png, flat or in class folders")
    return [ImagePair(key.relative_to(root).as_posix(), images[key], masks[key]) for key in sorted(images)]


def _by_name(paths: list[Path]) -> dict[Path, Path]:
    """The files by their paths without suffix."""
    named: dict[Path, Path] = {}
    for path in sorted(paths):
        other = named.setdefault(path.with_suffix(""), path)
        if other != path:
            raise UserError(
                f"{path}: differs from {other.name} beside it in its suffix alone; expected one image and one mask of "
                "a name. Take one of the two away"
            )
    return named


def _refuse_singles(root: Path, kind: str, singles: list[Path], partner: str) -> None:
    if singles:
        raise UserError(
            f"{root}: {len(singles)} {kind}(s) without their {partner} of the same name, the first is {singles[0]}; "
            "add the missing files or remove these"
        )


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
    return [(ids == each).astype(np.uint8) * np.uint8(255) for each in present]


def _read_grey_map(path: Path) -> NDArray[np.uint8] | None:
    """The pixels of an 8-bit grey mask that reaches beyond `_GREY_MAP`; None for a mask of ids."""
    with decoding(path, "a mask as PNG file"), Image.open(path) as image:
        if image.format != "PNG" or image.mode != "L":
            return None
        pixels = np.asarray(image)
    return pixels if pixels.max() >= _GREY_MAP else None
