"""The frames of a video as files of a folder: which they are, what they are called, and their order."""

import os
import re
import unicodedata
import warnings
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import IMAGE_KINDS, IMAGE_SUFFIXES

_OTHER_IMAGE_SUFFIXES = frozenset((".avif", ".dng", ".exr", ".gif", ".heic", ".jfif", ".jp2", ".jpe", ".tga"))
# What downloads and copies are called until they are complete, and what some systems cut off or append.
_UNFINISHED = re.compile(
    r"\.(jpe?g|png|bmp|tiff?|webp)(\.| +|\.?(part|partial|crdownload|download|filepart|tmp))$", re.I
)
_LITTER = frozenset(("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"))
_DECIMAL = re.compile(r"(.*[^0-9.,])?([0-9]+[.,][0-9]+)")
_SERIES = re.compile(r"([^0-9]+)([0-9]+)\.[^.]+$")
_NEGATIVE = re.compile(r"-(\d+)")
_TIME_STAMP = re.compile(r"[0-9]{9,}\.([0-9]+)(?![0-9])")


def frame_files(folder: Path) -> list[Path]:
    """The image files of `folder` (`IMAGE_SUFFIXES` in any case) in natural order: 2 before 10.

    Hidden files and files that are no images are ignored; images of other kinds, unfinished ones, and those in folders
    beside the files with a warning. Natural order is time order; where it differs from the alphabetical order that
    other tools would use, a warning says so. A missing folder, a broken link in it, a folder with the name of an image
    and names whose order is not certain raise `UserError`.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_litter(entry.name)]
        require_unbroken(Path(entry.path) for entry in found if entry.is_symlink())
        _require_text(folder, (entry.name for entry in found))
        files = [entry.name for entry in found if entry.is_file()]
        folders = [Path(entry.path) for entry in found if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: no such folder; expected a folder of images. Check the name, or make it") from error
    _warn_of_other_images(folder, files)
    names = [name for name in files if PurePath(name).suffix.lower() in IMAGE_SUFFIXES]
    if names:
        _look_into_folders(folders)
    require_one_order(names, folder)
    names.sort(key=lambda name: natural_key(PurePath(name).stem))
    if names != sorted(names):
        warnings.warn(
            f"{folder}: frame names are not zero-padded; read in numeric order ({names[0]} … {names[-1]}), "
            "which differs from the alphabetical order of other tools",
            stacklevel=2,
        )
    _warn_of_two_series(folder, names)
    return [folder / name for name in names]


def _warn_of_two_series(folder: Path, names: Iterable[str]) -> None:
    """Say where numbers stand behind several words, as of two cameras: the frames of one follow those of the other."""
    known: dict[str, str] = {}
    for word, number in (match.groups() for name in names if (match := _SERIES.match(name))):
        other = known.setdefault(number, word)
        if other != word:
            warnings.warn(
                f"{folder}: '{other}{number}' and '{word}{number}' in one folder, all of one video, one word after the "
                "other; if they are recordings of their own, give each a folder",
                stacklevel=3,
            )
            return


def visible_entries(folder: Path) -> list[Path]:
    """What is in a folder, by name, litter apart; nothing if there is no folder. Broken links are refused."""
    entries = sorted(each for each in folder.iterdir() if not is_litter(each.name)) if folder.is_dir() else []
    require_unbroken(entries)
    return entries


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what a file manager leaves behind."""
    return name.startswith(".") or name in _LITTER


def _look_into_folders(folders: Iterable[Path]) -> None:
    """Folders beside images: refuse those that are named like one, and tell which have images of their own."""
    for folder in sorted(folders):
        if folder.suffix.lower() in IMAGE_SUFFIXES:
            raise UserError(f"{folder}: a folder; expected an image, as its name says. Restore the file, or rename it")
        count = sum(entry.suffix.lower() in IMAGE_SUFFIXES for entry in folder.iterdir())
        if count:
            warnings.warn(
                f"{folder}: {count} image(s) in a folder beside others are left out; expected all images of a video in "
                "one folder. Move them, or take the folder away",
                stacklevel=4,
            )


def _require_text(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{folder}: the name {name!r} is not UTF-8, as of an archive from another system; expected names that "
                "can be written into files. Rename it, with convmv say"
            ) from error


def require_unbroken(entries: Iterable[Path]) -> None:
    """Raise `UserError` for links to what is not there: else they would pass for entries that are not there."""
    dead = sorted(entry for entry in entries if entry.is_symlink() and not entry.exists())
    if dead:
        raise UserError(
            f"{dead[0]}: a broken link ({len(dead)} in the folder); expected links to files that are there. Restore "
            "the files, or take the links away"
        )


def frame_name(path: PurePath) -> str:
    """What ties frame, mask and prediction together: the file's name without suffix, accents written one way (NFC)."""
    return unicodedata.normalize("NFC", path.stem)


def entry_named(folder: Path, name: str) -> Path:
    """`folder / name`, or the entry whose name differs from that in how its accents are encoded alone."""
    plain = folder / name
    if name.isascii() or plain.exists() or not folder.is_dir():
        return plain
    wanted = unicodedata.normalize("NFC", name)
    return next((entry for entry in folder.iterdir() if unicodedata.normalize("NFC", entry.name) == wanted), plain)


def natural_key(name: str) -> tuple[tuple[str | int | Fraction, ...], str]:
    """Sort key that compares runs of digits as numbers; the name itself settles ties such as 1 and 01.

    What follows the point of a time stamp in seconds since 1970, such as 1403636579.05, is a fraction: .05 before .1.
    A name that is a number below 0 is that number: -2 before -1. Digits may be those of any script.
    """
    parts: list[str | int | Fraction] = [
        int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))
    ]
    negative = _NEGATIVE.match(name)
    if negative:
        parts[:2] = ["", -int(negative[1])]
    stamp = _TIME_STAMP.match(name)
    if stamp:
        parts[3] = Fraction(int(stamp[1]), 10 ** len(stamp[1]))
    return tuple(parts), name


def require_one_order(names: Iterable[str], folder: Path) -> None:
    """Raise `UserError` if the order of file names is not certain: numbers with a point, or numbers that occur twice.

    As decimal numbers 0.10 comes before 0.9, as pairs of numbers after it; which is meant the names do not tell. 7 and
    0007 are two exports in one folder, or one of them is no frame.
    """
    stems = sorted(PurePath(name).stem for name in names)
    numbers: dict[tuple[Any, ...], str] = {}
    for stem in stems:
        other = numbers.setdefault(natural_key(stem)[0], stem)
        if other != stem:
            raise UserError(
                f"{folder}: '{other}' and '{stem}' are the same number, and their order is not certain; expected each "
                "number once. Take one away, or rename the frames of one to other numbers"
            )
    points = {stem: _DECIMAL.fullmatch(stem) for stem in stems if not _TIME_STAMP.match(stem)}
    values = {stem: Fraction(point[2].replace(",", ".")) for stem, point in points.items() if point}
    if len(values) < len(numbers) or len({point[1] for point in points.values() if point}) > 1:
        return
    natural = sorted(stems, key=natural_key)
    decimal = sorted(natural, key=lambda stem: values[stem])
    if decimal != natural:
        differing = next(pair for pair in zip(decimal, natural, strict=True) if pair[0] != pair[1])
        raise UserError(
            f"{folder}: file names are numbers with a point, and their order is not certain: as decimal numbers "
            f"{differing[0]} comes before {differing[1]}, as pairs of numbers after it; expected as many digits behind "
            "the point in every name. Rename the frames, to 00000, 00001, … say"
        )


def _warn_of_other_images(folder: Path, names: Iterable[str]) -> None:
    others = sorted(name for name in names if PurePath(name).suffix.lower() in _OTHER_IMAGE_SUFFIXES)
    unfinished = sorted(name for name in names if _UNFINISHED.search(name))
    if unfinished:
        warnings.warn(
            f"{folder}: {len(unfinished)} file(s) left out that are named like unfinished images, the first is "
            f"'{unfinished[0]}'; expected {IMAGE_KINDS}. Complete the copy or download, or take them away",
            stacklevel=3,
        )
    if others:
        warnings.warn(
            f"{folder}: {len(others)} image(s) of other kinds left out, the first is {others[0]}; expected "
            f"{IMAGE_KINDS}. Convert them, or take them away",
            stacklevel=3,
        )
