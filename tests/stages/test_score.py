"""The command `score`: the numbers of the evaluation, whatever form masks come in, and what does not fit is named."""

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.stages.clips import ids, write_masks
from tests.stages.segmenting import refused
from typer.testing import CliRunner, Result

from oneshot_vos.cli import app
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

FRAMES = range(5)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    write_masks(tmp_path / "truth/good", *FRAMES, objects=2)
    write_masks(tmp_path / "truth/bad", *FRAMES)
    return tmp_path / "truth"


@pytest.fixture
def masks(truth: Path, tmp_path: Path) -> Path:
    """As they should be, with one video moved."""
    shutil.copytree(truth, tmp_path / "masks")
    for t in FRAMES:
        write_mask(tmp_path / f"masks/bad/{t:05}.png", np.roll(ids(t), 9, axis=1))
    return tmp_path / "masks"


def score(truth: Path, masks: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["score", str(truth), str(masks), "--processes", "1", *arguments])


def rows(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def test_the_numbers_are_those_of_the_evaluation_from_the_worst_on(truth: Path, masks: Path, tmp_path: Path) -> None:
    table = rows(score(truth, masks, "--csv", str(tmp_path / "scores.csv")))
    videos = [Video(name, (), {f"{t:05}": truth / f"{name}/{t:05}.png" for t in FRAMES}) for name in ("bad", "good")]
    summary = evaluate_set(videos, masks).summary
    with (tmp_path / "scores.csv").open(encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [(row["sequence"], row["object"], row["frames"]) for row in written] == [
        *(("bad", "all", "3"), ("bad", "1", "3"), ("good", "all", "3"), ("good", "1", "3"), ("good", "2", "3")),
        ("all", "all", "6"),
    ]
    assert {name: f"{value:.6f}" for name, value in summary.items()} == {
        name: value for name, value in written[-1].items() if name in summary
    }
    assert table[-1][3:] == [f"{100 * summary[name]:.1f}" for name in ("J&F-Mean", "J-Mean", "F-Mean")]
    assert table[2][:2] == ["bad", "all"]
    assert float(table[2][3]) < float(table[4][3]) == 100


def test_the_first_and_the_last_frame_may_be_scored(truth: Path, masks: Path) -> None:
    (masks / "bad/00000.png").unlink()
    assert rows(score(truth, masks))[-1][2] == "6"
    refused(score(truth, masks, "--all-frames"), f"{masks}/bad/00000.png: prediction not found")
    shutil.copyfile(truth / "bad/00000.png", masks / "bad/00000.png")
    assert rows(score(truth, masks, "--all-frames"))[-1][2] == "10"


def test_zips_and_trees_of_objects_give_the_same(truth: Path, masks: Path, tmp_path: Path) -> None:
    expected = rows(score(truth, masks))
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        for file in masks.rglob("*.png"):
            archive.write(file, f"results/{file.relative_to(masks)}")
        archive.writestr("__MACOSX/results/bad/._00000.png", b"x")
    assert rows(score(truth, tmp_path / "masks.zip")) == expected
    for t in FRAMES:
        for number in (1, 2):
            write_mask(tmp_path / f"objects/good/{number}/{t:05}.png", (ids(t, 2) == number).astype(np.uint8))
    shutil.copytree(masks / "bad", tmp_path / "objects/bad/1")
    assert rows(score(truth, tmp_path / "objects")) == expected


def test_a_report_beside_the_results_is_no_sequence(truth: Path, masks: Path) -> None:
    expected = rows(score(truth, masks))
    (masks / "report").mkdir()
    (masks / "report/index.html").touch()
    assert rows(score(truth, masks)) == expected


def test_one_sequence_may_have_another_name(truth: Path, masks: Path, tmp_path: Path) -> None:
    (tmp_path / "segmented/clip").mkdir(parents=True)
    shutil.copytree(masks / "bad", tmp_path / "segmented/clip/masks")
    (tmp_path / "segmented/clip/segment.json").write_text("{}", encoding="utf-8")
    assert rows(score(truth / "bad", tmp_path / "segmented/clip"))[3][:3] == ["bad", "all", "3"]


def test_zero_and_255_alone_are_one_object_when_told_so(tmp_path: Path) -> None:
    for t in FRAMES:
        write_mask(tmp_path / f"truth/clip/{t:05}.png", ids(t) * 255)
    refused(score(tmp_path / "truth", tmp_path / "truth"), "give --single-object")
    assert rows(score(tmp_path / "truth", tmp_path / "truth", "--single-object"))[-1][3:] == ["100.0"] * 3


def test_frames_and_sequences_that_do_not_fit_are_named(truth: Path, masks: Path) -> None:
    shutil.copyfile(masks / "bad/00001.png", masks / "bad/00009.png")
    result = score(truth, masks)
    assert result.exit_code == 0
    assert "bad: 1 frame(s) have no true mask and are not scored: 00009" in result.output
    (masks / "bad/00002.png").unlink()
    refused(score(truth, masks), f"{masks}/bad/00002.png: prediction not found; 1 of the 3 masks to score")
    shutil.copytree(masks / "bad", masks / "worse")
    shutil.rmtree(masks / "good")
    refused(score(truth, masks), f"{truth}: 1 sequence(s) that {masks} has no masks for: good")
    shutil.copytree(truth / "good", masks / "good")
    refused(score(truth, masks), f"{masks}: 1 sequence(s) that {truth} has no masks for: worse")


COLORS = np.array([(0, 0, 0), (250, 20, 40), (10, 200, 250)], np.uint8)


def change(folder: Path, values: tuple[int, ...], *frames: int) -> None:
    for t in frames or FRAMES:
        write_mask(folder / f"good/{t:05}.png", np.array(values)[ids(t, 2)])


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (
            lambda truth, masks: [change(folder, (0, 1, 7)) for folder in (truth, masks)],
            0,
            "good: ids go up to 7, and 5 of them are in no mask, the first is 2",
        ),
        (lambda truth, masks: change(truth, (0, 1, 3), 2), 0, "good: id 3 is in a later mask and not in the first"),
        (
            lambda truth, masks: [Image.fromarray(COLORS[ids(t, 2)]).save(masks / f"good/{t:05}.png") for t in FRAMES],
            2,
            "good/00001.png: a mask of colours, and",
        ),
        (
            lambda truth, masks: [
                (masks / f"good/{t:05}.png").rename(masks / f"good/{t + 1:05}.png") for t in reversed(FRAMES)
            ],
            2,
            "good: as many masks as true ones, 5, but their frames are 00005 and others, not 00000 to 00004",
        ),
        (lambda truth, masks: change(masks, (0, 1, 255), 2), 2, "If 255 is a border to ignore, set it to 0"),
        (lambda truth, masks: change(masks, (0, 255, 255), 2), 2, "For binary 0/255 masks (DAVIS 2016) give --single"),
    ],
    ids=["ids with gaps", "a late object", "colours against ids", "counted from 1", "a border", "binary masks"],
)
def test_masks_that_would_be_scored_as_they_are_not_meant(
    truth: Path, masks: Path, spoil: Callable[[Path, Path], object], code: int, told: str
) -> None:
    spoil(truth, masks)
    result = score(truth, masks)
    assert result.exit_code == code
    assert told in result.output


def test_two_masks_of_one_frame_are_named(truth: Path, masks: Path) -> None:
    shutil.copyfile(masks / "bad/00002.png", masks / "bad/frame_000002.png")
    result = score(truth, masks)
    assert result.exit_code == 2
    assert "a mask of the same frame as" in result.output
    assert "frame_000002.png" in result.output


def test_true_masks_whose_palettes_contradict_each_other_are_not_scored(truth: Path, masks: Path) -> None:
    for t, table in ((1, (0, 1, 2)), (2, (0, 2, 1))):
        image = Image.fromarray(np.array(table, np.uint8)[ids(t, 2)])
        image.putpalette([0, 0, 0, *((9, 9, 200, 200, 9, 9) if table[1] == 1 else (200, 9, 9, 9, 9, 200))])
        image.save(truth / f"good/{t:05}.png")
    for t in (0, 3, 4):
        (truth / f"good/{t:05}.png").unlink()
    result = score(truth, masks, "--all-frames")
    assert result.exit_code == 2
    assert "id 1 is the colour (200, 9, 9) here and (9, 9, 200) in" in result.output


def test_a_border_to_ignore_may_be_in_true_masks(truth: Path, masks: Path) -> None:
    for t in FRAMES:
        mask = ids(t, 2)
        mask[:2] = 255
        write_mask(truth / f"good/{t:05}.png", mask)
    assert rows(score(truth, masks))[-2][0] == "good"
