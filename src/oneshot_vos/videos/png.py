"""Pixels of plain PNG files without an image library.

An 8-bit palette PNG whose rows all use filter 0 (what Pillow and `masks.encode_mask` write) is its inflated stream with
the first byte of every row dropped. Grey ones are written with filters by nearly every program, and not looked into.
The package `deflate` inflates several times faster than zlib.
"""

import struct
import zlib

import deflate
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.videos.images import most_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3  # colour types of the PNG header
_MOST_INFLATION = 1032  # no deflate stream grows more than that


def decode_plain_png(content: bytes) -> NDArray[np.uint8] | None:
    """Pixel values [H, W] of an 8-bit palette PNG without row filters; None for any other.

    Every doubt (damage, checksums that do not fit, a size beyond the limit) is None as well: it is left to
    the image library and its error messages.
    """
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or len(content) < 33:
        return None
    width, height, *kind = struct.unpack_from(">IIBBBBB", content, 16)
    if kind != [8, PALETTE, 0, 0, 0]:  # bits, colour type, compression, filters, interlacing
        return None
    size = height * (width + 1)
    if not 0 < size <= _MOST_INFLATION * len(content) or width * height > most_pixels():
        return None
    compressed = _image_data(content)
    if compressed is None or _first_filter(compressed) != 0:
        return None
    try:
        pixels = deflate.zlib_decompress(compressed, size)
    except deflate.DeflateError:
        return None
    if len(pixels) != size:
        return None
    rows = np.frombuffer(pixels, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]


def _image_data(content: bytes) -> bytes | None:
    """The joined IDAT chunks; None if a chunk ends early or does not fit its checksum."""
    parts, position = [], 8
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(content[position + 4 : end])):
            return None
        if kind == b"IDAT":
            parts.append(content[position + 8 : end])
        elif kind == b"IEND":
            break
        position = end + 4
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _first_filter(compressed: bytes) -> int | None:
    """The filter of the first row: tells most filtered files before all of them is inflated. None for damage."""
    try:
        first = zlib.decompressobj().decompress(compressed[:4096], 1)
    except zlib.error:
        return None
    return first[0] if first else None
