"""Masks: every kind of file is read exactly or refused by name, and ids survive writing."""

import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.videos.masks import (
    DAVIS_PALETTE,
    check_same_size,
    encode_mask,
    inspect_mask,
    mask_size,
    object_ids,
    read_mask,
    write_mask,
)

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# No three of these colours lie on a line, so that none is a blend of two others.
COLORS = np.array([(0, 0, 0), (255, 3, 10), (12, 250, 30), (20, 40, 240), (250, 240, 20), (60, 255, 250)], np.uint8)


@pytest.fixture
def ids():
    """Two objects, each with an area, and background."""
    ids = np.zeros((60, 80), np.uint8)
    ids[10:30, 10:30] = 1
    ids[20:50, 40:70] = 2
    return ids


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_davis_palette_begins_as_published():
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert DAVIS_PALETTE[:7].tolist() == [list(color) for color in expected]
    assert DAVIS_PALETTE[[8, 255]].tolist() == [[64, 0, 0], [224, 224, 192]]
    assert len(np.unique(DAVIS_PALETTE, axis=0)) == 256


# --- round trips ----------------------------------------------------------------------------------------------------


@fuzz
@given(ids=st.one_of(arrays(np.uint8, SIZES), arrays(np.int64, SIZES, elements=st.integers(0, 65_535))))
def test_written_ids_come_back_exactly(tmp_path, ids):
    path = tmp_path / "mask.png"
    write_mask(path, ids)
    read = read_mask(path)
    assert read.dtype == np.int32
    assert np.array_equal(read, ids)
    assert mask_size(path) == ids.shape
    assert object_ids(inspect_mask(path).ids) == [k for k in np.unique(ids).tolist() if k]
    with Image.open(path) as image:  # another reader sees the same
        assert image.mode == ("P" if ids.max() <= 255 else "I;16")
        assert np.array_equal(np.asarray(image), ids)


@fuzz
@given(ids=arrays(np.uint8, SIZES), mode=st.sampled_from(["P", "L", "I;16", "1", "LA"]), optimize=st.booleans())
def test_single_channel_files_of_other_tools(tmp_path, ids, mode, optimize):
    path = tmp_path / "mask.png"
    if mode == "P":
        image = Image.fromarray(ids, "L")
        image.putpalette(DAVIS_PALETTE.tobytes())
    elif mode == "I;16":
        ids = ids.astype(np.uint16) * 257
        image = Image.fromarray(ids)
    elif mode == "LA":
        image = Image.fromarray(np.dstack([ids, np.where(ids, 255, 0).astype(np.uint8)]))
    else:
        ids = (ids > 127).astype(np.uint8) if mode == "1" else ids
        image = Image.fromarray(ids > 0 if mode == "1" else ids)
    image.save(path, optimize=optimize)
    assert np.array_equal(read_mask(path), ids)


@fuzz
@given(ids=arrays(np.uint8, SIZES, elements=st.integers(0, len(COLORS) - 1)), alpha=st.booleans())
def test_exact_colours_become_ids_in_the_order_of_colours(tmp_path, ids, alpha):
    pixels = COLORS[ids]
    if alpha:
        pixels = np.dstack([pixels, np.where(ids, 255, 0).astype(np.uint8)])
    path = save(tmp_path / "mask.png", pixels)
    with pytest.warns(UserWarning, match="colours read as object ids"):
        read = read_mask(path)
    present = sorted(tuple(color) for color in COLORS[np.unique(ids[ids > 0])].tolist())
    rank = {color: number for number, color in enumerate(present, start=1)} | {(0, 0, 0): 0}
    expected = np.vectorize(lambda k: rank[tuple(COLORS[k].tolist())])(ids)
    assert np.array_equal(read, expected)


@fuzz
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_user_error(tmp_path, data):
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"mask\.png"):
        read_mask(path)


@settings(fuzz, max_examples=200)
@given(
    mode=st.sampled_from(["P", "L", "1", "I;16", "RGB", "RGBA", "LA"]),
    size=SIZES,
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3),
    position=st.integers(0, 10_000),
    replacement=st.binary(max_size=6),
    cut=st.integers(0, 40),
    mend=st.booleans(),
)
def test_damaged_png_gives_ids_or_user_error(tmp_path, mode, size, flips, position, replacement, cut, mend):
    """Bits flipped and bytes replaced anywhere, ends cut off, with right and wrong checksums of the chunks."""
    pixels = (np.indices(size).sum(axis=0) % 3).astype(np.uint16 if mode == "I;16" else np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode == "I;16" else image.convert(mode)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    for place, flip in flips:
        content[place % len(content)] ^= flip
    start = position % len(content)
    content[start : start + len(replacement)] = replacement
    content = content[: len(content) - cut]
    path = tmp_path / "mask.png"
    path.write_bytes(with_right_checksums(bytes(content)) if mend else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for snap in (False, True):
            try:
                read = read_mask(path, snap_colors=snap)
            except UserError as error:
                assert "mask.png" in str(error)  # noqa: PT017 - most examples raise nothing
                continue
            assert read.dtype == np.int32
            assert read.shape == struct.unpack_from(">II", path.read_bytes(), 16)[::-1]
            assert read.min() >= 0
            assert read.max() <= 65_535


def with_right_checksums(content):
    """Chunks as they are, as far as they can be told apart, with their checksums made right."""
    parts, position = [content[:8]], 8
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        body = content[position + 4 : position + 8 + length]
        parts += [struct.pack(">I", length), body, struct.pack(">I", zlib.crc32(body))]
        position += 12 + length
    return b"".join([*parts, content[position:]])


# --- the table of kinds ---------------------------------------------------------------------------------------------


def test_ids_need_not_be_contiguous(tmp_path, ids):
    sparse = np.array([0, 3, 250])[ids]
    write_mask(tmp_path / "mask.png", sparse)
    assert object_ids(read_mask(tmp_path / "mask.png")) == [3, 250]


def test_lone_255_stays_255(tmp_path, ids):
    path = save(tmp_path / "mask.png", np.where(ids > 0, 255, 0).astype(np.uint8))
    assert object_ids(read_mask(path)) == [255]


def test_colours_of_the_davis_palette_mean_their_index(tmp_path, ids):
    path = save(tmp_path / "mask.png", DAVIS_PALETTE[ids])
    with pytest.warns(UserWarning, match=r"\(128, 0, 0\) = 1, \(0, 128, 0\) = 2"):
        assert np.array_equal(read_mask(path), ids)


def test_transparent_pixels_are_background_whatever_their_colour(tmp_path, ids):
    opaque = np.where(ids == 1, 255, 0).astype(np.uint8)
    path = save(tmp_path / "mask.png", np.dstack([COLORS[ids], opaque]))
    assert np.array_equal(inspect_mask(path).ids, ids == 1)


def test_half_transparent_pixels_are_refused(tmp_path, ids):
    path = save(tmp_path / "mask.png", np.dstack([COLORS[ids], np.where(ids, 200, 0).astype(np.uint8)]))
    with pytest.raises(UserError, match="half-transparent"):
        read_mask(path)


def test_transparent_colour_without_alpha_channel(tmp_path, ids):
    path = save(tmp_path / "mask.png", COLORS[ids], transparency=tuple(COLORS[2].tolist()))
    assert np.array_equal(inspect_mask(path).ids, ids == 1)


@pytest.mark.parametrize("palette", [COLORS, DAVIS_PALETTE], ids=["bright", "davis"])
def test_anti_aliased_colours_are_refused_or_snapped(tmp_path, ids, palette):
    large = np.kron(palette[ids], np.ones((4, 4, 1), np.uint8))
    soft = cv2.resize(large, (107, 80), interpolation=cv2.INTER_AREA)
    path = save(tmp_path / "mask.png", soft)
    with pytest.raises(UserError, match=r"anti-aliased RGB mask: .* such as \(.*snap"):
        read_mask(path)
    reading = inspect_mask(path, snap_colors=True)
    assert len(reading.colors) == 2
    hard = cv2.resize(np.kron(ids, np.ones((4, 4), np.uint8)), (107, 80), interpolation=cv2.INTER_NEAREST)
    assert np.mean((reading.ids > 0) != (hard > 0)) < 0.03
    assert set(np.unique(reading.ids)) == {0, 1, 2}


def test_soft_grey_edges_are_refused_or_snapped(tmp_path):
    circle = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 20, 255, -1, cv2.LINE_AA)
    path = save(tmp_path / "mask.png", circle)
    with pytest.raises(UserError, match="soft"):
        read_mask(path)
    assert np.array_equal(read_mask(path, snap_colors=True), np.where(circle >= 128, 255, 0))


def test_photograph_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = save(tmp_path / "mask.png", noise)
    for snap in (False, True):
        with pytest.raises(UserError, match="colours"):
            read_mask(path, snap_colors=snap)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif", "png"])
def test_lossy_and_foreign_formats_are_refused_by_content(tmp_path, ids, suffix):
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(ids).save(path, "JPEG" if suffix == "png" else None)
    with pytest.raises(UserError, match=r"a mask saved as .*expected a PNG"):
        read_mask(path)


def test_sixteen_bit_colour_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((4, 4, 3), 300, np.uint16))
    with pytest.raises(UserError, match="16-bit"):
        read_mask(tmp_path / "mask.png")


def test_interlaced_and_filtered_files_take_the_general_way(tmp_path, ids):
    """Every row filter gives the same ids as the fast way."""
    for filter_type in range(5):
        path = tmp_path / f"{filter_type}.png"
        cv2.imwrite(str(path), ids, [cv2.IMWRITE_PNG_FILTER, 8 << filter_type])
        assert np.array_equal(read_mask(path), ids)


def test_missing_empty_and_truncated_files_are_named(tmp_path, ids):
    content = encode_mask(ids)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(content[:-40])
    for name, finding in {"empty.png": "0 bytes", "cut.png": "truncated", "absent.png": "no such file"}.items():
        with pytest.raises(UserError, match=f"{name}.*{finding}"):
            read_mask(tmp_path / name)


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-1, 65_536])
def test_ids_are_never_wrapped(wrong):
    with pytest.raises(UserError, match=f"{wrong}"):
        encode_mask(np.array([[0, wrong]]))


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.zeros((2, 2, 2), int), np.zeros((0, 3), int)])
def test_only_integer_planes_are_encoded(wrong):
    with pytest.raises(ValueError, match="H x W"):
        encode_mask(wrong)


def test_encoding_has_a_full_palette_and_unfiltered_rows(ids):
    content = encode_mask(ids)
    with Image.open(io.BytesIO(content)) as image:
        assert image.getpalette() == DAVIS_PALETTE.ravel().tolist()
    start = content.index(b"IDAT")
    length = struct.unpack(">I", content[start - 4 : start])[0]
    rows = np.frombuffer(zlib.decompress(content[start + 4 : start + 4 + length]), np.uint8).reshape(60, 81)
    assert not rows[:, 0].any()
    assert np.array_equal(rows[:, 1:], ids)


def test_size_check_names_both_files_and_sizes(tmp_path, ids):
    frame = save(tmp_path / "frame.jpg", np.zeros((120, 160, 3), np.uint8))
    write_mask(tmp_path / "mask.png", ids)
    with pytest.raises(UserError, match=r"mask\.png: mask of 80x60 .*frame\.jpg has 160x120"):
        check_same_size(frame, tmp_path / "mask.png")
    check_same_size(save(tmp_path / "small.jpg", np.zeros((60, 80, 3), np.uint8)), tmp_path / "mask.png")


@pytest.mark.real_data
def test_real_masks_agree_with_pillow(data_root):
    paths = sorted(data_root.glob("*/Annotations/*/*/*.png"))[::29]
    assert paths
    for path in paths:
        with Image.open(path) as image:
            assert np.array_equal(read_mask(path), np.asarray(image)), path
