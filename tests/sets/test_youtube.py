"""YouTube-VOS: what meta.json and the folders say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sets import fake_trees
from tests.sets.youtube_tree import LATE, LATE_START, LEAVING, by_name, edit_meta, frames

from oneshot_vos.errors import UserError
from oneshot_vos.sets.youtube import ALL_FRAMES, read_youtube
from oneshot_vos.sets.youtube_masks import check_youtube
from oneshot_vos.sets.youtube_split import FAULTY_VIDEOS


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
        (_with_mask_between, "mask without a frame", 2),
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
