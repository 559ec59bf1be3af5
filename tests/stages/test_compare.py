"""The command `compare`: scores of two runs by sequence, from whatever holds them, and what is missing is named."""

import shutil
from pathlib import Path

import pytest
from tests.stages.segmenting import refused
from typer.testing import CliRunner, Result

from oneshot_vos.cli import app
from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult
from oneshot_vos.evaluation.score_files import save_result, save_youtube_result
from oneshot_vos.evaluation.youtube import CategorisedScores, YouTubeResult
from oneshot_vos.stages.score import write_scores

GOOD = {"bear": [0.9], "dogs": [0.8, 0.6], "swan": [0.5]}
BAD = {"bear": [0.4], "dogs": [0.9, 0.6], "swan": [0.5]}


def result(scores: dict[str, list[float]]) -> SetResult:
    """Scores in which J and F of an object are the same in both frames."""
    return SetResult(
        tuple(
            SequenceScores(name, ("1", "2"), tuple(ObjectScores(n, (v, v), (v, v)) for n, v in enumerate(values, 1)))
            for name, values in scores.items()
        ),
        0.008,
    )


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with scores of two runs of `smoke`, whatever profile is in force."""
    shutil.copytree(repository / "config", tmp_path / "config")
    shutil.copy(repository / "params.yaml", tmp_path)
    for run, scores in (("good", GOOD), ("bad", BAD)):
        save_result(tmp_path / f"results/smoke/metrics/{run}/val.json", result(scores))
        (tmp_path / f"results/smoke/metrics/{run}/curve.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments])


def rows(outcome: Result) -> list[list[str]]:
    assert outcome.exit_code == 0, outcome.output
    return [line.split() for line in outcome.output.splitlines()]


def test_the_largest_loss_comes_first_and_the_mean_is_the_one_of_the_evaluation(project: Path) -> None:
    table = rows(compare("good", "bad", "--profile", "smoke"))
    assert table[0] == ["val"]
    assert table[1] == ["sequence", "objects", "good", "bad", "difference"]
    assert table[3:6] == [
        ["bear", "1", "90.0", "40.0", "-50.0"],
        ["swan", "1", "50.0", "50.0", "+0.0"],
        ["dogs", "2", "70.0", "75.0", "+5.0"],
    ]
    means = [f"{100 * result(scores).summary['J&F-Mean']:.1f}" for scores in (GOOD, BAD)]
    assert table[6] == ["mean", "over", "4", "objects", "4", *means, "-10.0"]
    assert " ".join(table[7]) == "bad is better on 1 of 3 sequences, worse on 1"


def test_folders_and_files_of_all_kinds_can_be_compared(project: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "good.csv", result(GOOD))
    metrics = tmp_path / "results/smoke/metrics"
    for one in ("good.csv", str(metrics / "good"), str(metrics / "good/val.json")):
        table = rows(compare(one, str(metrics / "bad")))
        assert ["bear", "1", "90.0", "40.0", "-50.0"] in table
    scored = [
        CategorisedScores(name, "animal", seen=True, frames=("1", "2"), scores=entry)
        for name, entries in ((each.name, each.objects) for each in result(GOOD).sequences)
        for entry in entries
    ]
    save_youtube_result(tmp_path / "youtube.json", YouTubeResult(tuple(scored), (), 0.008))
    assert ["dogs", "2", "70.0", "70.0", "+0.0"] in rows(compare("youtube.json", "good.csv"))


def test_only_what_both_sides_have_is_compared(project: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "less.csv", result({"bear": [0.4], "dogs": [0.9]}))
    outcome = compare("results/smoke/metrics/good", "less.csv")
    assert ["dogs", "1", "80.0", "90.0", "+10.0"] in rows(outcome)
    assert "without scores in B, left out: dogs 2, swan 1" in outcome.output
    save_result(tmp_path / "results/smoke/metrics/good/other.json", result(GOOD))
    save_result(tmp_path / "results/smoke/metrics/bad/other.json", result(GOOD))
    outcome = compare("good", "bad", "--profile", "smoke")
    assert [row[0] for row in rows(outcome) if len(row) == 1] == ["other", "val"]
    assert rows(compare("good", "bad", "--profile", "smoke", "--set", "other"))[0] == ["other"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["god", "bad"], "results/smoke/metrics/god: no scores of a run 'god'; did you mean 'good'? What is missing"),
        (["good", "bad", "--set", "vel"], "good: no scores of a set 'vel'; did you mean 'val'?"),
        (["good", "none.csv"], "none.csv: not found; expected scores: a run, a folder of metrics, or a file"),
        (["good", "empty"], "empty: no scores in it; expected <set>.json of the stage `evaluate`"),
        (["good", "wrong.csv"], "wrong.csv: not readable"),
        (["good", "wrong.json"], "wrong.json: no scores of this program"),
        (["good", "others.csv"], "no sequence is scored on both sides"),
    ],
)
def test_what_is_missing_or_wrong_is_named(project: Path, arguments: list[str], expected: str) -> None:
    (project / "empty").mkdir()
    (project / "wrong.csv").write_text("a,b\n1,2\n")
    (project / "wrong.json").write_text("{}")
    write_scores(project / "others.csv", result({"cat": [0.5]}))
    refused(compare(*arguments, "--profile", "smoke"), expected)


def test_a_folder_of_several_sets_needs_a_name_beside_a_file(project: Path) -> None:
    save_result(project / "results/smoke/metrics/good/other.json", result(GOOD))
    outcome = compare("good", "results/smoke/metrics/bad/val.json", "--profile", "smoke")
    refused(outcome, "good: scores of 2 sets; expected --set with one of other, val")
    assert rows(compare("good", "results/smoke/metrics/bad/val.json", "--profile", "smoke", "--set", "val"))
