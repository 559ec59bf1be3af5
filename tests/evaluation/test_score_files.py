"""Score files."""

import json
from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.results import GLOBAL_NAMES, ObjectScores, SequenceScores, SetResult
from oneshot_vos.evaluation.score_files import (
    from_json,
    global_csv,
    load_result,
    per_sequence_csv,
    save_result,
    write_official_csv,
)

RESULT = SetResult(
    (
        SequenceScores("cat", ("00001", "00002"), (ObjectScores(1, (1.0, 0.5), (0.25, 0.25)),)),
        SequenceScores("empty", ("00001",), ()),
        SequenceScores("dog", ("2",), (ObjectScores(1, (1 / 3,), (0.0,)), ObjectScores(2, (0.1,), (1.0,)))),
    ),
    0.008,
)


@pytest.fixture
def saved(tmp_path) -> Path:
    save_result(tmp_path / "scores.json", RESULT)
    return tmp_path / "scores.json"


def test_every_object_counts_the_same() -> None:
    summary = RESULT.summary
    assert tuple(summary) == GLOBAL_NAMES
    assert summary["J-Mean"] == pytest.approx((0.75 + 1 / 3 + 0.1) / 3)
    assert summary["J-Recall"] == pytest.approx(0.5 / 3)
    assert summary["J-Decay"] == pytest.approx(0.5 / 3)
    assert summary["J&F-Mean"] == (summary["J-Mean"] + summary["F-Mean"]) / 2


def test_csv_texts() -> None:
    assert global_csv(RESULT) == f"{','.join(GLOBAL_NAMES)}\n0.406,0.394,0.167,0.167,0.417,0.333,0.000\n"
    assert per_sequence_csv(RESULT) == (
        "Sequence,J-Mean,F-Mean\ncat_1,0.750,0.250\ndog_1,0.333,0.000\ndog_2,0.100,1.000\n"
    )


def test_csv_files_are_replaced(tmp_path) -> None:
    """The official tool reads old files back instead of scoring changed predictions."""
    for path in write_official_csv(tmp_path / "new", "val", RESULT):
        path.write_text("old")
    paths = write_official_csv(tmp_path / "new", "val", RESULT)
    assert [path.name for path in paths] == ["global_results-val.csv", "per-sequence_results-val.csv"]
    assert [path.read_text() for path in paths] == [global_csv(RESULT), per_sequence_csv(RESULT)]


def test_json_keeps_every_bit(tmp_path, tree, moving_squares) -> None:
    for result in (RESULT, evaluate_set([tree.add("clip", *moving_squares)], tree.predictions)):
        save_result(tmp_path / "scores.json", result)
        assert load_result(tmp_path / "scores.json") == result


def test_json_holds_the_numbers_people_look_for(saved) -> None:
    values = json.loads(saved.read_text())
    assert values["global"] == RESULT.summary
    assert values["sequences"]["cat"]["objects"]["1"]["J"] == {
        "mean": 0.75,
        "recall": 0.5,
        "decay": 0.5,
        "per_frame": [1.0, 0.5],
    }
    assert values["sequences"]["cat"]["summary"]["J-Mean"] == 0.75


@pytest.mark.parametrize("value", [[], {}, {"format": "another"}])
def test_foreign_json(value) -> None:
    with pytest.raises(UserError, match=r"scores\.json: no scores of this program"):
        from_json(value, Path("scores.json"))


def test_incomplete_json(saved) -> None:
    values = json.loads(saved.read_text())
    del values["sequences"]["cat"]["objects"]["1"]["F"]
    with pytest.raises(UserError, match=r"scores\.json: incomplete"):
        from_json(values, saved)
