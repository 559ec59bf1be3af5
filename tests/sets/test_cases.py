"""Sets of users that went wrong late, or silently: refused before anything is trained, or read as they were meant."""

import shutil
from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.sets.check import check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.own import import_videos
from oneshot_vos.videos.images import frame_files
from oneshot_vos.videos.scorable import require_scorable
from oneshot_vos.videos.video import Video


def videos(root: Path) -> list[Video]:
    return read_davis(root, images="JPEGImages", annotations="Annotations")


@pytest.mark.parametrize(
    ("name", "message"),
    [("binary-truth", r"no value but 0 and 255.*single_object: true"), ("two-masks", r"2 annotated frame\(s\)")],
)
def test_what_scoring_would_refuse_is_refused_before_training(cases_root: Path, name: str, message: str) -> None:
    found = videos(cases_root / "unscorable-sets" / name)
    with pytest.raises(UserError, match=message):
        check_videos(found, scored=True).raise_for_errors()
    check_videos(found, training=True).raise_for_errors()


@pytest.mark.parametrize("name", ["rgb-truth", "la-truth"])
def test_what_training_reads_can_be_scored(cases_root: Path, name: str) -> None:
    (video,) = videos(cases_root / "unscorable-sets" / name)
    check_videos([video], scored=True).raise_for_errors()
    require_scorable(video)


def test_a_border_to_ignore_is_no_object(cases_root: Path) -> None:
    with pytest.raises(UserError, match=r"00000\.png: value 255 beside the ids \[1, 2\].*Set it to 0"):
        check_videos(videos(cases_root / "void-255")).raise_for_errors()


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    for t in range(4):
        (tmp_path / f"{t:05}.jpg").touch()
    (tmp_path / "00002.jpg").unlink()
    (tmp_path / "00002.jpg").symlink_to("../lost/00002.jpg")
    with pytest.raises(UserError, match=r"00002\.jpg: a broken link \(1 in the folder\)"):
        frame_files(tmp_path)


def test_zeros_before_a_number_may_be_missing(cases_root: Path, tmp_path: Path) -> None:
    list(import_videos(cases_root / "unpadded-mask", tmp_path))
    assert [mask.name for mask in (tmp_path / "Annotations" / "a").iterdir()] == ["00000.png"]


def test_no_message_names_a_file_inside_a_video(cases_root: Path, tmp_path: Path) -> None:
    shutil.copytree(cases_root / "unpadded-mask", tmp_path / "own", copy_function=shutil.copyfile)
    masks = tmp_path / "own" / "masks" / "a"
    masks.chmod(0o755)
    (masks / "0.png").rename(masks / "9999.png")
    with pytest.raises(UserError, match=r"9999\.png is a mask without a frame; .*a\.mp4 has none of that name"):
        list(import_videos(tmp_path / "own", tmp_path / "out"))
