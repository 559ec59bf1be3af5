"""YouTube-VOS: masks against meta.json, the parts of the training set, first masks, the index, counts of labels."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.sets import fake_trees
from tests.sets.youtube_tree import LATE, LEAVING, by_name, edit_meta, frames

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import keep_some
from oneshot_vos.sets.youtube import ALL_FRAMES, read_youtube, require_unseen_videos
from oneshot_vos.sets.youtube_masks import check_youtube, give_first_masks
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.masks import encode_mask, object_ids, read_mask
from oneshot_vos.videos.objects import YouTubeSet
from oneshot_vos.videos.objects_index import read_youtube_index, write_youtube_index

# --- masks against meta.json ---


def test_clean_videos_have_no_problems_and_dirty_ones_no_errors(root: Path) -> None:
    for split, dirty in (("valid", fake_trees.VALID_DIRTY), ("train", fake_trees.YOUTUBE_DIRTY)):
        chosen = read_youtube(root, split=split, all_frames=ALL_FRAMES if split == "valid" else None)
        report = check_youtube(chosen, training=split == "train")
        assert not report.errors
        told = {problem.item for problem in report.problems}
        assert told <= set(dirty)
    assert not check_youtube(read_youtube(root, split="held-out")).errors


def test_the_flaws_of_the_real_set_are_counted(root: Path) -> None:
    valid = check_youtube(read_youtube(root, split="valid", all_frames=ALL_FRAMES))
    flawed, shifted = fake_trees.VALID_DIRTY
    assert valid.to_json()["warnings"] == {
        "mask where no object begins": {"count": 2, "examples": [flawed, shifted]},
        "first mask without an object": {"count": 1, "examples": [f"{flawed}/00000.png"]},
        "object that no mask shows": {"count": 1, "examples": [flawed]},
        "object shown elsewhere than meta.json lists it first": {"count": 1, "examples": [f"{shifted}/00005.png"]},
    }
    train = check_youtube(read_youtube(root, split="train"), training=True)
    assert train.warning_kinds == {
        "first mask without an object": {
            "count": 2,
            "examples": [f"{name}/00000.png" for name in (fake_trees.EMPTY_FIRST, fake_trees.RETURNING)],
        },
        "object listed in frames without a mask": {"count": 1, "examples": [fake_trees.SPARSE]},
    }


def test_a_video_without_any_object_is_refused(root: Path) -> None:
    for package, name in (("valid", LATE), ("train", LEAVING)):
        for path in (root / package / "Annotations" / name).iterdir():
            path.write_bytes(encode_mask(np.zeros((48, 64), np.uint8)))
    with pytest.raises(UserError, match=rf"{LATE}: no mask shows any of the objects that meta\.json lists"):
        check_youtube(read_youtube(root, split="valid")).raise_for_errors()
    with pytest.raises(UserError, match=r"no object in any mask of the video"):
        check_youtube(read_youtube(root, split="train"), training=True).raise_for_errors()


@pytest.mark.parametrize(
    ("ids", "finding"),
    [
        ((3, 9), r"00010\.png: shows object ids \[9\], which meta\.json does not list .*; tracked, but not scored"),
        ((1, 3), r"00010\.png: shows object 1, which meta\.json lists from frame '00000' on"),
        ((), rf"{LATE}: object 3 is shown in none of the frames that meta\.json lists it in; it is not given"),
    ],
)
def test_a_validation_mask_that_shows_other_objects_is_told(root: Path, ids: tuple[int, ...], finding: str) -> None:
    mask = np.zeros((48, 64), np.uint8)
    for row, number in enumerate(ids):
        mask[10 * row : 10 * row + 8, :20] = number
    (root / "valid/Annotations" / LATE / "00010.png").write_bytes(encode_mask(mask))
    report = check_youtube(read_youtube(root, split="valid"))
    report.raise_for_errors()
    (problem,) = (problem for problem in report.warnings if problem.item == LATE)
    assert re.search(finding, problem.message)


def test_a_damaged_mask_is_reported_once(root: Path) -> None:
    (root / "valid/Annotations" / LATE / "00010.png").write_bytes(b"no image")
    (problem,) = check_youtube(read_youtube(root, split="valid")).errors
    assert "not an image" in problem.message


def held_out(root: Path, name: str) -> YouTubeSet:
    """The held-out set with `name` in the place of its first video."""
    chosen = read_youtube(root, split="held-out")
    every = by_name(read_youtube(root, split="train"))
    video = every[name]
    hidden = replace(video, video=replace(video.video, masks={}))
    return replace(chosen, videos=(hidden,))


def test_scored_masks_are_checked_against_meta(root: Path) -> None:
    edit_meta(root, lambda videos: videos[LEAVING]["objects"].pop("1"), "train")
    edit_meta(root, lambda v: v[LEAVING]["objects"].update({"7": {"category": "cat", "frames": ["00000"]}}), "train")
    edit_meta(root, lambda v: v[LEAVING]["objects"]["4"]["frames"].remove("00010"), "train")
    report = check_youtube(held_out(root, LEAVING))
    assert not report.errors
    assert {kind: counted["count"] for kind, counted in report.warning_kinds.items()} == {
        "id that meta.json does not list": 5,
        "object that no mask shows": 1,
        "object shown elsewhere than meta.json lists it first": 1,
    }


# --- the held-out part ---


def test_the_parts_are_splits_of_their_own(root: Path) -> None:
    parts = {split: read_youtube(root, split=split) for split in ("train", "train-part", "held-out")}
    names = {split: set(by_name(chosen)) for split, chosen in parts.items()}
    assert names["train-part"] | names["held-out"] == names["train"]
    assert not names["train-part"] & names["held-out"]
    assert names["train-part"]
    assert names["held-out"]
    assert parts["held-out"].unseen == parts["train-part"].unseen != frozenset()
    excluded = read_youtube(root, split="train-part", exclude=sorted(names["held-out"])[:1])
    assert set(by_name(excluded)) == names["train-part"]


def test_scoring_what_was_trained_on_is_refused(root: Path) -> None:
    parts = {split: read_youtube(root, split=split) for split in ("train", "train-part", "held-out")}
    videos = {split: [each.video for each in chosen.videos] for split, chosen in parts.items()}
    require_unseen_videos("set", parts["held-out"], videos["train-part"])
    with pytest.raises(UserError, match=r"videos are trained on, too .* Train on the split 'train-part'"):
        require_unseen_videos("set", parts["held-out"], videos["train"])


def test_the_parts_need_categories(root: Path) -> None:
    edit_meta(root, lambda videos: videos[LEAVING]["objects"]["2"].pop("category"), "train")
    assert len(read_youtube(root, split="train").videos) == 8
    with pytest.raises(UserError, match=f"objects without a category \\('{LEAVING}'\\)"):
        read_youtube(root, split="held-out")


# --- first masks ---


def test_held_out_videos_show_each_object_once(root: Path, tmp_path: Path) -> None:
    chosen = held_out(root, LEAVING)
    assert not chosen.videos[0].video.masks  # nothing is given away before first masks are made
    given = give_first_masks(chosen, tmp_path / "given")
    (video,) = given.videos
    assert {stem: object_ids(read_mask(path)) for stem, path in video.video.masks.items()} == {
        "00000": [1, 2],
        "00010": [4],
    }
    assert all(path.is_relative_to(tmp_path / "given" / LEAVING) for path in video.video.masks.values())
    truth = read_mask(video.truth["00010"])
    assert np.array_equal(read_mask(video.video.masks["00010"]) == 4, truth == 4)
    assert [each.frames for each in video.objects] == [frames(0), frames(0, 5), frames(10)]
    assert video.required == frames(0)
    assert video.truth == chosen.videos[0].truth


def test_an_object_begins_where_it_is_first_listed_and_shown(root: Path, tmp_path: Path) -> None:
    edit_meta(root, lambda videos: videos[LEAVING]["objects"]["4"].update(frames=list(frames(0))), "train")
    edit_meta(root, lambda videos: videos[LEAVING]["objects"]["2"].update(frames=list(frames(5))), "train")
    edit_meta(root, lambda v: v[LEAVING]["objects"].update({"9": {"category": "cat", "frames": ["00015"]}}), "train")
    given = give_first_masks(held_out(root, LEAVING), tmp_path / "given")
    (video,) = given.videos
    assert [(each.id, each.frames) for each in video.objects] == [(1, frames(0)), (2, frames(5)), (4, frames(10))]
    assert {stem: object_ids(read_mask(path)) for stem, path in video.video.masks.items()} == {
        "00000": [1],
        "00005": [2],
        "00010": [4],
    }


def test_held_out_objects_are_scored_in_frames_that_have_a_mask(root: Path, tmp_path: Path) -> None:
    given = give_first_masks(held_out(root, fake_trees.SPARSE), tmp_path / "given")
    (video,) = given.videos
    assert [(each.id, each.frames) for each in video.objects] == [(1, ("00000", *frames(10))), (2, ("00010",))]
    assert set(video.required) == set(video.truth) == {"00000", *frames(10)}


def test_first_masks_are_made_for_the_held_out_part_alone(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="split 'valid': first masks are made for the split 'held-out' alone"):
        give_first_masks(read_youtube(root, split="valid"), tmp_path / "given")
    edit_meta(root, lambda v: v[LEAVING].update(objects={"9": {"category": "cat", "frames": ["00015"]}}), "train")
    with pytest.raises(UserError, match="no mask shows any of its objects"):
        give_first_masks(held_out(root, LEAVING), tmp_path / "given")
    assert not (tmp_path / "given").exists()


# --- the index ---


@pytest.mark.parametrize("split", ["valid", "held-out", "train"])
def test_an_index_keeps_everything(root: Path, tmp_path: Path, split: str) -> None:
    chosen = read_youtube(root, split=split, all_frames=ALL_FRAMES if split == "valid" else None)
    if split == "held-out":
        chosen = give_first_masks(chosen, tmp_path / "sets/given")
    path = tmp_path / "sets/youtube.json"
    write_youtube_index(path, chosen)
    assert read_youtube_index(path) == chosen
    assert read_index(path) == [each.video for each in chosen.videos]
    assert all(mask.is_file() for video in read_index(path) for mask in video.masks.values())
    before = path.read_bytes()
    write_youtube_index(path, chosen)
    assert path.read_bytes() == before


def test_the_index_changes_with_the_ground_truth(root: Path, tmp_path: Path) -> None:
    chosen = give_first_masks(held_out(root, LEAVING), tmp_path / "given")
    write_youtube_index(tmp_path / "one.json", chosen)
    mask = chosen.videos[0].truth["00020"]
    mask.write_bytes(encode_mask(np.zeros((48, 64), np.uint8)))
    write_youtube_index(tmp_path / "two.json", chosen)
    one, two = (json.loads((tmp_path / name).read_text())["youtube"] for name in ("one.json", "two.json"))
    assert one != two


def test_an_index_of_other_videos_has_no_objects(root: Path, tmp_path: Path) -> None:
    keep_some([each.video for each in read_youtube(root, split="train").videos], tmp_path / "labels", "train")
    assert read_youtube_index(tmp_path / "labels/train.json") is None
    path = tmp_path / "index.json"
    write_youtube_index(path, read_youtube(root, split="valid"))
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["youtube"]["videos"][LATE]["originals"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.json: incomplete .*objects"):
        read_youtube_index(path)


# --- the share of labels ---


def test_the_share_is_counted_from_the_files(root: Path, tmp_path: Path) -> None:
    videos = [each.video for each in read_youtube(root, split="train").videos]
    ratio = keep_some(videos, tmp_path / "labels", "train")
    assert (ratio["labelled"], ratio["annotated"]) == (8, (5 + 4 + 5) + (5 + 5 + 4 + 2 + 1))
    kept = {video.name: list(video.masks) for video in read_index(tmp_path / "labels/train.json")}
    assert kept[fake_trees.EMPTY_FIRST] == ["00005"]
    assert kept[fake_trees.RETURNING] == ["00010"]
    assert all(stems[0] == "00000" for name, stems in kept.items() if name in fake_trees.YOUTUBE_DIRTY[2:])
