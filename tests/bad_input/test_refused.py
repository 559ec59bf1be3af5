"""Input that cannot be used: one row per case, and every message names file, finding, expectation and remedy."""

import os
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.bad_input.clip import COLORS, TWO, Clip, Door, check, mask, score, segment, train
from tests.stages.clips import TINY, picture, tiny_weights

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import load_weights, recognise, save_weights
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.images import frame_size, read_frame
from oneshot_vos.videos.masks import mask_size, read_mask, write_mask
from oneshot_vos.videos.pairs import read_objects


class Refused(NamedTuple):
    """What is done to a sound clip, and what every door that is named must say; see `require_parts`."""

    spoil: Callable[[Clip], object]
    doors: tuple[Door, ...]
    parts: str


def require_parts(message: str, parts: str) -> None:
    """File, finding, expectation and remedy: regular expressions, with `~` between them."""
    for part, pattern in zip(("file", "finding", "expectation", "remedy"), parts.split(" ~ "), strict=True):
        assert re.search(pattern, message), f"no {part} ({pattern}) in: {message}"


# --- what is done to the clip ---------------------------------------------------------------------------------------


def anti_aliased(clip: Clip) -> None:
    clip.draw("00000.png", cv2.GaussianBlur(COLORS[TWO], (5, 5), 1.0))


def soft_grey(clip: Clip) -> None:
    clip.draw("00000.png", cv2.GaussianBlur((TWO > 0).astype(np.uint8) * 255, (5, 5), 1.0))


def half_transparent(clip: Clip) -> None:
    clip.draw("00000.png", np.dstack([COLORS[TWO], np.where(TWO, 200, 0).astype(np.uint8)]))


def photograph(clip: Clip) -> None:
    clip.draw("00000.png", np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def colours_that_clash(clip: Clip) -> None:
    """The same colour is object 2 beside the other one, and object 1 alone."""
    clip.draw("00000.png", COLORS[TWO])
    clip.draw("00001.png", COLORS[np.where(TWO == 1, 1, 0)])


def as_jpeg(clip: Clip) -> None:
    (clip.masks / "00000.png").unlink()
    clip.draw("00000.jpg", TWO * 100)


def turned(clip: Clip) -> None:
    """Every frame is stored lying and shown upright; the mask was drawn on the lying one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in clip.frames.iterdir():
        Image.open(path).save(path, exif=exif)


def said_turned(clip: Clip) -> None:
    """The mask says of itself that it is to be shown upside down, as an editor may copy it from the photograph."""
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(TWO).save(clip.masks / "00000.png", exif=exif)


def transparent_entry(clip: Clip) -> None:
    """A program has put the transparent background at index 1 of the palette, and object 1 at index 0."""
    image = Image.fromarray(np.array([1, 0, 2], np.uint8)[TWO])
    image.putpalette(bytes([250, 20, 40, 255, 255, 255, 10, 200, 250]))
    image.save(clip.masks / "00000.png", transparency=bytes([255, 0, 255]))


def blends_as_palette(clip: Clip) -> None:
    """An anti-aliased mask whose colours were counted into a palette, black first."""
    soft = cv2.GaussianBlur(COLORS[TWO], (5, 5), 1.0).reshape(-1, 3)
    table, ids = np.unique(soft // 16 * 16, axis=0, return_inverse=True)
    image = Image.fromarray(ids.reshape(TWO.shape).astype(np.uint8))
    image.putpalette(table.astype(np.uint8).tobytes())
    image.save(clip.masks / "00000.png")


def label_map(clip: Clip, *lines: str) -> None:
    (clip.masks.parent / "labelmap.txt").write_text("".join(f"{line}::\n" for line in lines), encoding="utf-8")
    clip.draw("00000.png", COLORS[TWO])


def palette_beside_label_map(clip: Clip) -> None:
    label_map(clip, "background:0,0,0", "cat:10,200,250", "dog:250,20,40")
    image = Image.fromarray(TWO)
    image.putpalette(COLORS.tobytes())
    image.save(clip.masks / "00000.png")


def folder_named_like(clip: Clip, folder: Path) -> None:
    file = sorted(folder.iterdir())[-1]
    file.unlink()
    file.mkdir()


def leads_to_itself(clip: Clip) -> None:
    (clip.frames / "00001.jpg").unlink()
    (clip.frames / "00001.jpg").symlink_to("00001.jpg")


def moving(path: Path, *pictures: np.ndarray) -> None:
    first, *rest = map(Image.fromarray, pictures)
    first.save(path, save_all=True, append_images=rest)


def in_one_file(clip: Clip) -> None:
    (clip.frames / "00001.jpg").unlink()
    Image.fromarray(picture(1)).save(
        clip.frames / "00001.tif", save_all=True, append_images=[Image.fromarray(picture(2))]
    )


def renamed(*names: str) -> Callable[[Clip], None]:
    def change(clip: Clip) -> None:
        clip.rename({f"{t:05}.jpg": f"{name}.jpg" for t, name in enumerate(names)})
        (clip.masks / "00000.png").rename(clip.masks / f"{names[0]}.png")

    return change


REFUSED = {
    "mask that says it is turned": Refused(
        said_turned,
        (check, train, score, segment, mask),
        r"00000\.png ~ to be shown turned \(EXIF orientation 3\) ~ "
        "expected a mask as it lies over the upright frame ~ Save it again",
    ),
    "palette with a transparent object": Refused(
        transparent_entry,
        (check, train, score, segment, mask),
        r"00000\.png ~ index 1 of the palette is transparent ~ expected index 0 alone ~ Save the mask again",
    ),
    "anti-aliased mask made a palette": Refused(
        blends_as_palette,
        (check, train, segment),
        r"00000\.png ~ nearly all form no area: an anti-aliased mask ~ expected one value per object ~ "
        "Export the mask without",
    ),
    "soft edges between grey ids": Refused(
        lambda clip: clip.draw("00000.png", cv2.GaussianBlur(TWO * np.uint8(100), (5, 5), 1.0)),
        (check, train, score, segment, mask),
        r"00000\.png ~ soft \(anti-aliased\) edges ~ expected one value per object ~ Export the mask without",
    ),
    "border to ignore in the second mask": Refused(
        lambda clip: clip.draw("00001.png", np.where(TWO == 2, 255, TWO).astype(np.uint8)),
        (check, train, segment),
        r"00001\.png ~ value 255 beside the ids \[1\]: a border ~ expected ids counted from 1 ~ Set it to 0",
    ),
    "nothing but a border to ignore in the second mask": Refused(
        lambda clip: clip.draw("00001.png", np.where(TWO == 2, 255, 0).astype(np.uint8)),
        (check, train, segment),
        r"00001\.png ~ value 255, which .*00000\.png of the same video has not ~ "
        "expected one value per object ~ Set a border to 0",
    ),
    "255 in one mask and 1 bit in another": Refused(
        lambda clip: [
            clip.draw("00000.png", TWO > 0),
            clip.draw("00001.png", np.where(TWO, 255, 0).astype(np.uint8)),
        ],
        (check, train, segment),
        r"00001\.png ~ value 255, which .*00000\.png of the same video has not ~ "
        "expected one value per object ~ save the masks in one way",
    ),
    "colours in one mask and ids in another": Refused(
        lambda clip: [clip.draw("00000.png", TWO), clip.draw("00001.png", COLORS[TWO])],
        (check, train, segment),
        r"00001\.png ~ a mask of colours, and .*00000\.png is one of ids ~ expected one form ~ "
        "Save them with one palette",
    ),
    "colour that the label map has not": Refused(
        lambda clip: label_map(clip, "background:0,0,0", "cat:250,20,40"),
        (check, train, score, segment, mask),
        r"00000\.png ~ the colour \(10, 200, 250\) is not in .*labelmap\.txt ~ expected every colour there ~ "
        "Add its line",
    ),
    "label map with a colour twice": Refused(
        lambda clip: label_map(clip, "background:0,0,0", "cat:250,20,40", "dog:250,20,40"),
        (check, train, score, segment, mask),
        r"labelmap\.txt ~ the line 'dog:250,20,40::' has the colour or the label of another ~ "
        "expected each once ~ Give every label a colour",
    ),
    "empty label map": Refused(
        lambda clip: label_map(clip),
        (check, train, score, segment, mask),
        r"labelmap\.txt ~ no label in it ~ expected label:R,G,B:parts:actions ~ take it away",
    ),
    "palette that contradicts the label map": Refused(
        palette_beside_label_map,
        (check, train, segment),
        r"00000\.png ~ index 1 of the palette is \(250, 20, 40\), which labelmap\.txt counts as 2 ~ "
        "expected both to agree ~ Save the mask as RGB",
    ),
    "folder with the name of a frame": Refused(
        lambda clip: folder_named_like(clip, clip.frames),
        (check, train, score, segment),
        r"00002\.jpg ~ a folder ~ expected an image ~ Restore the file",
    ),
    "folder with the name of a mask": Refused(
        lambda clip: [clip.put_mask("00002.png", TWO), folder_named_like(clip, clip.masks)],
        (check, train, score, segment),
        r"00002\.png ~ a folder ~ expected an image ~ Restore the file",
    ),
    "link that leads to itself": Refused(
        leads_to_itself,
        (check, train, score, segment),
        r"00001\.jpg ~ a broken link ~ expected links to files that are there ~ Restore the files",
    ),
    "several pictures in one frame": Refused(
        in_one_file,
        (check, train, segment),
        r"00001\.tif ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
    ),
    "moving picture as frame": Refused(
        lambda clip: [(clip.frames / "00001.jpg").unlink(), moving(clip.frames / "00001.png", picture(1), picture(2))],
        (check, train, segment),
        r"00001\.png ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
    ),
    "moving picture as mask": Refused(
        lambda clip: moving(clip.masks / "00000.png", TWO, np.roll(TWO, 9, 1)),
        (check, train, score, segment, mask),
        r"00000\.png ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
    ),
    **{
        f"truncated frame.{suffix}": Refused(
            lambda clip, suffix=suffix: [  # type: ignore[misc]
                (clip.frames / "00001.jpg").unlink(),
                clip.put_frame(f"00001.{suffix}", 1),
                clip.cut(clip.frames / f"00001.{suffix}", 0.8),
            ],
            (check, train, segment),
            rf"00001\.{suffix} ~ damaged or truncated ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ "
            "Restore the file",
        )
        for suffix in ("png", "bmp", "tif", "webp")
    },
    "one number twice": Refused(
        renamed("0001", "1", "2"),
        (check, train, score, segment),
        "walk ~ '0001' and '1' are the same number ~ expected each number once ~ Take one away",
    ),
    "decimal numbers behind a word": Refused(
        renamed("t0.5", "t0.25", "t1.0"),
        (check, train, score, segment),
        r"walk ~ as decimal numbers t0\.25 comes before t0\.5 ~ expected as many digits ~ Rename the frames",
    ),
    "decimal numbers with a comma": Refused(
        renamed("0,9", "0,10", "1,0"),
        (check, train, score, segment),
        "walk ~ as decimal numbers 0,10 comes before 0,9 ~ expected as many digits ~ Rename the frames",
    ),
    "name that is no text": Refused(
        lambda clip: clip.rename({"00001.jpg": os.fsdecode(b"0000\xff.jpg")}),
        (check, train, score, segment),
        r"walk ~ '0000\\udcff\.jpg' is not UTF-8 ~ expected names that can be written ~ Rename it",
    ),
    "anti-aliased RGB mask": Refused(
        anti_aliased,
        (check, train, score, segment),
        r"00000\.png ~ anti-aliased RGB mask: \d+ of its \d+ colours are blends at edges, such as \( ~ "
        "expected one exact colour per object ~ "
        "Export the mask without anti-aliasing, or snap .*snap_colors=True",
    ),
    "0/255 mask with soft edges": Refused(
        soft_grey,
        (check, train, score, segment),
        r"00000\.png ~ soft \(anti-aliased\) edges ~ expected one value per object ~ "
        "Export the mask without anti-aliasing, or snap",
    ),
    "black objects on a transparent background": Refused(
        lambda clip: clip.draw("00000.png", np.dstack([np.zeros_like(TWO), np.where(TWO, 255, 0).astype(np.uint8)])),
        (check, train, score, segment, mask),
        r"00000\.png ~ all that is not transparent is black ~ expected objects in a colour ~ Draw them so",
    ),
    "half-transparent RGBA mask": Refused(
        half_transparent,
        (check, train, score, segment),
        r"00000\.png ~ \d+ half-transparent pixels ~ expected alpha 0 \(background\) or 255 ~ "
        "Export the mask without",
    ),
    "photograph as mask": Refused(
        photograph,
        (check, train, score, segment),
        r"00000\.png ~ \d+ colours in an RGB mask ~ expected one exact colour per object ~ "
        "Save object ids as palette",
    ),
    "16-bit RGB mask": Refused(
        lambda clip: cv2.imwrite(str(clip.masks / "00000.png"), np.full((48, 64, 3), 300, np.uint16)),
        (check, train, score, segment),
        r"00000\.png ~ 16-bit mask with colour ~ expected 16-bit grey, 8-bit palette or RGB ~ "
        "Save the object ids as",
    ),
    "colours that mean other ids in another mask": Refused(
        colours_that_clash,
        (check, train, segment),
        r"00001\.png ~ id 1 is the colour \(250, 20, 40\) here and \(10, 200, 250\) in .*00000\.png ~ "
        "expected one colour per object in all masks ~ Save the masks with one palette",
    ),
    "mask half the frame's size": Refused(
        lambda clip: clip.put_mask("00000.png", TWO[::2, ::2]),
        (check, train, score, segment),
        r"00000\.png ~ 32x24 pixels, but (its frame|the video) .* 64x48|32x24 pixels, but .*has 64x48 ~ "
        "expected the same size ~ [Rr]esize (it|the mask) with nearest",
    ),
    "mask drawn on the unturned picture of a turned frame": Refused(
        turned,
        (check, train, score, segment),
        r"00000\.png ~ 64x48 pixels, but .*48x64 ~ expected the same size ~ " "[Rr]esize (it|the mask) with nearest",
    ),
    "empty mask": Refused(
        lambda clip: clip.put_mask("00000.png", np.zeros_like(TWO)),
        (train, segment),
        r"00000\.png ~ no object in any mask|the mask is empty ~ expected (one|an object) ~ "
        "Draw (it|one), or (take the video out|leave it out)",
    ),
    "no mask": Refused(
        lambda clip: (clip.masks / "00000.png").unlink(),
        (check, train, score, segment),
        "walk ~ no frame has a mask|no mask in ~ expected (at least one|a PNG file of object ids) ~ "
        "Add it|Complete the folders|Draw",
    ),
    "mask saved as JPEG": Refused(
        as_jpeg,
        (check, train, score, segment, mask),
        r"00000\.jpg ~ a mask saved as (JPEG|\.jpg) ~ expected (a )?PNG ~ "
        "Export the masks again as PNG|Complete the folders",
    ),
    "JPEG that is named .png": Refused(
        lambda clip: clip.draw("00000.png", TWO * 100, "JPEG"),
        (check, train, score, segment, mask),
        r"00000\.png ~ a mask saved as JPEG ~ expected a PNG file ~ Export the masks again as PNG",
    ),
    "mask of no frame": Refused(
        lambda clip: clip.put_mask("00009.png", TWO),
        (check, train, score, segment),
        r"00009\.png ~ mask without a frame|has no frame '00009' ~ "
        r"expected (a frame named '00009'|.*00009\.jpg)|did you mean '00002' ~ "
        "Name the mask like its frame|Complete the folders",
    ),
    "two masks of one frame": Refused(
        lambda clip: clip.draw("00000.PNG", TWO),
        (check, train, score, segment),
        "00000|walk ~ several files named '00000'|frame '00000' has a mask already ~ expected one ~ "
        "Take one|Complete the folders",
    ),
    "two frames of one name": Refused(
        lambda clip: clip.put_frame("00001.png", 1),
        (check, train, score, segment),
        "walk ~ several (files|images) (are )?named '00001' ~ expected one (file )?per frame ~ "
        "Take one away|Complete the folders",
    ),
    "truncated JPEG": Refused(
        lambda clip: clip.cut(clip.frames / "00001.jpg", 0.5),
        (check, train, score, segment),
        r"00001\.jpg ~ damaged or truncated ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "frame of zero bytes": Refused(
        lambda clip: clip.cut(clip.frames / "00001.jpg", 0),
        (check, train, score, segment),
        r"00001\.jpg ~ empty \(0 bytes\) ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "text as frame": Refused(
        lambda clip: (clip.frames / "00001.jpg").write_text("<html>404</html>"),
        (check, train, score, segment),
        r"00001\.jpg ~ not an image ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "frame of 32 bits": Refused(
        lambda clip: [
            (path.unlink(), Image.fromarray(np.full((48, 64), 0.5, np.float32)).save(path.with_suffix(".tif")))
            for path in list(clip.frames.iterdir())
        ],
        (check, train, score, segment),
        r"00000\.tif ~ more than 16 bits per channel ~ expected 8 or 16 ~ Convert the frames",
    ),
    "frames of two sizes": Refused(
        lambda clip: clip.put_frame("00001.jpg", 1, (48, 32)),
        (check, train, score, segment),
        r"00001\.jpg ~ 32x48 pixels.* 64x48 ~ expected one size ~ Resize (them|the frames), or split the video",
    ),
    "truncated mask": Refused(
        lambda clip: clip.cut(clip.masks / "00000.png", 0.6),
        (check, train, score, segment, mask),
        r"00000\.png ~ damaged or truncated ~ expected a mask as PNG file ~ Restore the file",
    ),
    "mask of zero bytes": Refused(
        lambda clip: clip.cut(clip.masks / "00000.png", 0),
        (check, train, score, segment, mask),
        r"00000\.png ~ empty \(0 bytes\) ~ expected a mask as PNG file ~ Restore the file",
    ),
    "mask saved as an array": Refused(
        lambda clip: np.save(clip.masks / "00001.npy", TWO),
        (check, train, score),
        r"00001\.npy ~ a mask saved as \.npy|not an image ~ expected (a mask as )?PNG ~ "
        "Complete the folders|Restore the file",
    ),
    "video file beside the folders of frames": Refused(
        lambda clip: (clip.frames.parent / "run.mp4").touch(),
        (check, train, score),
        r"run\.mp4 ~ a video file beside the folders of videos ~ left out ~ "
        "make frames of it: oneshot-vos import-videos",
    ),
    "mask beside the folders of masks": Refused(
        lambda clip: write_mask(clip.masks.parent / "run.png", TWO),
        (check, train, score),
        r"run\.png ~ a mask beside the folders of videos ~ left out ~ put it into the folder of its video",
    ),
    "frames in a folder of their own": Refused(
        lambda clip: [
            (clip.frames / "img").mkdir(),
            clip.rename({f"{t:05}.jpg": f"img/{t:05}.jpg" for t in range(3)}),
        ],
        (segment,),
        "walk ~ no image in it but in folders, img first ~ expected the frames of one video in one folder ~ "
        "Give .*img, or move",
    ),
    "frames of another kind": Refused(
        lambda clip: [path.rename(path.with_suffix(".heic")) for path in list(clip.frames.iterdir())],
        (check, train, score, segment),
        "walk ~ without frames|no image in ~ expected ~ Take it out|Complete the folders|Convert",
    ),
}


def rows() -> Iterator[Any]:
    for case, row in REFUSED.items():
        for door in row.doors:
            yield pytest.param(row, door, id=f"{case}-{door.__name__}")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("row", "door"), list(rows()))
def test_refused(tmp_path: Path, row: Refused, door: Door) -> None:
    row.spoil(Clip(tmp_path))
    with pytest.raises(UserError) as caught:
        door(tmp_path)
    require_parts(str(caught.value), row.parts)


# --- files that claim to be more than fits into memory --------------------------------------------------------------

SIDE = 13_400  # pixels; squared, far above what is decoded


def bomb(color_type: int) -> bytes:
    """A small PNG file with 180 million pixels, all of which are there: grey 0, palette 3."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    squeezer = zlib.compressobj(1)
    rows = bytes(100 * (1 + SIDE))
    content = b"".join([*(squeezer.compress(rows) for _ in range(SIDE // 100)), squeezer.flush()])
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, color_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(768)) if color_type == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("color_type", [0, 3])
def test_a_small_file_of_very_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, color_type: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(color_type))
    for reader in (read_mask, mask_size, read_frame, frame_size, read_objects):
        tracemalloc.start()
        with pytest.raises(UserError) as caught:
            reader(path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        require_parts(str(caught.value), rf"bomb\.png ~ {SIDE}x{SIDE} pixels ~ expected at most ~ MAX_PIXELS=")
        assert most < 20_000_000  # bytes; decoded, it is nine times as much


# --- pairs and weights ----------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What is written into an empty folder and read from it, and what the message must say."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    parts: str


class Command:
    """What a hostile weight file would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def load(path: Path) -> None:
    load_weights(path, build_network("stcn", TINY["stcn"]))


def cut_weights(path: Path) -> None:
    content = tiny_weights(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).touch()


WRITTEN = {
    "image without mask": Written(
        lambda root: touch(root, "a.jpg"), read_pairs, r"a\.jpg ~ without ~ mask \(\.png\) ~ add the missing"
    ),
    "mask without image": Written(
        lambda root: touch(root, "a.png"), read_pairs, r"a\.png ~ without ~ image \(\.jpg\) ~ add the missing"
    ),
    "two images of one name": Written(
        lambda root: touch(root, "a.jpg", "a.jpeg", "a.png"),
        read_pairs,
        r"a\.jpg ~ differs from a\.jpeg ~ expected one image and one mask ~ Take one of the two away",
    ),
    "border to ignore in the mask of a pair": Written(
        lambda root: write_mask(root / "a.png", np.where(TWO == 2, 255, TWO).astype(np.uint8)),
        lambda root: read_objects(root / "a.png"),
        r"a\.png ~ value 255 beside 1 id\(s\): a border ~ expected ids counted from 1 ~ Set it to 0",
    ),
    "truncated weights": Written(
        lambda root: cut_weights(root / "w.safetensors"),
        lambda root: load(root / "w.safetensors"),
        r"w\.safetensors ~ not readable ~ expected safetensors weights ~ make or download it again",
    ),
    "weights of another network": Written(
        lambda root: tiny_weights(root / "w.safetensors", "xmem"),
        lambda root: load(root / "w.safetensors"),
        r"w\.safetensors ~ missing: key_comp\.|missing: .*key_comp\. ~ do not fit STCN ~ "
        "Load the weights that belong to this network",
    ),
    "no weights": Written(
        lambda root: None,
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not found ~ expected an official weight file ~ Check the name",
    ),
    "weights that run a command": Written(
        lambda root: torch.save({"weights": Command()}, root / "w.pth"),
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not readable ~ expected an official weight file ~ name another file",
    ),
    "a list in place of weights": Written(
        lambda root: torch.save([torch.zeros(2)], root / "w.pth"),
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not a table from names to tensors ~ expected an official weight file ~ name another file",
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_pairs_and_weights_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    row = WRITTEN[case]
    row.write(tmp_path)
    with pytest.raises(UserError) as caught:
        row.read(tmp_path)
    require_parts(str(caught.value), row.parts)
    assert not (tmp_path / "executed").exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".pth", ".safetensors"]),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.sampled_from([0, 0, 1, 100, 700]),
)
def test_damaged_weights_are_read_or_refused(
    tmp_path: Path, suffix: str, flips: list[tuple[int, int]], cut: int
) -> None:
    network, path = torch.nn.Linear(2, 2), tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_weights(path, network, {"model": "linear"})
    content = bytearray(path.read_bytes())
    for position, flip in flips:
        content[position % len(content)] ^= flip
    path.write_bytes(content[: max(0, len(content) - cut)])
    try:
        recognise(path)
    except UserError as error:
        require_parts(str(error), f"{re.escape(str(path))} ~ not readable ~ expected ~ name another file")
