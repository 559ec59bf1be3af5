"""`--confidence` and `suggest`: which files they write, when those are kept, and what they refuse."""

import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.stages.clips import ids, tiny_weights, write_folder, write_masks
from tests.stages.segmenting import done, refused, run
from typer.testing import Result

from oneshot_vos.errors import UserError
from oneshot_vos.inference.walk import Segmented, Walk
from oneshot_vos.stages import confidence as stage
from oneshot_vos.stages import segment
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.masks import write_mask

FRAMES = 13
HEADER = "frame,object,agreement,reconstruction,entropy,confidence\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors", "xmem")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos: one object from the first frame; two objects from a mask in the middle, one of them corrected."""
    folder = tmp_path / "videos"
    write_folder(folder / "JPEGImages/one", FRAMES)
    write_folder(folder / "JPEGImages/two", FRAMES, 2)
    write_masks(folder / "Annotations/one", 0)
    write_masks(folder / "Annotations/two", 3, objects=2)
    write_masks(folder / "Annotations/two", 9)
    return folder


def segment_all(videos: Path, weights: Path, out: Path, *more: str) -> Result:
    return done(run("segment-all", videos, "--weights", weights, "--out", out, "--no-overlay", *more))


def segment_one(videos: Path, weights: Path, out: Path, *more: str) -> Result:
    mask = videos / "Annotations/two"
    return run(
        *("segment", videos / "JPEGImages/two", "--mask", mask, "--weights", weights, "--out", out, "--no-overlay"),
        *more,
    )


def test_every_frame_and_object_gets_a_row_and_the_set_a_ranking(videos: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_all(videos, weights, out, "--confidence")
    for name, objects in (("one", "01"), ("two", "012")):
        with (out / name / "confidence.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert ",".join(rows[0]) + "\n" == HEADER
        assert [(row["frame"], row["object"]) for row in rows] == [
            (f"{t:05}", number) for t in range(FRAMES) for number in objects
        ]
        assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
        assert {entry.name for entry in (out / name).iterdir()} == {
            *("masks", "segment.json", "confidence.csv", "confidence.json")
        }
    with (out / "next.csv").open(encoding="utf-8") as file:
        ranking = list(csv.DictReader(file))
    assert tuple(ranking[0]) == ("rank", "video", "frame", "confidence", "gain", "why")
    assert [row["rank"] for row in ranking] == [str(number) for number in range(1, len(ranking) + 1)]
    lines = done(run("suggest", out, "-n", 2)).output.splitlines()
    assert lines[0] == f"label frame {ranking[0]['frame']} of video {ranking[0]['video']} next: {ranking[0]['why']}"
    assert len(lines) == 2
    of_one = done(run("suggest", out / "one")).output
    assert "video one" in of_one
    assert "video two" not in of_one
    done(run("score", out, out))  # a folder of results as before


def test_asked_for_later_it_is_the_same_and_no_mask_is_made_again(videos: Path, weights: Path, tmp_path: Path) -> None:
    done(segment_one(videos, weights, tmp_path / "at-once", "--confidence"))
    done(segment_one(videos, weights, tmp_path / "later"))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "later/masks").iterdir()}
    done(segment_one(videos, weights, tmp_path / "later", "--confidence"))
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "later/masks").iterdir()}
    one, other = ((tmp_path / name / "confidence.csv").read_bytes() for name in ("at-once", "later"))
    assert one == other


def test_what_fits_its_masks_is_kept_and_what_does_not_is_made_again(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    done(segment_one(videos, weights, out, "--confidence"))
    made: list[bool] = []
    measure = stage.measure_confidence
    monkeypatch.setattr(stage, "measure_confidence", lambda *rest: made.append(True) or measure(*rest))
    done(segment_one(videos, weights, out, "--confidence"))
    assert not made
    (out / "confidence.json").write_text("{", encoding="utf-8")
    done(segment_one(videos, weights, out, "--confidence"))
    assert len(made) == 1
    before = (out / "confidence.csv").read_bytes()
    write_mask(out / "masks/00012.png", np.zeros_like(ids(0)))
    done(segment_one(videos, weights, out, "--confidence"))
    assert len(made) == 2
    assert (out / "confidence.csv").read_bytes() != before
    done(segment_one(videos, weights, out, "--overwrite", "--memory-every", "2"))
    assert not (out / "confidence.csv").exists()
    assert not (out / "confidence.json").exists()


@pytest.mark.parametrize("way", ["forwards", "backwards"])
def test_interrupted_and_resumed_it_is_that_of_a_run_without_a_break(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    done(segment_one(videos, weights, tmp_path / "straight", "--confidence"))
    frames = Walk.frames

    def stopping(walk: Walk) -> Iterator[Segmented]:
        for number, result in enumerate(frames(walk)):
            yield result
            if number == 1 and walk.direction == way:
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Walk, "frames", stopping)
        assert segment_one(videos, weights, tmp_path / "broken", "--confidence").exit_code == 130
    monkeypatch.setattr(stage, "_complete_notes", _noted_already(monkeypatch))
    done(segment_one(videos, weights, tmp_path / "broken", "--confidence"))
    one, other = ((tmp_path / name / "confidence.csv").read_bytes() for name in ("straight", "broken"))
    assert one == other


def _noted_already(monkeypatch: pytest.MonkeyPatch):
    def notes(_segmenter, output):
        found = stage.Notes(output)
        assert found.complete
        return found

    return notes


def test_masks_that_are_not_complete_are_refused(videos: Path, weights: Path, tmp_path: Path) -> None:
    done(segment_one(videos, weights, tmp_path / "out"))
    source = open_frames(videos / "JPEGImages/two")
    given = find_masks([str(videos / "Annotations/two")], source, tmp_path / "scratch")
    segmenter = segment.Segmenter(weights, None, segment.Options(confidence=True))
    output = segmenter.output(source, given, tmp_path / "out")
    path = stage.write_confidence(segmenter, output)
    assert path == tmp_path / "out/confidence.csv"
    (tmp_path / "out/masks/00005.png").unlink()
    with pytest.raises(UserError, match="masks of some frames are missing"):
        stage.write_confidence(segmenter, output)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("frame,confidence\n", "its columns are"),
        (f"{HEADER}00000,1,,,,7\n", "line 2: 7 is not from 0 to 1"),
        (f"{HEADER}00000,1,,,,\n", "line 2: no confidence"),
        (f"{HEADER}00000,a,,,,1\n", "line 2: invalid literal"),
        (f"{HEADER}00000,1\n", "line 2: fewer values"),
        (HEADER, "belongs to other masks"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    write_mask(tmp_path / "walk/masks/00000.png", ids(0))
    record = '{"masks": {"00000": "m.png"}, "objects": [1], "video": "v"}'
    (tmp_path / "walk/segment.json").write_text(record, encoding="utf-8")
    (tmp_path / "walk/confidence.csv").write_text(content, encoding="utf-8")
    refused(run("suggest", tmp_path), message, "confidence.csv")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    refused(run("suggest", tmp_path), "none with confidence.csv")
    refused(run("suggest", tmp_path / "nowhere"), "no such folder")
