"""The DAVIS layout: lists, folders, and everything that can be wrong with them."""

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.sets.davis import read_davis


def add_video(root, name, frames=3, masks=(0,), suffix=".jpg"):
    images, annotations = root / "JPEGImages/480p" / name, root / "Annotations/480p" / name
    images.mkdir(parents=True)
    annotations.mkdir(parents=True)
    for t in range(frames):
        (images / f"{t:05d}{suffix}").touch()
    for t in masks:
        (annotations / f"{t:05d}.png").touch()
    return images, annotations


def add_list(root, text, name="ImageSets/2017/train.txt"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


def test_all_folders_in_alphabetical_order(tmp_path):
    for name in ("dog", "bear", "zébra crossing"):
        add_video(tmp_path, name, masks=(0, 2))
    (tmp_path / "JPEGImages/480p/.cache").mkdir()
    (tmp_path / "JPEGImages/480p/readme.txt").touch()
    videos = read_davis(tmp_path)
    assert [video.name for video in videos] == ["bear", "dog", "zébra crossing"]
    assert [path.name for path in videos[0].frames] == ["00000.jpg", "00001.jpg", "00002.jpg"]
    assert videos[0].labelled == (0, 2)
    assert not videos[0].single_object


def test_masks_without_frames_are_a_problem_where_no_list_leaves_them_out(tmp_path):
    add_video(tmp_path, "dog")
    (tmp_path / "Annotations/480p/cat").mkdir()
    with pytest.raises(UserError, match=r"video 'cat': no folder .*JPEGImages/480p/cat; expected .* has masks"):
        read_davis(tmp_path)
    assert [video.name for video in read_davis(tmp_path, list_file=add_list(tmp_path, "dog\n"))] == ["dog"]


def test_list_fixes_choice_and_order(tmp_path):
    for name in ("bear", "dog", "cows"):
        add_video(tmp_path, name)
    name = add_list(tmp_path, "\ufeffdog\n\n# a remark\nbear\r\n")
    videos = read_davis(tmp_path, list_file=name, single_object=True)
    assert [video.name for video in videos] == ["dog", "bear"]
    assert all(video.single_object for video in videos)


def test_older_list_of_paths(tmp_path):
    add_video(tmp_path, "bear")
    line = "/JPEGImages/480p/bear/{0:05d}.jpg /Annotations/480p/bear/{0:05d}.png"
    name = add_list(tmp_path, "\n".join(line.format(t) for t in range(3)))
    assert [video.name for video in read_davis(tmp_path, list_file=name)] == ["bear"]


def test_jpeg_frames_are_matched_by_stem(tmp_path):
    add_video(tmp_path, "bear", suffix=".JPEG", masks=(1,))
    (video,) = read_davis(tmp_path)
    assert video.first_mask == 1
    assert video.mask_path(1).name == "00001.png"


def test_other_folders(tmp_path):
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part / "0a1b").mkdir(parents=True)
    (tmp_path / "JPEGImages/0a1b/00005.jpg").touch()
    (tmp_path / "Annotations/0a1b/00005.png").touch()
    (video,) = read_davis(tmp_path, images="JPEGImages", annotations="Annotations")
    assert video.stem(0) == "00005"


def test_every_problem_is_named_at_once(tmp_path):
    add_video(tmp_path, "no-frames", frames=0)
    add_video(tmp_path, "no-masks", masks=())
    add_video(tmp_path, "stray-mask", masks=(0, 7))
    _, annotations = add_video(tmp_path, "lossy", masks=())
    (annotations / "00000.jpg").touch()
    images, _ = add_video(tmp_path, "twice")
    (images / "00001.png").touch()
    names = ["absent", "no-frames", "no-masks", "stray-mask", "lossy", "twice"]
    with pytest.raises(UserError) as caught:
        read_davis(tmp_path, list_file=add_list(tmp_path, "\n".join(names)))
    message = str(caught.value)
    assert "6 problems" in message
    for name, finding in {
        "absent": "no folder",
        "no-frames": "no image in",
        "no-masks": "no mask in",
        "stray-mask": "without a frame",
        "lossy": "keeps ids exactly",
        "twice": "several files named '00001'",
    }.items():
        (line,) = (line for line in message.splitlines() if f"'{name}'" in line)
        assert finding in line
        assert "expected" in line


def test_long_lists_of_problems_are_cut(tmp_path):
    (tmp_path / "JPEGImages/480p").mkdir(parents=True)
    names = "\n".join(f"video-{number}" for number in range(50))
    with pytest.raises(UserError, match=r"50 problems[\s\S]*and 30 more"):
        read_davis(tmp_path, list_file=add_list(tmp_path, names))


@pytest.mark.parametrize(
    ("text", "finding"),
    [("bear\nbear\n", "'bear' is listed twice"), ("\n# nothing\n", "no name in it"), ("..\n", "no name of a video")],
)
def test_unusable_lists(tmp_path, text, finding):
    add_video(tmp_path, "bear")
    with pytest.raises(UserError, match=finding):
        read_davis(tmp_path, list_file=add_list(tmp_path, text))


@pytest.mark.parametrize("line", ["bear/", "JPEGImages/480p/bear", "JPEGImages\\480p\\bear\\", "/a/bear/00000.jpg"])
def test_a_list_may_name_folders(tmp_path, line):
    add_video(tmp_path, "bear")
    assert [video.name for video in read_davis(tmp_path, list_file=add_list(tmp_path, line + "\n"))] == ["bear"]


def test_missing_list_root_and_videos(tmp_path):
    with pytest.raises(UserError, match=r"absent\.txt: no such file"):
        read_davis(tmp_path, list_file="absent.txt")
    with pytest.raises(UserError, match=r"JPEGImages/480p: no such folder"):
        read_davis(tmp_path)
    (tmp_path / "JPEGImages/480p").mkdir(parents=True)
    with pytest.raises(UserError, match="no video in it"):
        read_davis(tmp_path)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_davis(tmp_path, list_file="binary.txt")


@pytest.mark.real_data
def test_real_davis_2016_counts(data_root):
    videos = read_davis(data_root / "davis16", list_file="ImageSets/2016/val.txt", single_object=True)
    assert all(len(video.masks) == len(video.frames) > 0 for video in videos)
    assert all(video.first_mask == 0 for video in videos)
