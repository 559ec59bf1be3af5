"""The quick PNG reader agrees with Pillow or leaves the file to it."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.videos.masks import decode_mask, encode_mask
from oneshot_vos.videos.png import SIGNATURE, decode_plain_png

IDS = np.random.default_rng(5).integers(0, 5, (33, 71)).astype(np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def build(filters: bytes, *, parts: int = 1, depth: int = 8, colour: int = 3, interlace: int = 0) -> bytes:
    """A PNG of IDS whose rows start with `filters`, in `parts` IDAT chunks with others between."""
    rows = b"".join(bytes([kind]) + row.tobytes() for kind, row in zip(filters, IDS, strict=True))
    data = zlib.compress(rows)
    step = -(-len(data) // parts)
    header = struct.pack(">IIBBBBB", IDS.shape[1], IDS.shape[0], depth, colour, 0, 0, interlace)
    pieces = [chunk(b"IDAT", data[start : start + step]) for start in range(0, len(data), step)]
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    rest = palette + chunk(b"tEXt", b"a\0b") + b"".join(pieces) + chunk(b"IEND", b"")
    return SIGNATURE + chunk(b"IHDR", header) + rest


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_plain_file(parts) -> None:
    content = build(bytes(len(IDS)), parts=parts)
    assert np.array_equal(decode_plain_png(content), IDS)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), IDS)


def test_own_masks_take_the_quick_way() -> None:
    assert np.array_equal(decode_plain_png(encode_mask(IDS)), IDS)


def test_16_bit_masks() -> None:
    ids = IDS.astype(np.int32) * 300
    assert np.array_equal(decode_mask(encode_mask(ids), Path("mask")).ids, ids)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_row_filters_are_left_to_pillow(kind) -> None:
    content = build(bytes([0] * 10 + [kind] * (len(IDS) - 10)))
    assert decode_plain_png(content) is None
    assert np.array_equal(decode_mask(content, Path("mask")).ids, np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("change", [{"depth": 4}, {"colour": 0}, {"colour": 2}, {"interlace": 1}])
def test_other_headers_are_not_guessed(change) -> None:
    assert decode_plain_png(build(bytes(len(IDS)), **change)) is None


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_fewer_bits(mode) -> None:
    stream = io.BytesIO()
    image = Image.fromarray(IDS % 2 * 255).convert("1") if mode == "1" else Image.fromarray(IDS % 2)
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 0, 0])  # two colours: Pillow writes one bit per pixel
    image.save(stream, "png")
    assert np.array_equal(decode_mask(stream.getvalue(), Path("mask")).ids, IDS % 2)


@pytest.mark.parametrize("position", [0, 12, 20, 27, 60, 90, -30, -10])
def test_damage_is_an_error_or_harmless(position) -> None:
    content = bytearray(build(bytes(len(IDS))))
    content[position] ^= 0x5A
    try:
        outcome: np.ndarray | str = decode_mask(bytes(content), Path("clip/00001.png")).ids
    except UserError as error:
        outcome = str(error)
    assert outcome.startswith("clip/00001.png: ") if isinstance(outcome, str) else np.array_equal(outcome, IDS)


def test_a_mask_that_claims_a_huge_size_is_an_error_and_takes_no_memory() -> None:
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(60_001 * 100)) + bytes(4_000_000)  # long enough to be plausible for its claim
    content = SIGNATURE + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    with pytest.raises(UserError, match=r"^clip/00001.png: 60000x60000 pixels.*expected at most 67108864"):
        decode_mask(content, Path("clip/00001.png"))
