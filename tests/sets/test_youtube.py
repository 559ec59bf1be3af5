"""YouTube-VOS: what meta.json and the folders say, the parts of the training set, first masks, counts of labels."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sets import fake_trees

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import keep_first
from oneshot_vos.sets.youtube import ALL_FRAMES, read_youtube, require_unseen_videos
from oneshot_vos.sets.youtube_masks import check_youtube, give_first_masks
from oneshot_vos.sets.youtube_split import FAULTY_VIDEOS
from oneshot_vos.videos.index import changed, read_index
from oneshot_vos.videos.masks import encode_mask, object_ids, read_mask
from oneshot_vos.videos.objects import ObjectVideo, YouTubeSet
from oneshot_vos.videos.objects_index import read_youtube_index, write_youtube_index

LATE = fake_trees.YOUTUBE_VALID[1]  # object 3 begins at frame 10
LATE_START = fake_trees.YOUTUBE_VALID[2]  # the clip begins at frame 5, its object at frame 10
LEAVING = fake_trees.YOUTUBE_TRAIN[2]  # object 2 leaves, object 4 comes


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    fake_trees.make_youtube(folder, 2019)
    return folder / "YouTube"


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A tree for a test to damage."""
    return Path(shutil.copytree(original, tmp_path / "YouTube"))


def edit_meta(root: Path, change: Callable[[dict[str, Any]], object], package: str = "valid") -> None:
    path = root / package / "meta.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["videos"])
    path.write_text(json.dumps(content), encoding="utf-8")


def by_name(chosen: YouTubeSet) -> dict[str, ObjectVideo]:
    return {each.name: each for each in chosen.videos}


def frames(first: int, last: int = 20) -> tuple[str, ...]:
    return tuple(f"{t:05d}" for t in range(first, last + 1, 5))


# --- reading ---


def test_validation_videos_have_late_objects_and_required_frames(root: Path) -> None:
    chosen = read_youtube(root, split="valid")
    assert [each.name for each in chosen.videos] == sorted(fake_trees.YOUTUBE_VALID)
    late = by_name(chosen)[LATE]
    assert [(each.id, each.category, each.first, each.scored) for each in late.objects] == [
        (1, "", "00000", frames(5)),
        (3, "", "00010", frames(15)),
    ]
    assert late.required == frames(0)
    assert sorted(late.video.masks) == ["00000", "00010"]
    assert not late.truth
    assert len(late.video) == 5
    start = by_name(chosen)[LATE_START]
    assert start.video.stem(0) == "00005"
    assert start.required == frames(10)
    assert chosen.required[LATE_START] == frames(10)
    assert set(start.originals) == set(frames(10))
    assert not chosen.unseen


def test_all_frames_are_run_on_where_their_folder_is_named(root: Path) -> None:
    chosen = by_name(read_youtube(root, split="valid", all_frames=ALL_FRAMES))
    assert len(chosen[LATE].video) == 22
    assert chosen[LATE].video.labelled == (0, 10)
    assert chosen[LATE].required == frames(0)
    assert chosen[LATE_START].video.stem(0) == "00005"
    assert all("valid/JPEGImages" in path.as_posix() for path in chosen[LATE].originals.values())


def test_the_training_set_is_all_videos_but_the_named_seven(root: Path) -> None:
    chosen = read_youtube(root, split="train")
    assert [each.name for each in chosen.videos] == list(fake_trees.YOUTUBE_TRAIN)
    leaving = by_name(chosen)[LEAVING]
    assert leaving.truth == leaving.video.masks
    assert len(leaving.truth) == 5
    assert [(each.id, each.category, each.frames) for each in leaving.objects] == [
        (1, "person", frames(0)),
        (2, "cat", frames(0, 5)),
        (4, "cat", frames(10)),
    ]
    assert by_name(chosen)[fake_trees.YOUTUBE_TRAIN[1]].video.stem(0) == "00005"


def test_a_copy_at_480p_is_read_with_the_official_meta(root: Path) -> None:
    (root / "train_480p").mkdir()
    for part in ("JPEGImages", "Annotations"):
        (root / "train" / part).rename(root / "train_480p" / part)
    with pytest.raises(UserError, match="train/JPEGImages: no such folder"):
        read_youtube(root, split="train")
    chosen = read_youtube(root, split="train", images="train_480p/JPEGImages", annotations="train_480p/Annotations")
    assert len(chosen.videos) == 8


def test_further_videos_are_left_out_on_demand(root: Path) -> None:
    chosen = read_youtube(root, split="train", exclude=[LEAVING])
    assert LEAVING not in by_name(chosen)
    with pytest.raises(UserError, match=f"left out, but the set has no such video; did you mean '{LEAVING}'"):
        read_youtube(root, split="train", exclude=[LEAVING[:-1]])
    with pytest.raises(UserError, match="no video of split 'train' is left"):
        read_youtube(root, split="train", exclude=fake_trees.YOUTUBE_TRAIN)


def test_a_video_left_out_may_be_damaged_in_any_way(root: Path) -> None:
    for path in (root / "train/Annotations" / FAULTY_VIDEOS[0]).iterdir():
        path.unlink()
    edit_meta(root, lambda videos: videos.pop(LEAVING), "train")
    assert len(read_youtube(root, split="train", exclude=[LEAVING]).videos) == 7


def test_an_unknown_split_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="unknown split of YouTube-VOS 'vald': did you mean 'valid'"):
        read_youtube(root, split="vald")


def _without_folder(root: Path) -> None:
    (root / "valid/JPEGImages" / LATE).rename(root / "elsewhere")


def _without_frame(root: Path) -> None:
    (root / "valid/JPEGImages" / LATE / "00015.jpg").unlink()


def _without_late_mask(root: Path) -> None:
    (root / "valid/Annotations" / LATE / "00010.png").unlink()


def _with_stray_mask(root: Path) -> None:
    folder = root / "valid/Annotations" / LATE
    (folder / "00020.png").write_bytes((folder / "00010.png").read_bytes())


def _with_mask_between(root: Path) -> None:
    folder = root / "valid/Annotations" / LATE
    (folder / "00007.png").write_bytes((folder / "00000.png").read_bytes())


def _without_masks(root: Path) -> None:
    for path in (root / "valid/Annotations" / LATE).iterdir():
        path.unlink()


def _short_all_frames(root: Path) -> None:
    (root / ALL_FRAMES / LATE / "00005.jpg").unlink()


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (_without_folder, r"is in meta\.json but has no folder"),
        (_without_frame, r"object 1 is listed in '00015', but .* has no such frame"),
        (_without_masks, r"no mask in .*; expected at least one"),
        (_short_all_frames, r"lacks '00005'; expected every frame"),
        (lambda root: edit_meta(root, lambda v: v[LATE].clear()), r"no objects; expected at least one"),
        (lambda root: edit_meta(root, lambda v: v[LATE]["objects"]["1"].clear()), r"object 1 has no list of frames"),
        (lambda root: edit_meta(root, lambda v: v[LATE]["objects"].update(one={"frames": ["00000"]})), r"id 'one'"),
        (lambda root: edit_meta(root, lambda v: v[LATE]["objects"].update({"0": {"frames": ["00000"]}})), r"id '0'"),
        (
            lambda root: edit_meta(root, lambda v: v[LATE]["objects"].update({"03": {"frames": ["00010"]}})),
            r"an object id is listed twice",
        ),
        (
            lambda root: edit_meta(root, lambda v: v[LATE]["objects"]["1"].update(category=5)),
            r"category of object 1 is 5",
        ),
        (lambda root: edit_meta(root, lambda videos: videos.clear()), r"no videos in it"),
        (lambda root: (root / "valid/meta.json").unlink(), r"meta\.json: not found"),
        (lambda root: (root / "valid/meta.json").write_text("{"), r"meta\.json: not readable as JSON"),
        (lambda root: (root / ALL_FRAMES).rename(root / "elsewhere"), r"no such folder; expected the package with all"),
    ],
)
def test_every_inconsistency_is_named(root: Path, damage: Callable[[Path], object], finding: str) -> None:
    damage(root)
    with pytest.raises(UserError, match=finding) as caught:
        read_youtube(root, split="valid", all_frames=ALL_FRAMES)
    assert "expected" in str(caught.value)


def list_no_objects(root: Path) -> None:
    edit_meta(root, lambda videos: videos[LATE]["objects"].clear())


@pytest.mark.parametrize(
    ("damage", "kind", "left"),
    [
        (_without_late_mask, "no mask where an object begins", 2),
        (_with_stray_mask, "mask where no object begins", 2),
        (lambda root: edit_meta(root, lambda videos: videos.pop(LATE)), "folder that meta.json does not list", None),
        (list_no_objects, "video without objects in meta.json", None),
        (
            lambda root: edit_meta(root, lambda v: v[LATE]["objects"]["3"]["frames"].clear()),
            "object listed in no frame",
            1,
        ),
        (
            lambda root: edit_meta(root, lambda v: v[LATE]["objects"]["1"]["frames"].append("00005")),
            "object listed twice in a frame",
            2,
        ),
        (
            _with_mask_between,
            "mask without a frame",
            2,
        ),
    ],
)
def test_what_the_real_set_may_hold_is_a_warning(
    root: Path, damage: Callable[[Path], object], kind: str, left: int | None
) -> None:
    """`left`: objects of the video afterwards, None where it is left out."""
    damage(root)
    chosen = read_youtube(root, split="valid", all_frames=ALL_FRAMES)
    assert (LATE, kind) in {(problem.item or Path(problem.file).name, problem.kind) for problem in chosen.warnings}
    found = by_name(chosen).get(LATE)
    assert (None if found is None else len(found.objects)) == left
    report = check_youtube(chosen)
    assert kind in report.warning_kinds
    assert not report.errors


def test_the_meta_of_another_package_is_told(root: Path) -> None:
    edit_meta(root, lambda videos: [entry["objects"].clear() for entry in videos.values()])
    with pytest.raises(UserError, match=r"no video of split 'valid' is left; expected at least one that lists objects"):
        read_youtube(root, split="valid")


def test_all_problems_are_named_at_once(root: Path) -> None:
    _without_frame(root)
    _short_all_frames(root)
    (root / "valid/JPEGImages" / LATE_START).rename(root / "elsewhere")
    with pytest.raises(UserError, match="4 problems"):  # the missing frame is one of two objects
        read_youtube(root, split="valid", all_frames=ALL_FRAMES)


@pytest.mark.parametrize(("part", "what"), [("Annotations", "a mask"), ("JPEGImages", "an image")])
def test_training_objects_are_listed_where_there_are_images_and_masks(root: Path, part: str, what: str) -> None:
    (path,) = (root / "train" / part / LEAVING).glob("00005.*")
    path.unlink()
    chosen = read_youtube(root, split="train")
    assert [each.frames for each in by_name(chosen)[LEAVING].objects] == [
        ("00000", *frames(10)),
        ("00000",),
        frames(10),
    ]
    found = [problem for problem in chosen.warnings if problem.item == LEAVING]
    assert {problem.kind for problem in found} == {
        f"object listed in frames without {what}",
        *(["mask without a frame"] if part == "JPEGImages" else []),
    }
    assert not check_youtube(chosen, training=True).errors


# --- masks against meta.json ---


def test_clean_videos_have_no_problems_and_dirty_ones_no_errors(root: Path) -> None:
    for split, dirty in (("valid", fake_trees.VALID_DIRTY), ("train", fake_trees.YOUTUBE_DIRTY)):
        chosen = read_youtube(root, split=split, all_frames=ALL_FRAMES if split == "valid" else None)
        report = check_youtube(chosen, training=split == "train")
        assert not report.errors
        assert {problem.item for problem in report.problems} <= set(dirty)
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
    write_youtube_index(path, chosen, {"note": "kept"})
    assert read_youtube_index(path) == chosen
    assert read_index(path) == [each.video for each in chosen.videos]
    assert not changed(path)
    assert json.loads(path.read_text(encoding="utf-8"))["note"] == "kept"
    before = path.read_bytes()
    write_youtube_index(path, chosen, {"note": "kept"})
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
    keep_first([each.video for each in read_youtube(root, split="train").videos], tmp_path / "labels", "train")
    assert read_youtube_index(tmp_path / "labels/train.json") is None
    path = tmp_path / "index.json"
    write_youtube_index(path, read_youtube(root, split="valid"))
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["youtube"]["videos"][LATE]["originals"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.json: incomplete objects"):
        read_youtube_index(path)


# --- the share of labels ---


def test_the_share_is_counted_from_the_files(root: Path, tmp_path: Path) -> None:
    videos = [each.video for each in read_youtube(root, split="train").videos]
    ratio = keep_first(videos, tmp_path / "labels", "train")
    assert (ratio["labelled"], ratio["annotated"]) == (8, (5 + 4 + 5) + (5 + 5 + 4 + 2 + 1))
    kept = {video.name: list(video.masks) for video in read_index(tmp_path / "labels/train.json")}
    assert kept[fake_trees.EMPTY_FIRST] == ["00005"]
    assert kept[fake_trees.RETURNING] == ["00010"]
    assert all(stems[0] == "00000" for name, stems in kept.items() if name in fake_trees.YOUTUBE_DIRTY[2:])
