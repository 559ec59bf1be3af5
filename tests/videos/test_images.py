"""Images: what is read, and what is refused."""

import io
import struct
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from oneshot_vos.clips.dataset import read_frame_quickly
from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.images import frame_size, read_frame


@pytest.fixture
def picture():
    rows, columns = np.mgrid[0:24, 0:40]
    return np.stack([rows * 10, columns * 6, rows + columns], axis=2).astype(np.uint8)


def test_png_frame_is_read_exactly(tmp_path, picture):
    path = tmp_path / "frame with späce.png"
    Image.fromarray(picture).save(path)
    frame = read_frame(path)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, picture)
    assert frame_size(path) == (24, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_other_modes_become_rgb(tmp_path, picture, mode):
    path = tmp_path / "frame.png"
    Image.fromarray(picture).convert(mode).save(path)
    assert read_frame(path).shape == (24, 40, 3)


def test_cmyk_is_converted_with_a_warning(tmp_path, picture):
    path = tmp_path / "frame.jpg"
    Image.fromarray(picture).convert("CMYK").save(path)
    with pytest.warns(UserWarning, match="CMYK"):
        assert read_frame(path).shape == (24, 40, 3)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "tiff", "webp"])
def test_other_kinds_of_files_are_frames(tmp_path, picture, suffix):
    path = tmp_path / f"frame.{suffix}"
    Image.fromarray(picture).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert frame_files(tmp_path) == [path]
    assert frame_size(path) == (24, 40)
    assert np.array_equal(read_frame(path), picture)


@pytest.mark.parametrize("suffix", ["tif", "webp"])
def test_other_kinds_of_files_are_turned_upright(tmp_path, picture, suffix):
    path, exif = tmp_path / f"frame.{suffix}", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    assert frame_size(path) == (40, 24)
    assert np.array_equal(read_frame(path), np.rot90(picture, -1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_kept(tmp_path, suffix, channels):
    levels = np.arange(0, 2**16, 2**16 // 20, np.uint16)[:20].reshape(4, 5)
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), np.repeat(levels[:, :, None], channels, axis=2))
    assert np.array_equal(read_frame(tmp_path / f"deep.{suffix}"), np.repeat(levels[:, :, None] >> 8, 3, axis=2))


def test_a_sixteen_bit_frame_that_uses_twelve_is_told(tmp_path):
    Image.fromarray(np.full((4, 5), 3000, np.uint16)).save(tmp_path / "dark.png")
    with pytest.warns(UserWarning, match=r"dark\.png: a 16-bit frame whose brightest value is 3000"):
        read_frame(tmp_path / "dark.png")


def test_several_pictures_in_a_file_are_no_frame(tmp_path, picture):
    pages = [Image.fromarray(picture), Image.fromarray(picture[::-1])]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"pages\.tif: 2 pictures in one file; expected one per frame"):
        read_frame(tmp_path / "pages.tif")


@pytest.mark.parametrize("kind", ["jpg", "progressive", "grey", "CMYK", "padded", "png", "turned"])
def test_quick_reading_gives_the_same_frame(tmp_path, picture, kind):
    path = tmp_path / ("frame.png" if kind == "png" else "frame.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6 if kind == "turned" else 1
    image = Image.fromarray(picture).convert({"grey": "L", "CMYK": "CMYK"}.get(kind, "RGB"))
    image.save(path, quality=92, progressive=kind == "progressive", exif=exif)
    if kind == "padded":
        path.write_bytes(path.read_bytes() + bytes(7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(read_frame_quickly(path), read_frame(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_pixels_and_size(tmp_path, picture, orientation):
    path = tmp_path / "frame.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif)
    frame = read_frame(path)
    assert frame.shape[:2] == frame_size(path) == ((40, 24) if orientation >= 5 else (24, 40))
    if orientation == 6:
        assert np.array_equal(frame, np.rot90(picture, -1))


@pytest.mark.parametrize("read", [read_frame, read_frame_quickly])
def test_damaged_frames_are_named(tmp_path, picture, read):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(picture).save(whole)
    content = whole.read_bytes()
    cases = {
        "truncated.jpg": (content[: len(content) // 2], "damaged or truncated"),
        "empty.jpg": (b"", "0 bytes"),
        "text.jpg": (b"no image at all", "not an image"),
    }
    for name, (data, finding) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}.*{finding}.*expected"):
            read(tmp_path / name)
    with pytest.raises(UserError, match=r"absent\.jpg: no such file"):
        read(tmp_path / "absent.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path / "folder.jpg")


def claimed(width: int, height: int) -> bytes:
    """A JPEG file whose header claims this size."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, height, width)
    return bytes(content)


@pytest.mark.parametrize("size", [(7680, 4320), (9000, 4500), (8192, 8192)])
def test_large_frames_are_allowed(tmp_path, size):
    (tmp_path / "a.jpg").write_bytes(claimed(*size))
    assert frame_size(tmp_path / "a.jpg") == size[::-1]


def test_a_frame_beyond_the_limit_is_named_and_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(claimed(20_000, 13_000))
    for read in (read_frame, frame_size):
        with pytest.raises(UserError, match=r"a\.jpg: 20000x13000 pixels.* at most 67108864 .*_MAX_PIXELS=260000000"):
            read(path)
    monkeypatch.setenv("ONESHOT_VOS_MAX_PIXELS", "260000000")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frame_size(path) == (13_000, 20_000)
    monkeypatch.setenv("ONESHOT_VOS_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="ONESHOT_VOS_MAX_PIXELS is 'many'; expected a whole number"):
        frame_size(path)


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICO"])
def test_other_formats_are_named_whatever_the_file_is_called(tmp_path, picture, kind):
    Image.fromarray(picture).save(tmp_path / "a.png", kind)
    for read in (read_frame, frame_size):
        with pytest.raises(UserError, match=rf"a\.png: saved as {kind}; expected a JPEG, PNG, BMP, TIFF or WebP"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP"])
def test_formats_of_frames_are_read_whatever_the_file_is_called(tmp_path, picture, kind):
    Image.fromarray(picture).save(tmp_path / "a.png", kind, lossless=True)
    assert np.array_equal(read_frame(tmp_path / "a.png"), picture)
    assert frame_size(tmp_path / "a.png") == picture.shape[:2]


@pytest.mark.parametrize("read", [read_frame, frame_size])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, read):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "a.jpg"))

    monkeypatch.setattr("oneshot_vos.videos.images.open_image", refused)
    with pytest.raises(UserError, match=r"a\.jpg: Permission denied; expected rights .*Mend its rights"):
        read(tmp_path / "a.jpg")
