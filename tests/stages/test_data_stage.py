"""The stage that makes or finds the sets: every finding at once, before anything long starts."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.parameters import read_document, write_document

from oneshot_vos.errors import UserError
from oneshot_vos.params import Params, load_params
from oneshot_vos.sets.generated import generate
from oneshot_vos.stages import data, labels
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.pairs import read_pairs_index


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of real files in DAVIS layout."""
    root = tmp_path / "sets"
    generate(root, seed=1, train=3, val=2, static=2, frames=4, size=48)
    return root


def params_for(
    repository: Path, tmp_path: Path, root: Path, evaluate: tuple[str, ...] = ("mini-val",), **val: object
) -> Params:
    """The profile `smoke` with its data at `root`, as if it were somebody's own."""
    document = read_document(repository)
    smoke = document["profiles"]["smoke"]["data"]
    smoke["root"], smoke["generate"], smoke["evaluate"] = str(root), None, list(evaluate)
    smoke["sets"]["mini-val"].update(val)
    return load_params(write_document(tmp_path / "params.yaml", document), "smoke")


def test_sets_are_indexed_where_they_lie(repository: Path, tmp_path: Path, tree: Path) -> None:
    out = tmp_path / "out"
    data.run(params_for(repository, tmp_path, tree), out)
    videos = read_index(out / "train" / "mini-train.json")
    assert [video.name for video in videos] == ["train-0000", "train-0001", "train-0002"]
    assert all(frame.is_file() for video in videos for frame in video.frames)
    assert len(read_pairs_index(out / "pretrain" / "mini-static.json")) == 2
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["sets"]["evaluate/mini-val"]["counts"]["errors"] == 0
    assert (out / "generated").is_dir()


def test_changed_files_of_the_sets_are_noticed(repository: Path, tmp_path: Path, tree: Path) -> None:
    params, report = params_for(repository, tmp_path, tree), tmp_path / "out/report.json"
    masks = tree / "Annotations/480p"

    def changed() -> bool:
        found = data.files_changed(params.profile.data, report)
        data.run(params, tmp_path / "out")
        return found

    data.run(params, tmp_path / "out")
    assert not changed()
    times = masks.stat().st_mtime_ns
    mask = masks / "train-0000/00000.png"
    content = mask.read_bytes()
    mask.write_bytes(content)
    os.utime(mask, ns=(times, times - 10**9))  # of the same size
    assert changed()
    before = mask.stat()
    mask.write_bytes(content)
    os.utime(mask, ns=(before.st_atime_ns, before.st_mtime_ns))  # and of the same time
    assert changed()
    shutil.copytree(masks / "val-0000", masks / "val-0009")
    shutil.copytree(tree / "JPEGImages/480p/val-0000", tree / "JPEGImages/480p/val-0009")
    assert changed()
    assert not changed()


def test_a_set_may_name_its_videos(repository: Path, tmp_path: Path, tree: Path) -> None:
    out = tmp_path / "out"
    data.run(params_for(repository, tmp_path, tree, videos=["val-0001"]), out)
    assert [video.name for video in read_index(out / "evaluate" / "mini-val.json")] == ["val-0001"]
    with pytest.raises(UserError, match="unknown video of set 'mini-val' 'val-0007': did you mean 'val-000"):
        data.run(params_for(repository, tmp_path, tree, videos=["val-0007"]), out)


def test_all_damaged_files_are_named_at_once(repository: Path, tmp_path: Path, tree: Path) -> None:
    frames, masks = tree / "JPEGImages/480p", tree / "Annotations/480p"
    cut = frames / "train-0000/00002.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    (frames / "val-0001/00001.jpg").write_bytes(b"")
    (masks / "train-0001/00000.png").write_bytes((masks / "train-0001/00000.png").read_bytes()[:60])
    with pytest.raises(UserError) as found:
        data.run(params_for(repository, tmp_path, tree), tmp_path / "out")
    for name in ("train-0000/00002.jpg", "val-0001/00001.jpg", "train-0001/00000.png"):
        assert name in str(found.value)
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_damaged_file_of_a_set_with_two_uses_is_named_once(repository: Path, tmp_path: Path, tree: Path) -> None:
    cut = tree / "JPEGImages/480p/train-0000/00002.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    with pytest.raises(UserError, match=": 1 problem:") as found:
        data.run(params_for(repository, tmp_path, tree, evaluate=("mini-val", "mini-train")), tmp_path / "out")
    assert str(found.value).count(str(cut)) == 1


def test_a_missing_video_folder_is_named(repository: Path, tmp_path: Path, tree: Path) -> None:
    (tree / "ImageSets/2017/train.txt").write_text("train-0000\nno-such-video\n", encoding="utf-8")
    with pytest.raises(UserError, match="video 'no-such-video'"):
        data.run(params_for(repository, tmp_path, tree), tmp_path / "out")


def test_a_missing_root_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder; .*Set data\.root"):
        data.run(params_for(repository, tmp_path, tmp_path / "nowhere"), tmp_path / "out")


def test_labels_of_first_frames_lead_to_no_other_mask(repository: Path, tmp_path: Path, tree: Path) -> None:
    params = params_for(repository, tmp_path, tree)
    data.run(params, tmp_path / "out")
    for kind in ("first", "every"):
        labels.run(params, kind, tmp_path / "out" / "train", tmp_path / kind)
    first = (tmp_path / "first" / "mini-train.json").read_text(encoding="utf-8")
    assert "sets/Annotations" not in first  # the masks beside the frames are out of reach
    assert sorted(path.name for path in (tmp_path / "first").rglob("*.png")) == ["00000.png"] * 3
    ratio = json.loads((tmp_path / "first" / "label_ratio.json").read_text(encoding="utf-8"))
    assert (ratio["labelled"], ratio["annotated"], ratio["ratio"]) == (3, 12, 0.25)
    every = json.loads((tmp_path / "every" / "label_ratio.json").read_text(encoding="utf-8"))
    assert every["ratio"] == 1.0


def test_what_cannot_be_scored_is_refused_before_training(repository: Path, tmp_path: Path, tree: Path) -> None:
    for name in ("00000.png", "00001.png"):
        (tree / "Annotations/480p/val-0001" / name).unlink()
    with pytest.raises(UserError, match=r"val-0001: .*2 annotated frame\(s\), so no frame to score"):
        data.run(params_for(repository, tmp_path, tree), tmp_path / "out")
