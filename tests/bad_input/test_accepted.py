"""Unusual input that can be used: one row per case, with the result that it must give and the warning that it must
bring. What the clip's masks say is found again in the masks that are written, to the pixel.
"""

import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from tests.bad_input.clip import (
    ANNOTATIONS,
    COLORS,
    IMAGES,
    TWO,
    Clip,
    Door,
    Masks,
    check,
    mask,
    score,
    segment,
    the_video,
    train,
)
from tests.stages.clips import SIZE, ids, picture

from oneshot_vos.inference.given import read_ids
from oneshot_vos.inference.writer import copy_first
from oneshot_vos.sets.check import CheckReport, check_folder
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import DAVIS_PALETTE, read_mask

NAMES = ("00000", "00001", "00002")


class Accepted(NamedTuple):
    """What is done to a sound clip; the ids that its masks then mean, by frame; the frames in order; and patterns of
    the warnings that come up, in Python or in the report of `check-data`.
    """

    change: Callable[[Clip], object]
    ids: Masks
    frames: tuple[str, ...] = NAMES
    warning: str | None = None
    report: str | None = None
    doors: tuple[Door, ...] = (score, segment)


def many_objects() -> np.ndarray:
    """300 objects of a few pixels each, more than 8 bits can tell apart, and some background."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.minimum((rows // 3) * 20 + columns // 3, 300).astype(np.int32)


def transparent(clip: Clip) -> None:
    """Where alpha is 0, the colour below does not count."""
    pixels = np.dstack([COLORS[np.maximum(TWO, 1)], np.where(TWO, 255, 0).astype(np.uint8)])
    clip.draw("00000.png", pixels)


def only_at_frame_2(clip: Clip) -> None:
    (clip.masks / "00000.png").unlink()
    clip.put_mask("00002.png", TWO)


def unpadded(clip: Clip) -> None:
    clip.rename({"00000.jpg": "9.jpg", "00001.jpg": "10.jpg", "00002.jpg": "100.jpg"})
    (clip.masks / "00000.png").rename(clip.masks / "9.png")


def litter(clip: Clip) -> None:
    for folder in (clip.frames, clip.masks):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._00000.jpg", "notes.txt"):
            (folder / name).write_bytes(b"\0litter")
        for name in ("__MACOSX", "@eaDir"):
            (folder / name).mkdir()
            (folder.parent / name).mkdir()


def in_mode(mode: str) -> Callable[[Clip], None]:
    def change(clip: Clip) -> None:
        for path in list(clip.frames.iterdir()):
            image = Image.open(path).convert(mode)
            image.save(path)

    return change


def turned(clip: Clip) -> None:
    """Frames that are stored lying and shown upright; the mask is drawn on what is shown."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter to the right
    for path in list(clip.frames.iterdir()):
        Image.open(path).rotate(90, expand=True).save(path, exif=exif)


def one_frame(clip: Clip) -> None:
    for name in ("00001.jpg", "00002.jpg"):
        (clip.frames / name).unlink()


def empty_first(clip: Clip) -> None:
    clip.put_mask("00000.png", np.zeros_like(TWO))
    clip.put_mask("00001.png", TWO)


SPARSE = np.array([0, 3, 250])
DEEP = np.array([0, 300, 1])
RANK = np.array([0, 2, 1])  # of the colours: (10, 200, 250) sorts before (250, 20, 40)
BINARY = (TWO > 0).astype(np.int32)


def renamed(*names: str) -> Callable[[Clip], None]:
    def change(clip: Clip) -> None:
        clip.rename({f"{t:05}.jpg": f"{name}.jpg" for t, name in enumerate(names)})
        (clip.masks / "00000.png").rename(clip.masks / f"{names[0]}.png")

    return change


def unfinished(clip: Clip) -> None:
    for name in ("00003.jpg.part", "00004.jpg."):
        clip.put_frame("00003.jpg")
        (clip.frames / "00003.jpg").rename(clip.frames / name)


def folder_of_frames(clip: Clip) -> None:
    (clip.frames / "more").mkdir()
    clip.put_frame("more/00003.jpg")


ACCEPTED = {
    "numbers below 0": Accepted(
        renamed("-2", "-1", "0"),
        {"-2": TWO},
        frames=("-2", "-1", "0"),
        warning="not zero-padded; read in numeric order",
    ),
    "copies of a file manager": Accepted(
        renamed("shot", "shot (1)", "shot (2)"),
        {"shot": TWO},
        frames=("shot", "shot (1)", "shot (2)"),
        warning="read in numeric order",
    ),
    "time stamp without a fraction": Accepted(
        renamed("1403636579", "1403636579.5", "1403636580"),
        {"1403636579": TWO},
        frames=("1403636579", "1403636579.5", "1403636580"),
        warning="read in numeric order",
    ),
    "two cameras in one folder": Accepted(
        renamed("left_0", "left_1", "right_0"),
        {"left_0": TWO},
        frames=("left_0", "left_1", "right_0"),
        warning="'left_0' and 'right_0' in one folder, .*give each a folder",
    ),
    "digits of another script": Accepted(
        renamed("٨", "٩", "١٠"), {"٨": TWO}, frames=("٨", "٩", "١٠"), warning="not zero-padded; read in numeric order"
    ),
    "unfinished downloads among the frames": Accepted(
        unfinished,
        {"00000": TWO},
        warning=r"2 file\(s\) left out that are named like unfinished images, .* '00003\.jpg\.part'; expected",
    ),
    "a folder of further frames": Accepted(
        folder_of_frames, {"00000": TWO}, warning=r"more: 1 image\(s\) in a folder beside others are left out; expected"
    ),
    "label map without a background": Accepted(
        lambda clip: [
            clip.draw("00000.png", COLORS[TWO]),
            (clip.masks.parent / "labelmap.txt").write_text("cat:250,20,40::\ndog:10,200,250::\n", encoding="utf-8"),
        ],
        {"00000": TWO},
        warning=r"\(250, 20, 40\) = 1, \(10, 200, 250\) = 2",
        report="colours read as ids",
        doors=(check, train, mask, score, segment),
    ),
    "grey with a transparent background": Accepted(
        lambda clip: Image.fromarray(np.array([7, 1, 2], np.uint8)[TWO]).save(clip.masks / "00000.png", transparency=7),
        {"00000": TWO},
        doors=(check, train, mask, score, segment),
    ),
    "palette whose background alone is transparent": Accepted(
        lambda clip: Image.open(clip.masks / "00000.png").save(clip.masks / "00000.png", transparency=0),
        {"00000": TWO},
        doors=(check, train, mask, score, segment),
    ),
    "palette PNG": Accepted(lambda clip: None, {"00000": TWO}, doors=(check, train, mask, score, segment)),
    "ids with gaps": Accepted(lambda clip: clip.put_mask("00000.png", SPARSE[TWO]), {"00000": SPARSE[TWO]}),
    "RGB mask of two colours": Accepted(
        lambda clip: clip.draw("00000.png", COLORS[TWO]),
        {"00000": RANK[TWO]},
        warning=r"RGB mask, colours read as object ids: \(10, 200, 250\) = 1, \(250, 20, 40\) = 2",
        report=r"RGB masks \(1 files\), colours read as ids",
    ),
    "RGB mask in the colours of DAVIS": Accepted(
        lambda clip: clip.draw("00000.png", DAVIS_PALETTE[TWO]),
        {"00000": TWO},
        warning=r"\(128, 0, 0\) = 1, \(0, 128, 0\) = 2",
        report="colours read as ids",
    ),
    "RGBA mask": Accepted(transparent, {"00000": RANK[TWO]}, warning="colours read as object ids", report="RGB masks"),
    "0/255 mask": Accepted(
        lambda clip: clip.draw("00000.png", (BINARY * 255).astype(np.uint8)), {"00000": BINARY * 255}
    ),
    "black object on white": Accepted(
        lambda clip: clip.draw("00000.png", ((1 - BINARY) * 255).astype(np.uint8)),
        {"00000": (1 - BINARY) * 255},
        warning=r"00000\.png: object 255 has all four corners and \d\d% of the frame: if the mask is inverted",
        doors=(segment,),
    ),
    "1-bit mask": Accepted(lambda clip: clip.draw("00000.png", BINARY > 0), {"00000": BINARY}),
    "16-bit mask": Accepted(lambda clip: clip.draw("00000.png", DEEP[TWO].astype(np.uint16)), {"00000": DEEP[TWO]}),
    "more than 255 objects": Accepted(
        lambda clip: [one_frame(clip), clip.put_mask("00000.png", many_objects())],
        {"00000": many_objects()},
        frames=("00000",),
        doors=(mask, segment),
    ),
    "the largest id": Accepted(lambda clip: clip.put_mask("00000.png", BINARY * 65_535), {"00000": BINARY * 65_535}),
    "empty first mask": Accepted(
        empty_first,
        {"00000": np.zeros_like(TWO), "00001": TWO},
        warning=r"00000\.png: the first mask of video 'walk' is empty.*background up to frame '00001'",
        report="no object in the first mask",
        doors=(score,),
    ),
    "mask at frame 2 alone": Accepted(only_at_frame_2, {"00002": TWO}),
    "every frame with a mask of the same ids": Accepted(
        lambda clip: [clip.put_mask(f"{name}.png", ids(t, 2)) for t, name in enumerate(NAMES)],
        {name: ids(t, 2) for t, name in enumerate(NAMES)},
        doors=(segment,),
    ),
    "missing middle frame": Accepted(
        lambda clip: [
            clip.put_frame("00003.jpg", 3),
            (clip.frames / "00001.jpg").unlink(),
            clip.put_frame("00004.jpg"),
        ],
        {"00000": TWO},
        frames=("00000", "00002", "00003", "00004"),
        report="frames are missing: the numbers jump from 00000 to 00002; expected steps of 1",
    ),
    "frames with the suffix .jpeg": Accepted(
        lambda clip: clip.rename({f"{name}.jpg": f"{name}.jpeg" for name in NAMES}), {"00000": TWO}
    ),
    "frames with the suffix .JPG": Accepted(
        lambda clip: clip.rename({f"{name}.jpg": f"{name}.JPG" for name in NAMES}), {"00000": TWO}
    ),
    "names without leading zeros": Accepted(
        unpadded, {"9": TWO}, frames=("9", "10", "100"), warning="not zero-padded; read in numeric order", report="jump"
    ),
    "files of the file manager": Accepted(litter, {"00000": TWO}),
    "an image of another kind among the frames": Accepted(
        lambda clip: (clip.frames / "00003.heic").touch(),
        {"00000": TWO},
        warning=r"1 image\(s\) of other kinds left out, the first is 00003\.heic; expected .* Convert them",
    ),
    "an image of another kind among the masks": Accepted(
        lambda clip: (clip.masks / "00001.tga").touch(),
        {"00000": TWO},
        warning=r"1 image\(s\) of other kinds left out, the first is 00001\.tga; expected .* Convert them",
    ),
    "grey frames": Accepted(in_mode("L"), {"00000": TWO}),
    "CMYK frames": Accepted(in_mode("CMYK"), {"00000": TWO}, warning="CMYK frame"),
    "turned frames": Accepted(turned, {"00000": TWO}),
    "one frame": Accepted(one_frame, {"00000": TWO}, frames=("00000",)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(tmp_path: Path, case: str) -> None:
    row, root = ACCEPTED[case], tmp_path / "späce and ünicode"
    row.change(Clip(root))
    report = check_quietly(root)
    assert not report.errors
    told = [problem.message for problem in report.warnings]
    assert len(told) == (row.report is not None), told
    if row.report is not None:
        assert_matches(told, row.report)
    for door in row.doors:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            masks = door(root)
        texts = [str(each.message) for each in caught if each.category is UserWarning]
        if row.warning is None:
            assert not texts
        elif door in (score, segment):
            assert_matches(texts, row.warning)
        if masks is None:
            continue
        if door is not mask:
            assert tuple(masks) == row.frames
        for name, expected in row.ids.items():
            assert np.array_equal(masks[name], expected), (door.__name__, name)
        known = {0, *np.unique([*row.ids.values()]).tolist()}
        assert all(set(np.unique(found)) <= known for found in masks.values())


def check_quietly(root: Path) -> CheckReport:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_folder(root, images=IMAGES, annotations=ANNOTATIONS)


def assert_matches(texts: list[str], pattern: str) -> None:
    assert any(re.search(pattern, text) for text in texts), (pattern, texts)


def test_frames_in_any_colours_and_position_look_the_same(tmp_path: Path) -> None:
    """Turned frames are shown upright, and their pixels lie under those of the mask."""
    clip = Clip(tmp_path)
    turned(clip)
    found = read_frame(clip.frames / "00000.jpg").astype(int)
    assert found.shape[:2] == TWO.shape
    assert np.abs(found - picture(0, 2)).mean() < 12


def test_all_ids_of_a_single_object_video_are_object_1(tmp_path: Path) -> None:
    clip = Clip(tmp_path)
    clip.draw("00000.png", (BINARY * 255).astype(np.uint8))
    video = replace(the_video(tmp_path), single_object=True)
    assert np.array_equal(read_ids(video.masks["00000"], video.single_object), BINARY)


def test_more_than_255_objects_are_written_with_16_bits(tmp_path: Path) -> None:
    """From a mask to the archive of a set, and back."""
    clip = Clip(tmp_path)
    clip.put_mask("00000.png", many_objects())
    copy_first([the_video(tmp_path)], tmp_path / "masks.zip")
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        archive.extract("walk/00002.png", tmp_path)
    assert np.array_equal(read_mask(tmp_path / "walk/00002.png"), many_objects())
    with Image.open(tmp_path / "walk/00002.png") as image:
        assert image.mode == "I;16"
