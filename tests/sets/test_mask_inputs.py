"""Masks in the forms that annotation tools and other programs write: read as they are meant, or refused."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.sets import coco
from oneshot_vos.sets.mask_inputs import read_mask_tree, read_masks
from oneshot_vos.videos.masks import DAVIS_PALETTE, encode_mask, read_mask, write_mask

SIZE = (48, 64)
ONE, TWO = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
ONE[4:20, 4:20], TWO[30:47, 20:63] = True, True
IDS = np.where(ONE, 1, np.where(TWO, 2, 0)).astype(np.int32)
FRAMES = ("00000", "00001", "00002")
# Of ONE or TWO or the first pixel, as pycocotools 2.0.11 packs it.
PACKED = "01S6?mJ" + "0" * 29 + "j01UO" + "0" * 83 + "b0"


def masks_of(path: Path, scratch: Path, video: str = "clip") -> dict[str, np.ndarray]:
    return {name: read_mask(file) for name, file in read_masks(path, scratch, video, FRAMES).items()}


def save(file: Path, pixels: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


def binary(file: Path, mask: np.ndarray) -> Path:
    return save(file, mask.astype(np.uint8) * np.uint8(255))


def colours(file: Path, ids: np.ndarray, *table: tuple[int, int, int]) -> Path:
    return save(file, np.array(table, np.uint8)[ids])


def pack(archive: Path, folder: Path, top: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            opened.write(file, f"{top}{file.relative_to(folder)}")
        opened.writestr(f"__MACOSX/{top}._00000.png", b"x")
        opened.writestr(f"{top}.DS_Store", b"x")
    return archive


# --- one binary mask per object --------------------------------------------------------------------------------------


def test_a_folder_per_object_gives_its_number(cases_root: Path, tmp_path: Path) -> None:
    (mask,) = masks_of(cases_root / "per-object-folders/masks", tmp_path).values()
    assert sorted(np.unique(mask)) == [0, 1, 2]


def test_folders_per_object_may_lie_below_the_video_and_count_from_zero(tmp_path: Path) -> None:
    binary(tmp_path / "set/clip/000/00000.png", ONE)
    binary(tmp_path / "set/clip/001/00000.png", TWO)
    binary(tmp_path / "set/clip/001/00002.png", TWO)
    binary(tmp_path / "set/other/000/00000.png", TWO)
    for path in (tmp_path / "set", tmp_path / "set/clip"):
        masks = masks_of(path, tmp_path / "scratch" / path.name)
        assert np.array_equal(masks["00000"], IDS)
        assert np.array_equal(masks["00002"], TWO * 2)
    assert set(read_mask_tree(tmp_path / "set", tmp_path / "all")) == {"clip", "other"}
    binary(tmp_path / "lone/clip/000/00000.png", ONE)
    assert set(read_mask_tree(tmp_path / "lone", tmp_path / "one")) == {"clip"}


def test_files_may_be_named_by_frame_and_object(tmp_path: Path) -> None:
    binary(tmp_path / "given/00001_1.png", ONE)
    binary(tmp_path / "given/00001_2.png", TWO)
    (name,) = masks_of(tmp_path / "given", tmp_path / "scratch")
    assert name == "00001"
    assert np.array_equal(masks_of(tmp_path / "given", tmp_path / "scratch")[name], IDS)


def test_the_lowest_of_overlapping_objects_is_on_top(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    binary(tmp_path / "given/1/00000.png", ONE)
    binary(tmp_path / "given/2/00000.png", ONE | TWO)
    assert np.array_equal(masks_of(tmp_path / "given", tmp_path / "scratch")["00000"], IDS)
    assert f"{tmp_path / 'given/1/00000.png'}: objects overlap in 256 pixels" in caplog.text


# --- archives and CVAT -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "clip/", "export/clip/"])
def test_a_zip_may_have_folders_above_and_debris(tmp_path: Path, top: str) -> None:
    (tmp_path / "given").mkdir()
    write_mask(tmp_path / "given/00000.png", IDS)
    archive = pack(tmp_path / "masks.zip", tmp_path / "given", top)
    masks = masks_of(archive, tmp_path / "scratch")
    assert list(masks) == ["00000"]
    assert np.array_equal(masks["00000"], IDS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("00000.png", "../outside.png"), r"masks\.zip: the member '\.\./outside\.png' would lie outside"),
        (("00000.png", "/outside.png"), "would lie outside"),
        (("00000.png", "a\\..\\..\\outside.png"), "would lie outside"),
        (("00000.png", "00000.png"), r"several members are named 00000\.png"),
        (("walk\\00000.png", "walk/00000.png"), r"several members are named walk/00000\.png"),
        (("00000.png", "00001.jpg"), r"00001\.jpg: a mask saved as \.jpg"),
        (("00000.npy",), r"00000\.npy: a mask saved as \.npy"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_a_zip_that_would_be_left_out_or_lie_outside_are_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    content = encode_mask(IDS)
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as opened:
        for name in names:
            member = zipfile.ZipInfo()
            member.filename = name
            opened.writestr(member, content)
    with pytest.raises(UserError, match=message):
        masks_of(tmp_path / "masks.zip", tmp_path / "scratch")
    assert not list(tmp_path.rglob("outside.png"))


def test_folders_in_a_zip_may_be_written_as_windows_does(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as opened:
        member = zipfile.ZipInfo()
        member.filename = "masks\\walk\\00000.png"
        opened.writestr(member, encode_mask(IDS))
    assert list(masks_of(tmp_path / "masks.zip", tmp_path / "scratch")) == ["00000"]


@pytest.mark.parametrize("form", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_with_damaged_contents_is_named(tmp_path: Path, form: int) -> None:
    archive = tmp_path / "masks.zip"
    with zipfile.ZipFile(archive, "w", form) as opened:
        opened.writestr("00000.png", encode_mask(IDS) * 3)
    content = bytearray(archive.read_bytes())
    content[50:80] = b"\xff" * 30
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"masks\.zip: not readable as a zip"):
        masks_of(archive, tmp_path / "scratch")


def export(folder: Path, *frames: str, instances: int = 2) -> Path:
    """A "segmentation mask" of CVAT: two labels, and one object per label or one more."""
    folder.mkdir()
    (folder / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:61,61,245::\n", encoding="utf-8"
    )
    for frame in frames:
        colours(folder / f"SegmentationClass/{frame}.png", IDS, (0, 0, 0), (250, 50, 83), (61, 61, 245))
        objects = IDS.copy()
        if instances == 3:
            objects[12:20, 4:20] = 3
        colours(folder / f"SegmentationObject/{frame}.png", objects, *map(tuple, DAVIS_PALETTE[:4].tolist()))
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    (folder / "ImageSets/Segmentation/default.txt").write_text("\n".join(frames), encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore:.*RGB mask, colours read")
@pytest.mark.parametrize("zipped", [False, True])
def test_a_whole_export_of_cvat_is_read_by_its_labels(tmp_path: Path, zipped: bool) -> None:
    path = export(tmp_path / "task", "frame_000000", "frame_000002")
    path = pack(tmp_path / "task.zip", path) if zipped else path
    masks = masks_of(path, tmp_path / "scratch")
    assert list(masks) == ["frame_000000", "frame_000002"]
    assert all(np.array_equal(mask, IDS) for mask in masks.values())


@pytest.mark.filterwarnings("ignore:.*RGB mask, colours read")
def test_objects_of_one_label_are_told_apart_in_one_frame_alone(tmp_path: Path) -> None:
    (mask,) = masks_of(export(tmp_path / "one", "frame_000000", instances=3), tmp_path / "scratch").values()
    assert sorted(np.unique(mask)) == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"frame_000000\.png: 3 objects of 2 label\(s\), numbered anew in each frame"):
        masks_of(export(tmp_path / "two", "frame_000000", "frame_000001", instances=3), tmp_path / "scratch")


# --- labelme ---------------------------------------------------------------------------------------------------------


def shape(label: str, points: list[Any], kind: str = "polygon", **rest: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **rest}


SQUARE = [[4, 4], [19, 4], [19, 19], [4, 19]]
STENCIL = io.BytesIO()
Image.fromarray(np.ones((17, 43), bool)).save(STENCIL, "PNG")
BOX = {"points": [[20, 30], [62, 46]], "kind": "mask", "mask": base64.b64encode(STENCIL.getvalue()).decode()}


def labelme(file: Path, *shapes: dict[str, Any], **rest: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1], "imagePath": "a.jpg", "imageData": None}
    file.write_text(json.dumps({"version": "5.4.1", "shapes": list(shapes), **size, **rest}), encoding="utf-8")
    return file


def test_labelme_numbers_labels_once_per_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    labelme(tmp_path / "given/00000.json", shape("cat", SQUARE), shape("dog", **BOX), shape("__ignore__", SQUARE))
    labelme(tmp_path / "given/00001.json", shape("dog", [[20, 30], [62, 46]], "rectangle"), shape("cat", SQUARE))
    masks = masks_of(tmp_path / "given", tmp_path / "scratch")
    assert np.array_equal(masks["00000"], IDS)
    assert np.array_equal(masks["00001"], IDS)
    assert "cat = 1, dog = 2" in caplog.text


def test_labelme_may_lie_beside_the_frames(tmp_path: Path) -> None:
    save(tmp_path / "given/00000.png", np.zeros((*SIZE, 3), np.uint8))
    labelme(tmp_path / "given/00000.json", shape("1", SQUARE), shape("2", **BOX))
    assert np.array_equal(masks_of(tmp_path / "given", tmp_path / "scratch")["00000"], IDS)


def test_labels_that_are_numbers_are_ids_and_groups_are_objects(tmp_path: Path) -> None:
    file = labelme(tmp_path / "00000.json", shape("7", SQUARE), shape("300", **BOX))
    assert sorted(np.unique(masks_of(file, tmp_path / "a")["00000"])) == [0, 7, 300]
    labelme(file, shape("7", SQUARE), shape("70000", **BOX))
    assert np.array_equal(masks_of(file, tmp_path / "c")["00000"], IDS)
    labelme(file, shape("cat", SQUARE, group_id=4), shape("cat", **BOX, group_id=5))
    assert np.array_equal(masks_of(file, tmp_path / "b")["00000"], IDS)


# --- COCO ------------------------------------------------------------------------------------------------------------


def annotation(number: int, image: int, category: int, segmentation: Any, **rest: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **rest}


def coco_file(file: Path, names: list[str], annotations: list[dict[str, Any]]) -> Path:
    images = [{"id": t, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for t, name in enumerate(names)]
    categories = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def runs(mask: np.ndarray, packed: bool = True) -> dict[str, Any]:
    counts = coco.encode_runs(mask)
    return {"size": list(SIZE), "counts": coco.pack_runs(counts) if packed else counts}


def test_run_lengths_are_those_of_pycocotools() -> None:
    mask = ONE | TWO
    mask[0, 0] = True
    assert np.array_equal(coco.decode_runs(coco.unpack_runs(PACKED), *SIZE), mask)
    assert coco.pack_runs(coco.encode_runs(mask)) == PACKED


def test_polygons_and_run_lengths_of_coco(tmp_path: Path) -> None:
    polygons = [[4, 4, 20, 4, 20, 12, 4, 12], [4, 12, 20, 12, 20, 20, 4, 20]]
    file = coco_file(
        tmp_path / "instances.json",
        ["00000.jpg", "00001.jpg"],
        [annotation(1, 0, 3, polygons), annotation(2, 0, 8, runs(TWO)), annotation(3, 1, 8, runs(TWO, packed=False))],
    )
    masks = masks_of(file, tmp_path / "scratch")
    assert np.array_equal(masks["00000"], IDS)
    assert np.array_equal(masks["00001"], TWO * 2)


def test_tracks_of_coco_are_objects_and_folders_are_videos(tmp_path: Path) -> None:
    file = coco_file(
        tmp_path / "instances.json",
        ["clip/00000.jpg", "clip/00001.jpg", "other/00000.jpg"],
        [
            annotation(1, 0, 3, runs(ONE), attributes={"track_id": 5}),
            annotation(2, 0, 3, runs(TWO), attributes={"track_id": 9}),
            annotation(3, 1, 3, runs(TWO), attributes={"track_id": 9}),
            annotation(4, 2, 3, runs(TWO)),
        ],
    )
    masks = masks_of(file, tmp_path / "scratch")
    assert np.array_equal(masks["00000"], IDS)
    assert np.array_equal(masks["00001"], TWO * 2)
    tree = read_mask_tree(file, tmp_path / "all")
    assert set(tree) == {"clip", "other"}
    assert np.array_equal(read_mask(tree["other"]["00000"]), TWO)


# --- what is refused -------------------------------------------------------------------------------------------------


def twins(folder: Path) -> Path:
    found = [annotation(k, t, 3, runs(mask)) for k, (t, mask) in enumerate([(0, ONE), (0, TWO), (1, TWO)])]
    return coco_file(folder / "c.json", ["00000.jpg", "00001.jpg"], found)


def given(*names: str) -> Callable[[Path], Path]:
    """Makes a folder of binary masks."""

    def make(folder: Path) -> Path:
        for name in names:
            binary(folder / "given" / name, ONE)
        return folder / "given"

    return make


def same_image_twice(file: Path) -> Path:
    content = json.loads(coco_file(file, ["a.jpg", "b.jpg"], [annotation(1, 0, 3, runs(ONE))]).read_text("utf-8"))
    content["images"][1]["id"] = 0
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def image_of(*annotations: dict[str, Any]) -> Callable[[Path], Path]:
    """Makes a COCO file of one image."""
    return lambda folder: coco_file(folder / "c.json", ["a.jpg"], list(annotations))


def drawn(*shapes: dict[str, Any], **rest: Any) -> Callable[[Path], Path]:
    """Makes a file of labelme."""
    return lambda folder: labelme(folder / "m.json", *shapes, **rest)


def text(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: text(folder, "m.npy", "x"), r"m\.npy: a mask saved as \.npy; expected a PNG file"),
        (lambda folder: text(folder, "m.json", "{"), r"m\.json: not readable as JSON"),
        (lambda folder: text(folder, "m.json", "[]"), r"m\.json: neither labelme \('shapes'\) nor COCO"),
        (
            lambda folder: (
                [binary(folder / "given/1/00000.png", ONE), (folder / "given/2").symlink_to("lost")][0].parent.parent
            ),
            r"given/2: a broken link",
        ),
        (lambda folder: text(folder, "m.zip", "x"), r"m\.zip: not readable as a zip"),
        (lambda folder: pack(folder / "m.zip", folder / "nothing"), r"m\.zip: no mask in it"),
        (twins, r"c\.json: several objects of one category in an image, and no 'track_id'"),
        (
            image_of(annotation(1, 0, 3, {"size": [48, 64], "counts": "0"})),
            r"c\.json: incomplete .*run lengths that do not fill an image of 64x48",
        ),
        (image_of(annotation(1, 7, 3, runs(ONE))), r"c\.json: incomplete \(KeyError\(7\)\)"),
        (drawn(shape("cat", [[1, 1], [9, 9]], "line")), r"'line' of 2 points"),
        (
            drawn(shape("cat", SQUARE), imageHeight=10**9, imageWidth=10**9),
            r"m\.json: 1000000000x1000000000 pixels, .* expected at most",
        ),
        (drawn(shape("cat", [[0, 0], [9, 9], [1e300, 4]])), r"m\.json: incomplete .*a point far outside"),
        (lambda folder: text(folder, "m.json", "[" * 100_000), r"m\.json: not readable as JSON"),
        (lambda folder: binary(folder / "given/70000/00000.png", ONE).parent.parent, "object 70000; expected numbers"),
        (drawn({"label": "cat"}), r"m\.json: incomplete \(KeyError\('points'\)\)"),
        (
            lambda folder: save(folder / "given/1/00000.png", IDS.astype(np.uint8)).parent.parent,
            r"00000\.png: ids \[1, 2\] in a mask of object 1 alone",
        ),
        (lambda folder: save(folder / "given/00000.jpg", IDS.astype(np.uint8)).parent, r"00000\.jpg: a mask saved as"),
        (lambda folder: text(folder, "00000.npy", "x").parent, r"00000\.npy: a mask saved as \.npy"),
        (
            lambda folder: coco_file(
                folder / "c.json", ["a.jpg", "a.png"], [annotation(k, k, 3, runs(ONE)) for k in (0, 1)]
            ),
            r"clip coco: 'a': several masks of one frame",
        ),
        (
            lambda folder: coco_file(folder / "c.json", ["\0.jpg"], [annotation(1, 0, 3, runs(ONE))]),
            "no name of a frame",
        ),
        (
            image_of(annotation(1, 0, 3, runs(ONE)), annotation(2, 0, 8, [])),
            r"c\.json: annotation 2 of image a\.jpg has no pixel .*a box alone is none",
        ),
        (
            image_of(annotation(1, 0, 3, [[70, 1, 90, 1, 90, 9]])),
            r"c\.json: annotation 1 of image a\.jpg has no pixel in the image",
        ),
        (image_of(annotation(1, 0, 3, [[0, 0, 1e300, 0, 9, 9]])), r"c\.json: incomplete .*far outside the image"),
        (lambda folder: same_image_twice(folder / "c.json"), r"c\.json: several images have one id"),
        (given("1/00000.png", "001/00000.png"), r"given/1: object 1, as 001 is; expected each object once"),
        (given("00000_1.png", "00000_01.png"), "'00000_01' and '00000_1' are the same number"),
        (given("cat/00000.png", "dog/00000.png"), r"given: masks in the folder\(s\) cat, dog; .* named by its number"),
        (drawn(shape("Dog", SQUARE), shape("dog ", SQUARE)), "the labels 'Dog' and 'dog ' would be two objects"),
        (drawn(shape("cat", [[900, 900], [950, 900], [950, 950]])), "a shape labelled cat has no pixel in the image"),
    ],
)
def test_what_cannot_be_read_without_guessing_is_named(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        masks_of(make(tmp_path), tmp_path / "scratch")
