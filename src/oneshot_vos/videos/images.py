"""Reading the frames of a video, and finding them in a folder."""

import os
import re
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from oneshot_vos.errors import UserError, refusal

# A small file can claim a size that takes minutes and all memory to decode.
PIXELS_VARIABLE = "ONESHOT_VOS_MAX_PIXELS"  # environment: raises the limit
MOST_PIXELS = 2**26  # 8192 x 8192; twice a frame of 8K video
# Pillow's names of what is opened at all, by content; whatever the files are called
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet, RGB in [0, 1]
STD = np.array([0.229, 0.224, 0.225], np.float32)
FILL = (124, 116, 104)  # the mean colour as 8-bit RGB: what an image shows beyond its border

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
IMAGE_KINDS = "JPEG, PNG, BMP, TIFF or WebP"
_OTHER_IMAGE_SUFFIXES = frozenset((".avif", ".dng", ".exr", ".gif", ".heic", ".jfif", ".jp2", ".jpe", ".tga"))
# What downloads and copies are called until they are complete, and what some systems cut off or append.
_UNFINISHED = re.compile(
    r"\.(jpe?g|png|bmp|tiff?|webp)(\.| +|\.?(part|partial|crdownload|download|filepart|tmp))$", re.I
)
_LITTER = frozenset(("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"))

# What Pillow raises for damaged files: UnidentifiedImageError is an OSError, broken PNG chunks are SyntaxErrors.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
_EXPECTED = f"a {IMAGE_KINDS} image with 8 or 16 bits per channel"
ORIENTATION_TAG = 0x0112
PNG_ORIENTATION_MARKS = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
_DECIMAL = re.compile(r"(.*[^0-9.,])?([0-9]+[.,][0-9]+)")
_SERIES = re.compile(r"([^0-9]+)([0-9]+)\.[^.]+$")
_NEGATIVE = re.compile(r"-(\d+)")
_TIME_STAMP = re.compile(r"[0-9]{9,}\.([0-9]+)(?![0-9])")
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L"})
_DEEPER_MODES = frozenset({"I", "F"})
_SEVERAL_PICTURES = ("TIFF", "WEBP", "PNG")  # formats whose further pictures are no copies of the first
_ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}  # marks at the end, by suffix
_TAIL_BYTES = 1024  # some cameras append padding or a preview behind the end marker
_TWELVE_BITS = 4096


def most_pixels() -> int:
    """Pixels that a frame may have at most."""
    text = os.environ.get(PIXELS_VARIABLE, str(MOST_PIXELS))
    if not text.isdecimal():
        raise UserError(f"{PIXELS_VARIABLE} is '{text}'; expected a whole number of pixels. Mend it, or unset it")
    return int(text)


def require_pixels(path: Path, width: int, height: int) -> None:
    """Raise `UserError` for a frame of more pixels; to be called before it is decoded."""
    if width * height > most_pixels():
        raise UserError(
            f"{path}: {width}x{height} pixels, {width * height} in all; expected at most {most_pixels()} in a frame. "
            f"Make it smaller, or, if it is meant to be so large, set the environment variable "
            f"{PIXELS_VARIABLE}={width * height}"
        )


def open_image(file: Path | BinaryIO, path: Path) -> Image.Image:
    """An image of one of `FORMATS` before it is decoded; to be used in `decoding` and closed by a `with`.

    file: the path, or the content as a stream. path: names it in messages. Any other content raises
    `UnidentifiedImageError` that says what it is, an image of too many pixels `UserError`.
    """
    with path.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        kind = image_kind(stream.read(16))
        stream.seek(0)
    if kind not in FORMATS:
        raise UnidentifiedImageError(f"saved as {kind}" if kind else "not an image")
    # What `Image.open` calls, which warns of a limit of its own.
    opening: Any = Image.OPEN[kind][0]
    try:
        image: Image.Image = opening(file)
    except (SyntaxError, IndexError, TypeError, struct.error) as error:
        raise UnidentifiedImageError(f"not an image, its header is damaged ({error})") from error
    try:
        require_pixels(path, *image.size)
    except UserError:
        image.close()
        raise
    return image


def image_kind(head: bytes) -> str | None:
    """Pillow's name of the format of a file that begins with these 16 bytes; None if it knows none."""
    for registering in (Image.preinit, Image.init):  # few plugins, all of them
        registering()
        for name, (_, accepts) in Image.OPEN.items():
            if accepts is not None and accepts(head.ljust(16, b"\0")):
                return name
    return None


def read_frame(path: Path) -> np.ndarray:
    """Decode one frame to RGB, upright: uint8, H x W x 3.

    The EXIF orientation is applied, as every viewer does, because masks are drawn on the upright picture. Grey,
    palette and RGBA images become RGB; CMYK as well, with a warning, since its colours are only approximate. Of 16 bits
    per channel the upper 8 are kept, whatever range the values use. A file that is missing, empty, truncated, not an
    image, deeper than 16 bits, or of several pictures raises `UserError` with its name.
    """
    image: Image.Image
    with decoding(path, _EXPECTED), open_image(path, path) as image:
        require_one_picture(path, image)
        image.load()
        if image.mode in _DEEPER_MODES:
            raise UserError(
                f"{path}: a frame with more than 16 bits per channel (mode {image.mode}); expected 8 or 16. "
                "Convert the frames to 8-bit PNG"
            )
        if image.mode in _SIXTEEN_BIT_MODES:
            return _upper_bits(path, np.asarray(image))
        if image.mode == "CMYK":
            warnings.warn(f"{path}: CMYK frame, converted to RGB without a colour profile", stacklevel=2)
        if image.getexif().get(ORIENTATION_TAG, 1) != 1:
            image = ImageOps.exif_transpose(image)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def require_one_picture(path: Path, image: Image.Image) -> None:
    """Raise `UserError` for a file of several pictures, of which a program would show one or play all."""
    pictures = getattr(image, "n_frames", 1) if image.format in _SEVERAL_PICTURES else 1
    if pictures > 1:
        raise UserError(
            f"{path}: {pictures} pictures in one file; expected one per frame. Split the file, or convert it to a "
            "video file"
        )


def _upper_bits(path: Path, levels: np.ndarray) -> np.ndarray:
    """RGB of 8 bits from grey of 16."""
    if levels.max() < _TWELVE_BITS:
        warnings.warn(
            f"{path}: a 16-bit frame whose brightest value is {levels.max()} of 65535, nearly black; scale the frames "
            "to the range of 16 bits, or convert them to 8",
            stacklevel=3,
        )
    return np.repeat((levels >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def normalise(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn RGB [H, W, 3] of 0..255 into ImageNet-normalised [3, H, W]."""
    scaled = (image.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def frame_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels of the upright frame, from the file's header alone (nothing is decoded)."""
    with decoding(path, _EXPECTED), open_image(path, path) as image:
        require_one_picture(path, image)
        width, height = image.size
        lies_on_its_side = _may_be_turned(path, image) and image.getexif().get(ORIENTATION_TAG) in (5, 6, 7, 8)
    return (width, height) if lies_on_its_side else (height, width)


def has_end(path: Path) -> bool:
    """Whether a frame of a form that has a mark at its end has it: else it was cut off, or cannot tell."""
    mark = _ENDS.get(path.suffix.lower())
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL_BYTES))
        return mark is not None and mark in stream.read()


def shorter_side_to(height: int, width: int, size: int) -> tuple[int, int]:
    """(Height, width) after resizing so that the shorter side is `size`; the longer is rounded down."""
    if height <= width:
        return size, size * width // height
    return size * height // width, size


def _may_be_turned(path: Path, image: Image.Image) -> bool:
    """Whether asking for EXIF data is worth it: for a PNG, whose EXIF may stand at the end, it decodes the pixels.

    The size of a TIFF is upright already.
    """
    if image.format == "TIFF":
        return False
    if image.format != "PNG":
        return True
    content = path.read_bytes()
    return any(mark in content for mark in PNG_ORIENTATION_MARKS)


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


@contextmanager
def decoding(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever the image library raises inside the block into a `UserError` that names `path`.

    `expected` completes "expected …" in the message.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; expected {expected}. Check the name, restore the file, or take it out of the list"
        ) from error
    except PermissionError as error:
        raise UserError(refusal(error) or str(error)) from error
    except _DECODING_ERRORS as error:
        raise UserError(
            f"{path}: {_finding(path, error)}; expected {expected}. Restore the file from its source, "
            "or take it out of the video"
        ) from error


def _finding(path: Path, error: Exception) -> str:
    if path.is_dir():
        return "is a folder"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return str(error)
    return f"damaged or truncated ({error})"


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
