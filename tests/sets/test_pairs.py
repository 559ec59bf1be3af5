"""Finding image–mask pairs and reading their objects."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.sets.pairs import first_pairs, read_pairs
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.pairs import read_objects, read_pairs_index
from oneshot_vos.videos.video import Video


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


def test_of_a_video_the_first_mask_that_shows_an_object_is_taken(tmp_path):
    frames = tuple(tmp_path / f"walk/{t:05d}.jpg" for t in range(4))
    masks = {f"{t:05d}": tmp_path / f"masks/{t:05d}.png" for t in (1, 2, 3)}
    for stem, mask in masks.items():
        mask.parent.mkdir(exist_ok=True)
        write_mask(mask, np.full((4, 4), 0 if stem == "00001" else 7, np.uint8))
    [pair] = first_pairs([Video("walk", frames, masks, single_object=False)])
    assert (pair.name, pair.image, pair.mask) == ("walk", frames[2], masks["00002"])
    with pytest.raises(UserError, match="none of the 1 masks of video 'walk' shows an object"):
        first_pairs([Video("walk", frames, {"00001": masks["00001"]}, single_object=False)])


@pytest.mark.parametrize(
    ("single", "grey", "message"), [(True, False, "2 object.*, 1 as"), (False, True, "1 .*, 2 as")]
)
def test_a_first_mask_that_means_other_objects_as_a_still_image_is_refused(tmp_path, single, grey, message):
    mask, ids = tmp_path / "00000.png", np.array([[0, 100], [200, 200]], np.uint8)
    Image.fromarray(ids, "L").save(mask) if grey else write_mask(mask, ids)
    video = Video("walk", (tmp_path / "00000.jpg",), {"00000": mask}, single_object=single)
    with pytest.raises(UserError, match=f"00000.png: {message} that of video 'walk'.*palette PNG"):
        first_pairs([video])


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


def test_an_index_without_its_pairs_is_named(tmp_path):
    (tmp_path / "i.json").write_text('{"format": "oneshot-vos pairs 1", "pairs": [{}]}')
    with pytest.raises(UserError, match=r"i\.json: incomplete \(KeyError: 'name'\)"):
        read_pairs_index(tmp_path / "i.json")
