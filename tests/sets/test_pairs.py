"""Finding image–mask pairs and reading their objects."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.pairs import read_objects


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_flat_and_class_folders_are_read_in_order(tmp_path):
    _touch(
        tmp_path, "b.jpg", "b.png", "dogs/1.JPG", "dogs/1.png", "cats/1.jpeg", "cats/1.png", ".hidden.jpg", "notes.txt"
    )
    pairs = read_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["b", "cats/1", "dogs/1"]
    assert pairs[2].image == tmp_path / "dogs/1.JPG"
    assert pairs[2].mask == tmp_path / "dogs/1.png"


@pytest.mark.parametrize(
    ("names", "message"), [(["a.jpg"], "image.*without"), (["a.png"], "mask.*without"), ([], "no image")]
)
def test_incomplete_folders_are_refused(tmp_path, names, message):
    _touch(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        read_pairs(tmp_path)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        read_pairs(tmp_path / "absent")


def test_instances_give_a_plane_each(tmp_path):
    ids = np.array([[0, 1, 1], [3, 3, 0]])
    write_mask(tmp_path / "m.png", ids)
    planes = read_objects(tmp_path / "m.png")
    assert [plane.tolist() for plane in planes] == [[[0, 255, 255], [0, 0, 0]], [[0, 0, 0], [255, 255, 0]]]
    assert planes[0].dtype == np.uint8


def test_empty_mask_has_no_object(tmp_path):
    write_mask(tmp_path / "m.png", np.zeros((4, 5), np.int32))
    assert read_objects(tmp_path / "m.png") == []


def test_grey_map_keeps_its_soft_edges(tmp_path):
    grey = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
    Image.fromarray(grey).save(tmp_path / "m.png")
    (plane,) = read_objects(tmp_path / "m.png")
    assert np.array_equal(plane, grey)


def test_damaged_mask_is_named(tmp_path):
    (tmp_path / "m.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"m\.png"):
        read_objects(tmp_path / "m.png")
