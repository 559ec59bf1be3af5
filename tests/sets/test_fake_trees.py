"""The generated trees that stand in for the public data sets have their layout."""

import json
from pathlib import Path

from tests.sets import fake_trees

from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.masks import object_ids, read_mask


def test_davis_2017_is_read_by_both_lists(tmp_path: Path) -> None:
    truth = fake_trees.make_davis2017(tmp_path)
    assert [video.name for video in read_davis(tmp_path, list_file="ImageSets/2016/val.txt")] == [
        "blackswan",
        "bmx-trees",
    ]
    for video in read_davis(tmp_path, list_file="ImageSets/2017/train.txt"):
        assert video.labelled == (0, 1, 2, 3, 4)
        assert (read_mask(video.masks["00003"]) == truth[video.name]["00003"]).all()


def test_davis_2016_has_masks_of_0_and_255(tmp_path: Path) -> None:
    fake_trees.make_davis2016(tmp_path)
    videos = read_davis(tmp_path, list_file="ImageSets/480p/val.txt")
    assert [video.name for video in videos] == ["blackswan", "bmx-trees"]
    assert object_ids(read_mask(videos[0].masks["00000"])) == [255]


def test_youtube_has_late_objects_gaps_and_late_starts(tmp_path: Path) -> None:
    truth = fake_trees.make_youtube(tmp_path, 2019)
    train = tmp_path / "YouTube/train"
    meta = json.loads((train / "meta.json").read_text())["videos"]
    videos = {video.name: video for video in read_davis(train, images="JPEGImages", annotations="Annotations")}
    assert set(meta) == set(videos)
    assert videos["0043f083b5"].stem(0) == "00005"
    assert object_ids(read_mask(videos["0044fa5fba"].masks["00000"])) == [1, 2]
    assert object_ids(read_mask(videos["0044fa5fba"].masks["00015"])) == [1, 4]
    for name in (*fake_trees.YOUTUBE_CLEAN, fake_trees.YOUTUBE_FAULTY):
        video = videos[name]
        for object_id, entry in meta[name]["objects"].items():
            shown = [t for t in video.labelled if int(object_id) in read_mask(video.masks[video.stem(t)])]
            assert [video.stem(t) for t in shown] == entry["frames"]
            assert entry["category"] in fake_trees.CATEGORIES
    valid = tmp_path / "YouTube/valid"
    late = valid / "Annotations/00f88c4f0a"
    assert sorted(path.name for path in late.iterdir()) == ["00000.png", "00010.png"]
    assert object_ids(read_mask(late / "00010.png")) == [3]  # the object that is already tracked is not shown again
    assert object_ids(truth["00f88c4f0a"]["00010"].astype("int32")) == [1, 3]
    every = tmp_path / "YouTube/all_frames/valid_all_frames/JPEGImages/00f88c4f0a"
    assert len(list(every.iterdir())) == 22
    assert not (every.parent.parent / "Annotations").exists()


def test_static_sets_are_pairs(tmp_path: Path) -> None:
    fake_trees.make_static(tmp_path)
    for name in ("fss", *fake_trees.STATIC_FLAT):
        assert len(read_pairs(tmp_path / name)) == (4 if name == "fss" else 2)
