"""Checking data sets: every kind of damage is found, all in one report."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.sets.check import check_pairs, check_videos
from oneshot_vos.videos.masks import DAVIS_PALETTE, write_mask
from oneshot_vos.videos.pairs import ImagePair
from oneshot_vos.videos.video import Video

RNG = np.random.default_rng(0)


def two_objects(height=24, width=32):
    ids = np.zeros((height, width), np.uint8)
    ids[3:12, 3:12], ids[10:20, 15:28] = 1, 2
    return ids


@pytest.fixture
def video(tmp_path):
    """Four frames, masks on the first two."""
    frames = []
    for t in range(4):
        frames.append(tmp_path / f"{t:05d}.jpg")
        Image.fromarray(RNG.integers(0, 256, (24, 32, 3), np.uint8)).save(frames[-1])
    masks = {f"{t:05d}": tmp_path / f"{t:05d}.png" for t in range(2)}
    for path in masks.values():
        write_mask(path, two_objects())
    return Video("clip", tuple(frames), masks)


def only_problem(report):
    (problem,) = report.problems
    assert problem.item == "clip"
    return problem


def test_a_sound_video_has_no_problems(video):
    report = check_videos([video], training=True, thorough=True)
    assert not report.problems
    (item,) = report.items
    assert (item.height, item.width, item.frames, item.masks, item.empty_masks) == (24, 32, 4, 2, 0)
    assert item.ids == item.ids_in_first_mask == [1, 2]
    report.raise_for_errors()
    written = json.loads(json.dumps(report.to_json()))
    assert written["counts"] == {"items": 1, "frames": 4, "masks": 2, "objects": 2, "errors": 0, "warnings": 0}


def test_single_object_merges_ids(video):
    (item,) = check_videos([replace(video, single_object=True)]).items
    assert item.ids == [1]


def test_all_damage_comes_in_one_report(video):
    content = video.frames[1].read_bytes()
    video.frames[1].write_bytes(content[: len(content) // 2])
    video.frames[2].write_bytes(b"")
    video.frames[3].unlink()
    video.masks["00001"].write_bytes(b"not a mask")
    report = check_videos([video])
    assert [problem.level for problem in report.problems] == ["error"] * 4
    for name, finding in [("00001.jpg", "truncated"), ("00002.jpg", "0 bytes"), ("00003.jpg", "no such file")]:
        (problem,) = (problem for problem in report.problems if problem.file.endswith(name))
        assert finding in problem.message
        assert "expected" in problem.message
    with pytest.raises(UserError, match=r"file by file: 4 problems[\s\S]*clip: .*00001\.jpg[\s\S]*00001\.png"):
        report.raise_for_errors()


def test_first_frame_without_a_readable_header(video):
    video.frames[0].write_bytes(b"")
    report = check_videos([video])
    assert only_problem(report).file.endswith("00000.jpg")
    assert report.items[0].height == 24


def test_cut_off_jpeg_is_found_without_decoding_all_frames(video):
    content = video.frames[3].read_bytes()
    video.frames[3].write_bytes(content[:-60])
    assert only_problem(check_videos([video])).file.endswith("00003.jpg")


def test_padding_behind_a_jpeg_is_no_damage(video):
    video.frames[3].write_bytes(video.frames[3].read_bytes() + bytes(3000))
    assert not check_videos([video]).problems


def test_damage_inside_a_frame_needs_the_thorough_check(video, tmp_path):
    path = tmp_path / "00003.png"
    Image.fromarray(RNG.integers(0, 256, (24, 32, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[60:64] = b"\0\0\0\0"
    path.write_bytes(content)
    damaged = replace(video, frames=(*video.frames[:3], path))
    assert not check_videos([damaged]).problems
    assert "damaged" in only_problem(check_videos([damaged], thorough=True)).message


def test_frame_of_another_size(video):
    Image.new("RGB", (16, 24)).save(video.frames[2])
    problem = only_problem(check_videos([video]))
    assert "16x24 pixels in a video of 32x24" in problem.message
    assert problem.file.endswith("00002.jpg")


def test_mask_of_another_size(video):
    write_mask(video.masks["00001"], two_objects(48, 64))
    problem = only_problem(check_videos([video]))
    assert problem.level == "error"
    assert "64x48" in problem.message
    assert "32x24" in problem.message


def test_an_empty_first_mask_is_a_warning_and_a_video_without_any_object_no_video_to_train_on(video):
    write_mask(video.masks["00000"], np.zeros((24, 32), np.uint8))
    for training in (True, False):
        report = check_videos([video], training=training)
        assert only_problem(report).kind == "first mask without an object"
        report.raise_for_errors()
        assert report.items[0].empty_masks == 1
    write_mask(video.masks["00001"], np.zeros((24, 32), np.uint8))
    assert only_problem(check_videos([video])).level == "warning"
    problem = only_problem(check_videos([video], training=True))
    assert problem.level == "error"
    assert "no object in any mask of the video; expected one" in problem.message


def test_warnings_are_counted_by_kind_with_three_examples(video):
    write_mask(video.masks["00000"], np.zeros((24, 32), np.uint8))
    late = replace(video, name="late", masks={"00001": video.masks["00001"]})
    report = check_videos([*(replace(video, name=f"clip-{number}") for number in range(5)), late], scored=True)
    assert report.to_json()["warnings"] == {
        "first mask without an object": {"count": 5, "examples": [f"clip-{number}/00000.png" for number in range(3)]},
        "first frame without a mask": {"count": 1, "examples": ["late/00001.png"]},
    }


def test_a_border_value_is_told_in_the_first_mask_that_shows_an_object(video):
    write_mask(video.masks["00000"], np.zeros((24, 32), np.uint8))
    border = two_objects()
    border[20:22] = 255
    write_mask(video.masks["00001"], border)
    (problem,) = check_videos([video]).errors
    assert "value 255 beside the ids" in problem.message


def test_video_without_frames_or_masks(video):
    assert "without frames" in only_problem(check_videos([Video("clip", (), {})])).message
    assert "no frame has a mask" in only_problem(check_videos([replace(video, masks={})])).message


def test_stray_mask(video, tmp_path):
    stray = replace(video, masks={**video.masks, "00009": tmp_path / "00009.png"})
    assert "mask without a frame" in only_problem(check_videos([stray])).message


def test_a_late_first_mask_is_told_of_what_is_scored_alone(video):
    late = replace(video, masks={"00001": video.masks["00001"]})
    assert not check_videos([late], training=True).problems
    (problem,) = check_videos([late], scored=True).warnings
    assert "at frame 1" in problem.message


def test_gap_in_the_numbers_is_a_warning(video, tmp_path):
    moved = tmp_path / "00006.jpg"
    video.frames[3].rename(moved)
    problem = only_problem(check_videos([replace(video, frames=(*video.frames[:3], moved))]))
    assert problem.level == "warning"
    assert "00002 to 00006" in problem.message


def test_regular_steps_and_names_without_numbers_are_no_gaps(video, tmp_path):
    for names in (["00000", "00005", "00010", "00015"], ["a", "b", "c", "d"]):
        frames = tuple(path.rename(tmp_path / f"{name}.jpg") for path, name in zip(video.frames, names, strict=True))
        video = Video("clip", frames, {names[0]: tmp_path / "00000.png"})
        assert not check_videos([video]).problems


def test_colours_must_mean_the_same_throughout_a_video(video):
    colors = np.array([(0, 0, 0), (10, 200, 30), (250, 20, 40)], np.uint8)
    for path in video.masks.values():
        Image.fromarray(colors[two_objects()]).save(path)
    assert only_problem(check_videos([video])).level == "warning"
    Image.fromarray(colors[np.where(two_objects() == 1, 0, two_objects())]).save(video.masks["00001"])
    (error,) = check_videos([video]).errors
    assert "one colour per object" in error.message
    Image.fromarray(DAVIS_PALETTE[two_objects()]).save(video.masks["00000"])
    assert len(check_videos([replace(video, single_object=True)]).errors) == 0


def test_pairs_are_checked_too(video, tmp_path):
    good = ImagePair("good", video.frames[0], video.masks["00000"])
    write_mask(tmp_path / "empty.png", np.zeros((24, 32), np.uint8))
    write_mask(tmp_path / "large.png", two_objects(48, 64))
    (tmp_path / "broken.jpg").write_bytes(b"")
    report = check_pairs(
        [
            good,
            ImagePair("empty", video.frames[0], tmp_path / "empty.png"),
            ImagePair("large", video.frames[0], tmp_path / "large.png"),
            ImagePair("broken", tmp_path / "broken.jpg", video.masks["00000"]),
        ]
    )
    assert [problem.item for problem in report.errors] == ["empty", "large", "broken"]
    assert report.items[0].ids == [1, 2]


def test_a_grey_mask_of_a_pair_that_looks_like_ids_is_told(video, tmp_path):
    values = two_objects(24, 32)
    values[:4] = 255
    Image.fromarray(values).save(tmp_path / "ids.png")
    Image.fromarray(np.where(values > 0, 255, 0).astype(np.uint8)).save(tmp_path / "map.png")
    report = check_pairs([ImagePair(name, video.frames[0], tmp_path / f"{name}.png") for name in ("ids", "map")])
    assert [(problem.item, problem.kind) for problem in report.warnings] == [("ids", "grey map of few values")]
    assert not report.errors


def test_long_reports_are_cut_in_the_message_only(video):
    clips = [replace(video, name=f"clip-{number}", masks={}) for number in range(25)]
    report = check_videos(clips)
    assert len(report.errors) == 25
    with pytest.raises(UserError, match=r"25 problems[\s\S]*and 5 more"):
        report.raise_for_errors()


@pytest.mark.real_data
def test_real_clips_are_sound(data_root):
    frames = sorted(data_root.glob("davis16/JPEGImages/480p/*/*.jpg"))
    folder = frames[0].parent
    chosen = tuple(frame for frame in frames if frame.parent == folder)[:5]
    masks = {frame.stem: data_root / "davis16/Annotations/480p" / folder.name / f"{frame.stem}.png" for frame in chosen}
    report = check_videos([Video(folder.name, chosen, masks, single_object=True)], training=True, thorough=True)
    assert not report.problems
    assert report.items[0].ids == [1]
