"""Reading an image: its pixels, its size, and what can be wrong with it."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
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

# What Pillow raises for damaged files: UnidentifiedImageError is an OSError, broken PNG chunks are SyntaxErrors.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
_EXPECTED = f"a {IMAGE_KINDS} image with 8 or 16 bits per channel"
ORIENTATION_TAG = 0x0112
PNG_ORIENTATION_MARKS = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
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
