"""Situations of real users, each as they met it: `segment` reads what is meant, or says what is wrong.

The inputs lie in a folder of cases; what is drawn here stands for the same kinds.
"""

import json
import shutil
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.cli import app
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.masks import DAVIS_PALETTE, read_mask

SIZE = (48, 64)
BLUE = np.array([(0, 90, 255), (9, 9, 9), (80, 9, 9)], np.uint8)  # background and two objects, none of them black
SWAPPED = np.array([1, 0, 2], np.uint8)  # what a palette with two entries exchanged makes of ids


Segment = Callable[..., tuple[int, str]]


@pytest.fixture
def segment(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Segment:
    """Runs the command in a folder of its own; its exit code, and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(video: object, *masks: object, options: tuple[str, ...] = ("--no-overlay",)) -> tuple[int, str]:
        given = [word for mask in masks for word in ("--mask", str(mask))]
        words = ["segment", str(video), *given, "--weights", str(weights), "--out", "out", *options]
        code = app(words, standalone_mode=False) or 0
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def frames(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for t, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), 20 * t, np.uint8)).save(folder / name)
    return folder


def two_squares() -> np.ndarray:
    ids = np.zeros(SIZE, np.uint8)
    ids[4:20, 4:20], ids[24:40, 30:50] = 1, 2
    return ids


def palette_mask(file: Path, ids: np.ndarray, colors: dict[int, tuple[int, int, int]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids, "P")
    table = np.array(DAVIS_PALETTE)
    for number, color in colors.items():
        table[number] = color
    image.putpalette(table.tobytes())
    image.save(file)
    return file


def masks_in(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "out/masks").iterdir())


# --- the folder of cases --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*RGB mask, colours read")
@pytest.mark.parametrize(
    ("case", "video", "mask", "expected"),
    [
        ("av1", "clip.mp4", "0={}/00000.png", 12),
        ("colon-name", "12:30:05.mp4", "0={}/00000.png", 12),
        ("unpadded-mask", "videos/a.mp4", "{}/masks/a/0.png", 12),
        ("damaged-packet", "sound.avi", "0={}/00000.png", 12),
        ("decimal-names", "frames", "{}/1403636579.9.png", 6),
        ("coloured-background", "frames", "{}/masks/00000.png", 3),
        ("per-object-folders", "frames", "{}/masks", 3),
    ],
)
def test_accepted(
    segment: Segment, cases_root: Path, tmp_path: Path, case: str, video: str, mask: str, expected: int
) -> None:
    code, said = segment(cases_root / case / video, mask.format(cases_root / case))
    assert (code, len(masks_in(tmp_path))) == (0, expected), said


@pytest.mark.parametrize(
    ("case", "video", "mask", "message"),
    [
        ("damaged-packet", "damaged.avi", "0={}/00000.png", "damaged.avi: 1 of its 12 frames (codec mjpeg) cannot be"),
        ("void-255", "JPEGImages/clip", "{}/Annotations/clip/00000.png", "value 255 beside the ids [1, 2]"),
    ],
)
def test_refused(
    segment: Segment, cases_root: Path, tmp_path: Path, case: str, video: str, mask: str, message: str
) -> None:
    code, said = segment(cases_root / case / video, mask.format(cases_root / case))
    assert code == 2
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_name_with_a_colon_is_no_protocol(
    segment: Segment, cases_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cases_root / "colon-name", tmp_path / "here", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "here")
    code, said = segment("12:30:05.mp4", "00000.png")
    assert code == 0, said


def test_time_stamps_are_decimal_numbers(cases_root: Path) -> None:
    names = open_frames(cases_root / "decimal-names/frames").names
    assert [float(name) for name in names] == sorted(float(name) for name in names)
    assert names[2:4] == ("1403636580.0", "1403636580.05")


@pytest.mark.filterwarnings("ignore:.*RGB mask, colours read")
def test_a_label_map_says_what_is_background(cases_root: Path) -> None:
    ids = read_mask(cases_root / "coloured-background/masks/00000.png")
    assert sorted(np.unique(ids)) == [0, 1, 2]
    assert (ids == 0).sum() > ids.size / 2


# --- the same kinds, drawn here --------------------------------------------------------------------------------------


def test_a_home_directory_is_found_behind_the_name_of_a_frame(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    palette_mask(tmp_path / "home/mask.png", two_squares(), {})
    code, said = segment(frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"]), "00000=~/mask.png")
    assert code == 0, said


def test_accents_may_be_written_in_two_ways(segment: Segment, tmp_path: Path) -> None:
    name = "bär-1.jpg"
    clip = frames(tmp_path / "clip", [unicodedata.normalize("NFD", name), "bär-2.jpg"])
    mask = palette_mask(tmp_path / unicodedata.normalize("NFC", "bär-1.png"), two_squares(), {})
    code, said = segment(clip, mask)
    assert code == 0, said


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda file: None, "nosuch.png: no such file"),
        (
            lambda file: Image.fromarray(np.where(two_squares()[..., None], 200, [0, 90, 255]).astype(np.uint8)).save(
                file
            ),
            "no pixel is background: no colour of this RGB mask is black",
        ),
        (
            lambda file: palette_mask(
                file, np.array([1, 0, 2], np.uint8)[two_squares()], {0: (128, 0, 0), 1: (0, 0, 0)}
            ),
            "index 1 of the palette is black and index 0, the background, is (128, 0, 0)",
        ),
        (
            lambda file: palette_mask(file, two_squares(), {1: (0, 128, 0), 2: (128, 0, 0)}),
            "index 1 of the palette has the colour that DAVIS gives to object 2, and the other way round",
        ),
        (lambda file: file.write_text("{}"), "not an image"),
    ],
)
def test_a_mask_that_does_not_mean_what_it_says_is_refused(
    segment: Segment, tmp_path: Path, draw: Callable[[Path], object], message: str
) -> None:
    draw(tmp_path / "nosuch.png")
    code, said = segment(frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"]), "00000=nosuch.png")
    assert code == 2
    assert message in said
    assert not (tmp_path / "out").exists()


def test_two_masks_with_other_palettes_are_refused_with_both_names(segment: Segment, tmp_path: Path) -> None:
    clip = frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"])
    first = palette_mask(tmp_path / "00000.png", two_squares(), {1: (9, 9, 9)})
    second = palette_mask(tmp_path / "00001.png", two_squares(), {1: (200, 9, 9)})
    code, said = segment(clip, first, second)
    assert code == 2
    assert f"{second}: id 1 is the colour (200, 9, 9) here and (9, 9, 9) in {first}" in said


def test_polygons_of_labelme_are_masks(segment: Segment, tmp_path: Path) -> None:
    shapes = [{"label": "goat", "points": [[4, 4], [20, 4], [20, 20]], "shape_type": "polygon", "group_id": None}]
    content = {"shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    for name in ("00000.json", "00001.json"):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    clip = frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"])
    code, said = segment(clip, "00000.json")
    assert code == 0, said
    assert "goat = 1" in said
    assert json.loads((tmp_path / "out/segment.json").read_text(encoding="utf-8"))["masks"] == {"00000": "00000.json"}
    code, said = segment(clip, "00000.json", "00001.json")
    assert code == 2
    assert "a second .json" in said


def test_a_mask_without_background_is_told(segment: Segment, tmp_path: Path) -> None:
    clip = frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"])
    mask = palette_mask(tmp_path / "00000.png", two_squares() + np.uint8(1), {})
    with pytest.warns(UserWarning, match="no pixel is background"):
        assert segment(clip, mask)[0] == 0


def test_numbers_with_a_point_whose_order_is_not_certain_are_refused(segment: Segment, tmp_path: Path) -> None:
    clip = frames(tmp_path / "clip", ["0.9.jpg", "0.10.jpg"])
    code, said = segment(clip, "0.9=mask.png")
    assert code == 2
    assert "as decimal numbers 0.10 comes before 0.9, as pairs of numbers after it" in said


def test_a_video_that_is_not_there_is_not_looked_for_among_other_things(segment: Segment, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").touch()
    frames(tmp_path / "clip", ["00000.jpg"])
    code, said = segment("nosuch.mp4", "x.png")
    assert code == 2
    assert "known: clip" in said.replace("\n", " ")
    assert "notes" not in said


def test_a_video_given_as_weights_is_called_what_it_is(
    cases_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = cases_root / "av1/clip.mp4"
    assert (
        app(
            ["segment", str(clip), "--mask", f"0={clip.parent}/00000.png", "--weights", str(clip)],
            standalone_mode=False,
        )
        == 2
    )
    said = capsys.readouterr().err
    assert "no file of tensors" in said
    assert "weights_only" not in said


def test_a_message_names_what_was_given_not_where_it_was_unpacked(segment: Segment, tmp_path: Path) -> None:
    palette_mask(tmp_path / "00009.png", two_squares(), {})
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.write(tmp_path / "00009.png", "top/00009.png")
    code, said = segment(frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"]), "masks.zip")
    assert code == 2
    assert "error: masks.zip/top/00009.png: the video" in said


@pytest.mark.parametrize("mask", ["0=", "=m.png"])
def test_a_mask_without_frame_or_path_is_no_folder(segment: Segment, tmp_path: Path, mask: str) -> None:
    palette_mask(tmp_path / "m.png", two_squares(), {})
    code, said = segment(frames(tmp_path / "clip", ["00000.jpg", "00001.jpg"]), mask)
    assert code == 2
    assert f"--mask {mask}: expected FRAME=PATH" in said
