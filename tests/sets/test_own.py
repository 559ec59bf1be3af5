"""Own videos: imported with every problem named at once, and the documented way from them to masks."""

import io
import os
import re
import shlex
import shutil
import unicodedata
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from tests.parameters import read_document, write_document
from tests.stages.clips import SIZE, ids, tiny_weights, write_folder, write_masks, write_video
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.own import Imported, import_videos
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.masks import read_mask, write_mask

FRAMES = 8


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of frames with a mask in the middle, one with the first mask, and a video file with its last."""
    root = tmp_path / "recordings"
    write_folder(root / "videos/walk", FRAMES)
    write_folder(root / "videos/talk", FRAMES, 2)
    write_video(root / "videos/film.mp4", FRAMES)
    write_masks(root / "masks/walk", 4)
    write_masks(root / "masks/talk", 0, objects=2)
    write_masks(root / "masks/film", FRAMES - 1)
    (root / "videos/.DS_Store").write_bytes(b"x")
    return root


def test_videos_are_imported_as_they_are(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert list(import_videos(recordings, out)) == [
        Imported(name, FRAMES, 1, kept=False) for name in ("film", "talk", "walk")
    ]
    copied = out / "JPEGImages/walk/00003.png"
    assert copied.read_bytes() == (recordings / "videos/walk/00003.png").read_bytes()
    assert [file.name for file in sorted((out / "JPEGImages/film").iterdir())] == [f"{t:05}.jpg" for t in range(FRAMES)]
    assert np.array_equal(read_mask(out / "Annotations/film/00007.png"), ids(7))


def test_a_mask_named_like_its_video_is_that_of_the_first_frame(recordings: Path, tmp_path: Path) -> None:
    shutil.rmtree(recordings / "masks/talk")
    write_mask(recordings / "masks/talk.png", ids(0, objects=2))
    list(import_videos(recordings, tmp_path / "mine"))
    assert [file.name for file in (tmp_path / "mine/Annotations/talk").iterdir()] == ["00000.png"]


def test_colours_become_the_ids_of_the_label_map(recordings: Path, tmp_path: Path) -> None:
    table = np.array([(0, 90, 255), (9, 9, 9), (0, 9, 9)], np.uint8)
    for folder, t in (("talk", 0), ("talk", 3)):
        Image.fromarray(table[ids(t, objects=2)]).save(recordings / f"masks/{folder}/{t:05}.png")
    lines = ["dog:9,9,9::", "background:0,90,255::", "cat:0,9,9::"]
    (recordings / "masks/labelmap.txt").write_text("\n".join(lines), encoding="utf-8")
    for kept in (False, True):
        with pytest.warns(UserWarning, match=r"'talk': colours of its masks are read as object ids: \(9, 9, 9\) = 1"):
            imported = {video.name: video.kept for video in import_videos(recordings, tmp_path / "mine")}
        assert imported["talk"] is kept
    for t in (0, 3):
        assert np.array_equal(read_mask(tmp_path / f"mine/Annotations/talk/{t:05}.png"), ids(t, objects=2))


@pytest.mark.parametrize("where", ["masks.zip", "masks", "masks/walk.zip"])
def test_masks_may_lie_in_zips_with_debris_or_in_one_folder(recordings: Path, tmp_path: Path, where: str) -> None:
    (recordings / "masks").rename(tmp_path / "labels")
    chosen = [file for file in (tmp_path / "labels").rglob("*.png") if where != "masks/walk.zip" or "walk" in str(file)]
    if where == "masks":
        shutil.copytree(tmp_path / "labels", recordings / "masks/export")
    else:
        (recordings / where).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(recordings / where, "w") as archive:
            for file in chosen:
                archive.write(file, f"export/{file.relative_to(tmp_path / 'labels')}")
            archive.writestr("__MACOSX/export/._00004.png", b"x")
    for folder in ("film", "talk"):
        if where == "masks/walk.zip":
            shutil.copytree(tmp_path / "labels" / folder, recordings / "masks" / folder)
    assert [video.masks for video in import_videos(recordings, tmp_path / "mine")] == [1, 1, 1]
    assert np.array_equal(read_mask(tmp_path / "mine/Annotations/walk/00004.png"), ids(4))


def test_accents_of_a_video_may_be_encoded_in_two_ways(recordings: Path, tmp_path: Path) -> None:
    (recordings / "videos/walk").rename(recordings / "videos" / unicodedata.normalize("NFD", "bär"))
    (recordings / "masks/walk").rename(recordings / "masks" / unicodedata.normalize("NFC", "bär"))
    imported = {video.name for video in import_videos(recordings, tmp_path / "mine")}
    assert imported == {"film", "talk", unicodedata.normalize("NFC", "bär")}
    (tmp_path / "mine/Annotations/bär").rename(tmp_path / "mine/Annotations" / unicodedata.normalize("NFD", "bär"))
    assert {
        video.name for video in read_davis(tmp_path / "mine", images="JPEGImages", annotations="Annotations")
    } == imported


def test_what_import_videos_makes_check_data_looks_into(recordings: Path, tmp_path: Path) -> None:
    list(import_videos(recordings, tmp_path / "mine"))
    result = CliRunner().invoke(app, ["check-data", str(tmp_path / "mine")])
    assert "in order; 3 items" in result.output


def test_other_contents_are_seen_whatever_their_names_and_times(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    list(import_videos(recordings, out))
    frame = next((recordings / "videos/walk").iterdir())
    for file, content in ((frame, bytes(Path(frame).read_bytes())), (recordings / "videos/film.mp4", None)):
        before = file.stat()
        if content is None:  # another film of as many frames, older than what was made of the first
            write_video(tmp_path / "other.mp4", FRAMES, 2).replace(file)
        else:
            image = Image.open(io.BytesIO(content))
            Image.fromarray(255 - np.asarray(image.convert("RGB"))).save(file, image.format)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    kept = {video.name: video.kept for video in import_videos(recordings, out)}
    assert kept == {"film": False, "talk": True, "walk": False}
    assert (out / "JPEGImages/walk" / frame.name).read_bytes() == frame.read_bytes()


def test_a_video_that_the_source_has_no_longer_is_told(recordings: Path, tmp_path: Path) -> None:
    arguments = ["import-videos", str(recordings), str(tmp_path / "mine")]
    assert "as well" not in CliRunner().invoke(app, arguments).output
    shutil.rmtree(recordings / "videos/walk")
    shutil.rmtree(recordings / "masks/walk", ignore_errors=True)
    (recordings / "masks/walk.png").unlink(missing_ok=True)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert f"{tmp_path / 'mine'}: has 'walk' as well, which {recordings} has not" in result.output
    assert (tmp_path / "mine/JPEGImages/walk").is_dir()


def test_what_is_imported_already_is_kept_and_what_differs_is_not(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    list(import_videos(recordings, out))
    write_masks(recordings / "masks/walk", 5)
    kept = {video.name: video.kept for video in import_videos(recordings, out)}
    assert kept == {"film": True, "talk": True, "walk": False}
    assert len(list((out / "Annotations/walk").iterdir())) == 2


def test_all_problems_come_at_once_and_nothing_is_written(recordings: Path, tmp_path: Path) -> None:
    videos, masks = recordings / "videos", recordings / "masks"
    (videos / "notes.txt").write_text("x", encoding="utf-8")
    (videos / "bad.mp4").write_bytes(b"no video")
    write_video(videos / "walk.mp4", 2)
    write_folder(videos / "bare", 2)
    (masks / "talk/00000.png").rename(masks / "talk/frame.png")
    write_mask(masks / "film/00001.png", np.ones((9, 9), np.int32))
    write_masks(masks / "nobody", 0)
    (recordings / "masks.zip").touch()
    with pytest.raises(UserError) as caught:
        list(import_videos(recordings, tmp_path / "mine"))
    message = str(caught.value)
    for expected in (
        "8 problems",
        "masks.zip: masks are in",
        "notes.txt: neither a folder of frames nor a video file",
        "bad.mp4: not readable as a video",
        "walk.mp4: the video 'walk' is there already",
        "video 'bare': no mask in",
        "frame.png is a mask without a frame",
        "00001.png is 9x9 pixels, but the video is 64x48",
        "nobody: masks of no video",
    ):
        assert expected in message
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("missing", ["videos", "all"])
def test_a_folder_without_videos_is_named(tmp_path: Path, missing: str) -> None:
    if missing == "all":
        (tmp_path / "r/videos").mkdir(parents=True)
    with pytest.raises(UserError, match="no such folder" if missing == "videos" else "no video in"):
        list(import_videos(tmp_path / "r", tmp_path / "mine"))


def test_check_data_reports_folders_and_files_together(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    list(import_videos(recordings, out))
    write_masks(out / "Annotations/walk", 6)  # a second mask is fine
    call = ["check-data", str(out), "--images", "JPEGImages", "--annotations", "Annotations"]
    assert CliRunner().invoke(app, call).exit_code == 0
    shutil.rmtree(out / "Annotations/talk")
    (out / "JPEGImages/film/00002.jpg").write_bytes(b"")
    write_mask(out / "Annotations/walk/00004.png", np.ones((4, 4), np.int32))
    (out / "JPEGImages/walk/00001.jpg").write_bytes((out / "JPEGImages/film/00001.jpg").read_bytes())
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    for expected in (
        "JPEGImages/talk: no frame has a mask",
        "film/00002.jpg: the file is empty",
        "walk/00004.png: mask of 4x4 pixels",
        "several files named '00001'",
    ):
        assert expected in result.output


# --- the documented way ----------------------------------------------------------------------------------------------


def documented(repository: Path) -> list[list[str]]:
    """The commands of docs/own-videos.md, in order."""
    text = (repository / "docs/own-videos.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines]


def follow(repository: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Give the documented commands in `folder`, which has the recordings, with a tiny network and few iterations."""
    weights = str(tiny_weights(folder / "tiny.safetensors", "xmem"))
    monkeypatch.chdir(folder)
    commands = documented(repository)
    assert [command[1] for command in commands] == ["adapt", "data", "labels", "start", "train", "segment-all"]
    for program, *arguments in commands:
        assert program == "oneshot-vos"
        added = ["--weights", weights, "--iterations", "2", "--device", "cpu"] if arguments[0] == "adapt" else []
        given = [weights if "shipped" in argument else argument for argument in arguments]
        result = CliRunner().invoke(app, given + added)
        assert result.exit_code == 0, f"{arguments}: {result.output}"


def check_result(folder: Path, labelled: dict[str, int]) -> None:
    videos = {video.name: video for video in read_index(folder / "data/adapted/labels/first/masks-1.json")}
    assert videos.keys() == labelled.keys()
    for name, t in labelled.items():
        video = videos[name]
        assert [int(stem) for stem in video.masks] == [int(video.stem(t))]
        given = folder / "adapted/recordings/videos/Annotations" / name / f"{video.stem(t)}.png"
        for results in (folder / "adapted/recordings/segmented" / name, folder / "segmented" / name):
            masks = sorted((results / "masks").iterdir())
            assert [file.stem for file in masks] == [video.stem(place) for place in range(len(video))]
            assert np.array_equal(read_mask(masks[t]), read_mask(given))
            assert (results / "overlay.mp4").stat().st_size > 0
    assert (folder / "results/adapted/train/xmem-two_step-given/weights.safetensors").exists()
    assert (folder / "adapted/recordings/report/index.html").exists()


def test_the_documented_way_leads_from_recordings_to_masks(
    recordings: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(repository, monkeypatch, recordings.parent)
    check_result(recordings.parent, {"walk": 4, "talk": 0, "film": FRAMES - 1})
    assert read_mask(recordings.parent / "segmented/walk/masks/00000.png").shape == SIZE


@pytest.mark.real_data
def test_the_documented_way_on_real_clips(
    data_root: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = {"bear": 0, "tennis": 3, "schoolgirls": 2}
    clips = data_root / "train-clips"
    for name, chosen in labelled.items():
        masks = {file.stem: file for file in (clips / "Annotations/480p" / name).iterdir()}
        frames = sorted((clips / "JPEGImages/480p" / name).iterdir())
        first = next(t for t, file in enumerate(frames) if file.stem in masks)
        labelled[name] = chosen if frames[chosen].stem in masks else first
        videos, given = tmp_path / "recordings/videos" / name, tmp_path / "recordings/masks" / name
        videos.mkdir(parents=True)
        for file in frames[: max(6, labelled[name] + 2)]:
            picture = cv2.imread(str(file))
            small = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(videos / file.name), small)
        mask = frames[labelled[name]].stem
        small_ids = cv2.resize(read_mask(masks[mask]).astype(np.uint8), (96, 64), interpolation=cv2.INTER_NEAREST)
        write_mask(given / f"{mask}.png", small_ids)
    follow(repository, monkeypatch, tmp_path)
    check_result(tmp_path, labelled)


def test_static_runs_need_a_set_to_pretrain_on(repository: Path, tmp_path: Path) -> None:
    text = (repository / "adapt.yaml").read_text(encoding="utf-8")
    static = text.replace("xmem-two_step-shipped", "xmem-two_step-static").replace("init: shipped", "init: static")
    write_document(tmp_path / "own.yaml", {**read_document(repository, "adapt.yaml"), **yaml.safe_load(static)})
    result = CliRunner().invoke(app, ["check-params", "--params", str(tmp_path / "own.yaml")])
    assert result.exit_code == 2
    assert "data.pretrain: empty, but the run xmem-two_step-static starts from static pretraining" in result.output
