"""Object ids from mask files, quickly.

An 8-bit palette or grey PNG whose rows all use filter 0 (what Pillow and `datasets.masks.encode_mask` write for
palettes) is its inflated stream with the first byte of every row dropped, so it needs no image library. All other
files go through Pillow. When the package `deflate` is installed it inflates in place of zlib, several times faster.
"""

import importlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError

Ids = NDArray[np.uint8] | NDArray[np.uint16]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3  # colour types of the PNG header
MOST_INFLATION = 1032  # no deflate stream grows more than that
MOST_PIXELS = 178_956_970  # Pillow's own limit (twice its MAX_IMAGE_PIXELS), known here without importing it
ID_MODES = ("P", "L", "1", "I;16")  # Pillow's names
EXPECTED = "expected a PNG whose pixel values are the object ids (palette, grey or 1-bit), as `infer` writes them"


def decode_ids(content: bytes, origin: str) -> Ids:
    """Ids of a mask file's bytes: H x W, uint8, or uint16 for 16-bit grey. `origin` names the file in errors.

    Modes whose values are no ids (RGB, RGBA, ...) and damaged files raise `UserError`.
    """
    ids = decode_plain_png(content)
    return _decode_with_pillow(content, origin) if ids is None else ids


def read_ids(path: Path) -> Ids:
    """Ids of a mask file; see `decode_ids`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}); expected a mask file") from error
    return decode_ids(content, str(path))


def _inflater() -> tuple[Callable[[bytes, int], bytes | bytearray], type[Exception]]:
    """A function from zlib data and the size to expect to the inflated data, and the error it raises."""
    try:
        deflate = importlib.import_module("deflate")
    except ImportError:
        return lambda data, size: zlib.decompress(data, bufsize=size), zlib.error
    return deflate.zlib_decompress, deflate.DeflateError


_INFLATE, _INFLATE_ERROR = _inflater()


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int


def decode_plain_png(content: bytes) -> NDArray[np.uint8] | None:
    """Pixel values of an 8-bit palette or grey PNG without row filters; None for any other or a damaged file."""
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or len(content) < 33:
        return None
    header = _Header(*struct.unpack_from(">IIBBBBB", content, 16))
    if header.depth != 8 or header.colour not in (GREY, PALETTE) or header[4:] != (0, 0, 0):
        return None
    size = header.height * (header.width + 1)
    if not 0 < size <= MOST_INFLATION * len(content):  # a damaged header, or a file that ends early
        return None
    if header.width * header.height > MOST_PIXELS:  # Pillow refuses it, and says why
        return None
    try:
        pixels = _INFLATE(_image_data(content), size)
    except _INFLATE_ERROR:
        return None
    if len(pixels) != size:
        return None
    rows = np.frombuffer(pixels, np.uint8).reshape(header.height, header.width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]


def _image_data(content: bytes) -> bytes:
    """The joined IDAT chunks; chunks that end early are left to the decoder's own checks."""
    parts, position = [], 8
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IDAT":
            parts.append(content[position + 8 : position + 8 + length])
        elif kind == b"IEND":
            break
        position += 12 + length
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _decode_with_pillow(content: bytes, origin: str) -> Ids:
    from PIL import Image, UnidentifiedImageError  # slow to import, and most sets need it for no file

    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, mode = image.format, image.mode
            pixels = np.asarray(image)
    except UnidentifiedImageError as error:
        raise UserError(f"{origin}: not an image ({len(content)} bytes); {EXPECTED}. Write the mask again") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{origin}: {error}; expected a mask of the size of its frame. Write the mask again") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{origin}: damaged image ({error}); {EXPECTED}. Write the mask again") from error
    if kind != "PNG" or mode not in ID_MODES:
        raise UserError(
            f"{origin}: a {kind} image of mode {mode}, whose values are no object ids; {EXPECTED}. "
            "Convert the masks, or check that the right folder was given"
        )
    return pixels.astype(np.uint8) if mode == "1" else pixels
