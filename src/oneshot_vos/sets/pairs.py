"""Still images with masks: the pairs of a folder, or the labelled frames of videos."""

from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import first_shown
from oneshot_vos.videos.frame_files import is_litter, require_unbroken
from oneshot_vos.videos.masks import object_ids, read_mask
from oneshot_vos.videos.pairs import ImagePair, read_objects
from oneshot_vos.videos.video import Video

_IMAGE_SUFFIXES = (".jpg", ".jpeg")
_MASK_SUFFIX = ".png"


def read_pairs(root: Path) -> list[ImagePair]:
    """List the image–mask pairs below `root`, sorted by name.

    Flat folders (`NAME.jpg` + `NAME.png`) and class folders (`CLASS/NAME.jpg` + `CLASS/NAME.png`) are both read. An
    image without a mask, a mask without an image, two files that claim one place in a pair, and a folder without any
    pair raise `UserError`.
    """
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; expected one with NAME.jpg + NAME.png pairs, flat or in class folders")
    entries = [path for path in root.rglob("*") if not is_litter(path.name)]
    require_unbroken(entries)
    files = [path for path in entries if path.is_file()]
    images = _by_name([path for path in files if path.suffix.lower() in _IMAGE_SUFFIXES])
    masks = _by_name([path for path in files if path.suffix.lower() == _MASK_SUFFIX])
    _refuse_singles(root, "image", sorted(images[key] for key in images.keys() - masks.keys()), "mask (.png)")
    _refuse_singles(root, "mask", sorted(masks[key] for key in masks.keys() - images.keys()), "image (.jpg)")
    if not images:
        raise UserError(f"{root}: no image–mask pairs found; expected NAME.jpg + NAME.png, flat or in class folders")
    return [ImagePair(key.relative_to(root).as_posix(), images[key], masks[key]) for key in sorted(images)]


def first_pairs(videos: Sequence[Video]) -> list[ImagePair]:
    """The frame of every video that one-shot training has a mask of, with it: the first one that shows an object.

    Clips made of these images need no label that one-shot training does not get. `UserError` for a video without one,
    and for a mask that means other objects as a still image than in its video.
    """
    pairs = []
    for video in videos:
        stem = first_shown(video)
        _require_same_objects(video, video.masks[stem])
        frames = {video.stem(t): frame for t, frame in enumerate(video.frames)}
        pairs.append(ImagePair(video.name, frames[stem], video.masks[stem]))
    return pairs


def _require_same_objects(video: Video, mask: Path) -> None:
    """Refuse grey values that a still image has as one soft object, and ids that are one object in their video."""
    expected = 1 if video.single_object else len(object_ids(read_mask(mask)))
    found = len(read_objects(mask))
    if found != expected:
        raise UserError(
            f"{mask}: {found} object(s) as the mask of a still image, {expected} as that of video '{video.name}'; "
            "expected the same for pretraining on labelled frames. Save it as palette PNG, with one id for each object"
        )


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
