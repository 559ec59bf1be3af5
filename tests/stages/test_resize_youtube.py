"""The 480p copy of YouTube-VOS: sizes, ids, quality, and what an interruption leaves."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.sets import fake_trees

from oneshot_vos.errors import UserError
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages.resize_youtube import resize_all, resized_size, run
from oneshot_vos.videos.masks import object_ids, read_mask

SMALL = 24


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "train"
    fake_trees.make_youtube_train(root, frames=11, size=(48, 63))
    return root


@pytest.fixture(autouse=True)
def _verbose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def copy(source: Path, quality: int = 75, processes: int = 1) -> Path:
    target = source.parent / "copy"
    run(source, target, short_side=SMALL, quality=quality, processes=processes)
    return target


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (853, 480)), ((720, 1280), (480, 853)), ((1920, 1080), (853, 480)), ((480, 480), (480, 480)),
     ((103, 200), (480, 932)), ((360, 640), (480, 853))],
)  # fmt: skip
def test_the_shorter_side_is_exact(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_size(*size, 480) == expected


def test_a_copy_has_every_frame_and_every_id(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = copy(source, processes=2)
    before = read_davis(source, images="JPEGImages", annotations="Annotations")
    after = read_davis(target, images="JPEGImages", annotations="Annotations")
    assert [(video.name, [frame.name for frame in video.frames], set(video.masks)) for video in after] == [
        (video.name, [frame.name for frame in video.frames], set(video.masks)) for video in before
    ]
    for old, new in zip(before, after, strict=True):
        for stem, path in old.masks.items():
            whole = Image.fromarray(read_mask(path).astype(np.uint8))
            small = whole.resize(resized_size(*whole.size, SMALL), Image.Resampling.NEAREST)
            assert (read_mask(new.masks[stem]) == np.asarray(small)).all()
            assert object_ids(read_mask(new.masks[stem])) == object_ids(read_mask(path))
    assert (target / "meta.json").read_bytes() == (source / "meta.json").read_bytes()
    assert caplog.messages == [f"{target}: 9 videos, 23 frames, 22 masks; settings in resize.json"]


def test_images_are_resized_bicubically_and_saved_with_the_quality_recorded(source: Path) -> None:
    target = copy(source, quality=60)
    name = "JPEGImages/003234408d/00005.jpg"
    with Image.open(source / name) as image:
        expected = image.resize((31, 24), Image.Resampling.BICUBIC)
        expected.save(source.parent / "expected.jpg", quality=60)
    assert (target / name).read_bytes() == (source.parent / "expected.jpg").read_bytes()
    record = json.loads((target / "resize.json").read_text())
    assert record["images"] == {
        "resampling": "bicubic",
        "jpeg_quality": 60,
        "pillow": Image.__version__,
    }
    assert record["counts"] == {"videos": 9, "frames": 23, "masks": 22}


def test_a_second_call_does_nothing(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = copy(source)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    copy(source)
    assert caplog.messages[-1] == f"{target}: there already, 9 videos; used as it is"
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_an_interrupted_copy_goes_on_video_by_video(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oneshot_vos.stages.resize_youtube.os.sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        copy(source)
    staging = source.parent / ".copy.part"
    assert not (source.parent / "copy").exists()
    finished = staging / "JPEGImages/003234408d"
    inode = finished.stat().st_ino
    shutil.rmtree(staging / "Annotations/01e64dd36a")
    torn = staging / "Annotations/.01e64dd36a.77.part"
    torn.mkdir()
    (torn / "00000.png").write_bytes(b"half")
    monkeypatch.undo()
    target = copy(source)
    assert (target / "JPEGImages/003234408d").stat().st_ino == inode
    assert len(list((target / "Annotations/01e64dd36a").iterdir())) == 3
    assert not list(target.rglob("*.part"))


def test_other_settings_are_refused_not_mixed(source: Path) -> None:
    copy(source)
    with pytest.raises(
        UserError, match=r"resize\.json: made with .*'jpeg_quality': 75.*; expected .*'jpeg_quality': 90"
    ):
        copy(source, quality=90)


def test_a_copy_of_another_program_is_used(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(source, source.parent / "copy")
    copy(source)
    assert "made by another program; used as it is" in caplog.text
    shutil.rmtree(source.parent / "copy/JPEGImages/0043f083b5")
    with pytest.raises(UserError, match=r"copy: without 0043f083b5; expected the 9 videos of"):
        copy(source)


def test_all_damaged_files_are_named_and_the_other_videos_kept(source: Path) -> None:
    cut = source / "JPEGImages/0043f083b5/00005.jpg"
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    wrong = source / "Annotations/003234408d/00005.png"
    Image.new("P", (10, 10)).save(wrong)
    with pytest.raises(UserError, match="2 of 9 videos could not be resized") as failure:
        copy(source)
    assert str(cut) in str(failure.value)
    assert str(wrong) in str(failure.value)
    assert not (source.parent / "copy").exists()
    assert (source.parent / ".copy.part/JPEGImages/0044fa5fba").is_dir()
    cut.write_bytes(content)
    shutil.copy(source / "Annotations/003234408d/00000.png", wrong)
    target = copy(source)
    assert len(list((target / "JPEGImages").iterdir())) == 9


def die(video: str) -> None:
    """What a worker does that the system ends for lack of memory."""
    os._exit(9)


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resize-youtube: a worker process died, .*fewer `processes`"):
        resize_all(die, tmp_path, ["one", "two"], 2)


@pytest.mark.parametrize(
    ("quality", "processes", "expected"),
    [(0, 1, "JPEG quality 0, .*expected a quality of 1 to 95"), (75, 0, "0 processes; expected")],
)
def test_settings_out_of_range_are_refused(source: Path, quality: int, processes: int, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        copy(source, quality, processes)


def test_a_missing_source_names_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Run `oneshot-vos fetch youtube2018-train`"):
        run(tmp_path / "train", tmp_path / "copy")
    (tmp_path / "train/JPEGImages").mkdir(parents=True)
    with pytest.raises(UserError, match="no video in it"):
        run(tmp_path / "train", tmp_path / "copy")
