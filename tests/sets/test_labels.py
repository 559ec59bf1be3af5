"""Indices and the first-frame stage."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import at_random, in_time, keep_every, keep_some
from oneshot_vos.videos.index import read_index, write_index
from oneshot_vos.videos.masks import encode_mask
from oneshot_vos.videos.video import Video


def _tree(root: Path, counts: list[int], first: int = 0, step: int = 1, empty: int = 0) -> list[Video]:
    """Videos with `counts` masks, of which the first `empty` show no object; no frame is there, as none is decoded."""
    videos = []
    for number, count in enumerate(counts):
        name = f"v{number:04d}"
        frames = tuple(root / "JPEGImages" / name / f"{t:05d}.jpg" for t in range(first + count * step))
        (root / "Annotations" / name).mkdir(parents=True)
        masks = {frame.stem: root / "Annotations" / name / f"{frame.stem}.png" for frame in frames[first::step]}
        for k, mask in enumerate(masks.values()):
            mask.write_bytes(encode_mask(np.full((2, 3), 0 if k < empty else 1 + k % 9, np.uint8)))
        videos.append(Video(name, frames, masks))
    return videos


def _spread(total: int, videos: int) -> list[int]:
    return [total // videos + (i < total % videos) for i in range(videos)]


def test_davis_label_ratio(tmp_path):
    ratio = keep_some(_tree(tmp_path / "davis", _spread(4209, 60)), tmp_path / "out", "davis17")
    assert (ratio["labelled"], ratio["annotated"]) == (60, 4209)
    assert f"{100 * ratio['ratio']:.1f}" == "1.4"
    assert len(list((tmp_path / "out").rglob("*.png"))) == 60


def test_youtube_label_ratio(tmp_path):
    """All masks are counted by name; only the kept ones exist here, as proof that no other is opened."""
    videos = []
    for number, count in enumerate(_spread(94_588, 3471)):
        folder = tmp_path / "yv" / f"{number:04d}"
        frames = tuple(folder / f"{5 * t:05d}.jpg" for t in range(count))
        videos.append(Video(f"{number:04d}", frames, {frame.stem: frame.with_suffix(".png") for frame in frames}))
        folder.mkdir(parents=True)
        (folder / "00000.png").write_bytes(encode_mask(np.ones((2, 3), np.uint8)))
    ratio = keep_some(videos, tmp_path / "out", "youtube18")
    assert (ratio["labelled"], ratio["annotated"]) == (3471, 94_588)
    assert f"{100 * ratio['ratio']:.1f}" == "3.7"


def test_first_index_knows_one_mask_per_video_and_no_other(tmp_path):
    videos = _tree(tmp_path / "set", [4, 6])
    keep_some(videos, tmp_path / "out", "set")
    text = (tmp_path / "out" / "set.json").read_text()
    assert "set/Annotations" not in text
    assert text.count(".png") == 2
    kept = read_index(tmp_path / "out" / "set.json")
    assert [video.frames for video in kept] == [video.frames for video in videos]
    for video, original in zip(kept, videos, strict=True):
        assert list(video.masks) == ["00000"]
        assert video.masks["00000"].read_bytes() == original.masks["00000"].read_bytes()
        assert video.masks["00000"].is_relative_to(tmp_path / "out")
    assert json.loads(text)["labels"] == {"labelled": 2, "annotated": 10, "ratio": 0.2}


def test_first_mask_may_come_later(tmp_path):
    keep_some(_tree(tmp_path / "set", [3], first=4), tmp_path / "out", "set")
    (video,) = read_index(tmp_path / "out" / "set.json")
    assert list(video.masks) == ["00004"]
    assert video.first_mask == 4
    assert video.labelled == (4,)


def test_an_empty_first_mask_is_passed_over(tmp_path):
    videos = _tree(tmp_path / "set", [5], empty=2)
    ratio = keep_some(videos, tmp_path / "out", "set")
    (video,) = read_index(tmp_path / "out" / "set.json")
    assert list(video.masks) == ["00002"]
    assert video.masks["00002"].read_bytes() == videos[0].masks["00002"].read_bytes()
    assert (ratio["labelled"], ratio["annotated"]) == (1, 5)
    keep_every(videos, tmp_path / "every", "set")  # full supervision has no such rule
    assert len(read_index(tmp_path / "every" / "set.json")[0].masks) == 5


def _kept(videos: list[Video], out: Path, *options: Any) -> list[list[str]]:
    keep_some(videos, out, "set", *options)
    return [list(video.masks) for video in read_index(out / "set.json")]


def test_masks_from_a_position_on(tmp_path):
    videos = _tree(tmp_path / "set", [6, 4], empty=1)
    assert _kept(videos, tmp_path / "out", 2) == [["00001", "00002"]] * 2
    assert _kept(videos, tmp_path / "out", 1, partial(in_time, start=3)) == [["00003"]] * 2
    assert _kept(videos, tmp_path / "out", 2, partial(in_time, start=3)) == [["00003", "00004"], ["00003"]]
    with pytest.raises(UserError, match=r"'v0001' .*: 4 masks; expected one at position 4, counted from 0"):
        _kept(videos, tmp_path / "out", 1, partial(in_time, start=4))


def test_random_masks_follow_from_seed_and_name(tmp_path):
    videos = _tree(tmp_path / "set", [9] * 12, empty=2)
    drawn = _kept(videos, tmp_path / "out", 2, partial(at_random, seed=0))
    assert all(len(stems) == 2 and stems == sorted(stems) and stems[0] >= "00002" for stems in drawn)
    assert len({tuple(stems) for stems in drawn}) > 6
    assert _kept(videos[5:], tmp_path / "again", 2, partial(at_random, seed=0)) == drawn[5:], (
        "other videos change nothing"
    )
    assert _kept(videos, tmp_path / "other", 2, partial(at_random, seed=1)) != drawn
    one = _kept(videos, tmp_path / "one", 1, partial(at_random, seed=0))
    assert all(first[0] in both for first, both in zip(one, drawn, strict=True)), "more masks keep those of fewer"


def test_a_video_whose_masks_show_no_object_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"00000\.png: none of the 3 masks of video 'v0000' shows an object"):
        keep_some(_tree(tmp_path / "set", [3], empty=3), tmp_path / "out", "set")


def test_every_index_lists_all_masks_where_they_lie(tmp_path):
    videos = _tree(tmp_path / "set", [3, 2])
    ratio = keep_every(videos, tmp_path / "out", "set")
    assert ratio["ratio"] == 1
    assert read_index(tmp_path / "out" / "set.json") == videos
    assert not list((tmp_path / "out").rglob("*.png"))


def test_running_again_gives_the_same_bytes_and_no_leftovers(tmp_path):
    videos = _tree(tmp_path / "set", [3, 2, 4])
    keep_some(videos, tmp_path / "out", "set")
    before = (tmp_path / "out" / "set.json").read_bytes()
    keep_some(list(videos), tmp_path / "out", "set")
    assert (tmp_path / "out" / "set.json").read_bytes() == before
    keep_some(videos[:1], tmp_path / "out", "set")
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.png")] == ["v0000"]


def test_index_and_files_move_together(tmp_path):
    keep_every(_tree(tmp_path / "a" / "set", [3]), tmp_path / "a" / "out", "set")
    shutil.move(tmp_path / "a", tmp_path / "b")
    (video,) = read_index(tmp_path / "b" / "out" / "set.json")
    assert all(mask.is_file() for mask in video.masks.values())


def test_merged_objects_survive_the_index(tmp_path):
    video = _tree(tmp_path / "set", [2])[0]
    keep_some([Video(video.name, video.frames, video.masks, single_object=True)], tmp_path / "out", "set")
    assert read_index(tmp_path / "out" / "set.json")[0].single_object


def test_other_pictures_under_the_same_names_make_another_index(tmp_path):
    videos = _tree(tmp_path / "set", [3])
    videos[0].frames[0].parent.mkdir(parents=True)
    for frame in videos[0].frames:
        frame.write_bytes(b"picture")
    write_index(tmp_path / "set.json", videos)
    before = (tmp_path / "set.json").read_bytes()
    videos[0].frames[1].write_bytes(b"another picture")
    write_index(tmp_path / "set.json", videos)
    assert (tmp_path / "set.json").read_bytes() != before
    assert read_index(tmp_path / "set.json") == videos


def test_video_without_masks_is_refused(tmp_path):
    video = Video("bare", (tmp_path / "bare" / "0.jpg",), {})
    with pytest.raises(UserError, match=r"'bare'.*none of its 1 frames has a mask"):
        keep_some([video], tmp_path / "out", "set")
    assert not (tmp_path / "out" / "set.json").exists()


def test_missing_first_mask_empty_set_and_repeated_video_are_refused(tmp_path):
    videos = _tree(tmp_path / "set", [3])
    videos[0].masks["00000"].unlink()
    with pytest.raises(UserError, match=r"00000\.png: missing"):
        keep_some(videos, tmp_path / "out", "set")
    with pytest.raises(UserError, match="no videos"):
        keep_every([], tmp_path / "out", "set")
    with pytest.raises(UserError, match="more than once"):
        keep_every(videos * 2, tmp_path / "out", "set")


@pytest.mark.parametrize(
    "content", ["[]", '{"format": "x"}', '{"format": "oneshot-vos videos 1"}', "{", '{"videos": 3}']
)
def test_other_files_are_not_taken_for_an_index(tmp_path, content):
    path = tmp_path / "set.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"set\.json"):
        read_index(path)
    with pytest.raises(UserError, match="not found"):
        read_index(tmp_path / "absent.json")
