"""Table 2 and the server's scores that somebody enters by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.reporting.results_folder import Project, named, run

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import ObjectScores
from oneshot_vos.evaluation.score_files import save_youtube_result
from oneshot_vos.evaluation.youtube import MEASURES, CategorisedScores, YouTubeResult
from oneshot_vos.reporting.published import paper_table
from oneshot_vos.reporting.server_scores import read_server_scores

RUNS = named(
    run("stcn", "full", "static"),
    run("stcn", "two_step", "static"),
    run("stcn", "two_step", "static", 1),
    run("stcn", "two_step", "backbone"),
    run("xmem", "t_step", "static"),
    run("xmem", "two_step", "static"),
    run("other", "two_step", "static"),
)
ONE_SHOT = ("1-shot STCN", "two_step", "static")
ENTRY: dict[str, Any] = {
    "run": "stcn-two_step-static",
    "set": "youtube18",
    "G": 71.0,
    "Js": 70.0,
    "Fs": 74.0,
    "Ju": 66.0,
    "Fu": 74.0,
    "date": "2026-01-31",
    "source": "CodaLab 7685, submission 1",
}


def write_scores(path: Path, *entries: Mapping[str, Any]) -> Path:
    text = yaml.safe_dump({"scores": [dict(entry) for entry in entries]})
    # Dates are dates, not texts.
    path.write_text(text.replace("'2026-01-31'", "2026-01-31"), encoding="utf-8")
    return path


def result(seen: float, unseen: float | None) -> YouTubeResult:
    """J is the number itself, F 0.1 more; one object of either group in two frames."""
    groups = {True: seen, False: unseen}
    objects = tuple(
        CategorisedScores("v", str(group), group, ("5", "6"), ObjectScores(1 + group, (value,) * 2, (value + 0.1,) * 2))
        for group, value in groups.items()
        if value is not None
    )
    return YouTubeResult(objects, (), 0.008)


def score(project: Project, **numbers: tuple[float, float | None]) -> None:
    """Scores of the two seeds of STCN on the held-out set."""
    for suffix, pair in numbers.items():
        name = "stcn-two_step-static" + suffix.replace("s0", "").replace("s", "-s")
        save_youtube_result(project.root / "metrics" / name / "youtube-held-out.json", result(*pair))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.label("first", 3464, 94_387)
    score(made, s0=(0.7, 0.5), s1=(0.8, 0.6))
    return made


def write(project: Project, *entries: Mapping[str, Any], **rest: Any) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of table2.csv."""
    file = write_scores(project.root / "server_scores.yaml", *entries)
    project.write([], RUNS, held_out=["youtube-held-out"], server_file=file, **rest)
    return project.rows(2)


# --- server scores ---


def test_scores_are_read_with_their_date_and_source(tmp_path: Path) -> None:
    (score,) = read_server_scores(write_scores(tmp_path / "scores.yaml", ENTRY), list(RUNS))
    assert score == {
        "run": "stcn-two_step-static",
        "set": "youtube18",
        "scores": {"G": 71.0, "J_seen": 70.0, "F_seen": 74.0, "J_unseen": 66.0, "F_unseen": 74.0},
        "date": "2026-01-31",
        "origin": "CodaLab 7685, submission 1",
    }


def test_no_file_means_no_scores(tmp_path: Path) -> None:
    assert read_server_scores(tmp_path / "absent.yaml", []) == []
    (tmp_path / "empty.yaml").write_text("scores: []\n")
    assert read_server_scores(tmp_path / "empty.yaml", []) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"run": "stcn-two_step-statc"}, r"score 1: run 'stcn-two_step-statc' is not in params.yaml; did you mean"),
        ({"set": "youtube20"}, r"score 1: set: .*'youtube18' or 'youtube19'"),
        ({"G": 72.0}, r"score 1: G is 72, but the mean of Js, Fs, Ju and Fu is 71\.00"),
        ({"G": 171.0}, r"score 1: G: .*less than or equal to 100"),
        ({"Js": "70"}, r"score 1: Js: .*number, not '70'"),
        ({"Js": True}, r"score 1: Js: "),
        ({"Js": float("nan")}, r"score 1: Js: "),
        ({"G": 0.71, "Js": 0.7, "Fs": 0.74, "Ju": 0.66, "Fu": 0.74}, r"the scores are fractions"),
        ({"date": "31.1.2026"}, r"score 1: date: .*date"),
        ({"source": ""}, r"score 1: source: "),
        ({"Jseen": 70.0}, r"score 1: Jseen: unknown key"),
        ({"source": None}, r"score 1: source: "),
    ],
)
def test_a_wrong_score_is_named(tmp_path: Path, change: Mapping[str, Any], finding: str) -> None:
    with pytest.raises(UserError, match=finding):
        read_server_scores(write_scores(tmp_path / "scores.yaml", {**ENTRY, **change}), list(RUNS))


def test_all_wrong_scores_are_named_at_once(tmp_path: Path) -> None:
    without_date = {key: value for key, value in ENTRY.items() if key != "date"}
    path = write_scores(tmp_path / "scores.yaml", ENTRY, without_date, {**ENTRY, "source": "a second time"})
    with pytest.raises(UserError, match=r"2 problem\(s\)[\s\S]*score 2: date: missing[\s\S]*score 3: a second score"):
        read_server_scores(path, list(RUNS))


@pytest.mark.parametrize("text", ["", "[]", "scores: 5", "scores: []\nmore: 1", "score: []"])
def test_another_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.yaml").write_text(text)
    with pytest.raises(UserError, match="expected one key 'scores' with a list"):
        read_server_scores(tmp_path / "scores.yaml", [])


# --- the table ---


def test_printed_numbers_are_kept_and_the_swap_is_marked(project: Project) -> None:
    rows = list(write(project).values())
    for row, printed in zip(rows, paper_table(2).to_dict("records"), strict=False):
        assert row["method"] == printed["method"]
        one_shot = printed["supervision"] == "one_shot"
        assert ("swapped" in row["paper_note"]) == one_shot
        if one_shot:
            assert printed["paper_youtube18_J_seen"] > printed["paper_youtube18_F_seen"]
    text = project.text("table2.md")
    lines = [line for line in text.splitlines() if line.startswith("| 1-shot STCN |")]
    assert "| 79.3 | 77.6 | 74.8 † | 81.4 † | 83.4 |" in lines[0]
    assert "| 78.8 | 76.8 | 74.8 † | 80.3 † | 83.1 |" in lines[1]
    assert "| 83.0 | 82.0 | 86.5 | 77.8 | 85.8 |" in project.line("table2.md", "| STCN |")
    assert "most likely swapped" in text


def test_server_scores_stand_beside_the_papers_and_are_marked(project: Project) -> None:
    second = {**ENTRY, "run": "stcn-two_step-static-s1", "G": 73.0, "Js": 72.0, "Fs": 76.0, "Ju": 68.0, "Fu": 76.0}
    other = {**ENTRY, "run": "stcn-two_step-backbone", "G": 51.0, "Js": 50.0, "Fs": 54.0, "Ju": 46.0, "Fu": 54.0}
    row = write(project, ENTRY, second, other)[ONE_SHOT]
    assert (row["youtube18_G"], row["youtube18_G_std"], row["youtube18_source"]) == ("72.00", "1.41", "server")
    assert row["youtube18_G_minus_paper"] == "-7.30"
    assert row["youtube18_J_seen_minus_paper"] == "-6.60"
    # The paper's number is most likely another one: nothing is subtracted from it.
    assert row["youtube18_F_seen_minus_paper"] == row["youtube18_J_unseen_minus_paper"] == ""
    assert row["youtube19_G"] == row["youtube19_source"] == ""
    assert row["labels_percent"] == "3.67"
    assert row["runs"] == "stcn-two_step-static stcn-two_step-static-s1"
    text = project.text("table2.md")
    assert "ours (server): G" in text
    assert "entered by hand" in text
    line = project.line("table2.md", "| 1-shot STCN |")
    assert "| 72.0 ± 1.4 | 71.0 ± 1.4 | 75.0 ± 1.4 | 67.0 ± 1.4 | 75.0 ± 1.4 | -7.3 | | 0, 1 |" in line
    assert "| `stcn-two_step-backbone` | youtube18 | 2026-01-31 | CodaLab 7685, submission 1 |" in text
    assert project.line("table2.md", "| 1-shot XMem |").count("no server score") == 5


def test_local_scores_stand_apart(project: Project) -> None:
    row = write(project, ENTRY)[ONE_SHOT]
    assert row["youtube-held-out_source"] == "local"
    assert [row[f"youtube-held-out_{name}"] for name in MEASURES] == ["70.00", "75.00", "85.00", "55.00", "65.00"]
    assert not [name for name in row if "held-out" in name and "minus" in name]
    text = project.text("table2.md")
    block = text[text.index("### `youtube-held-out`") : text.index("### Server scores")]
    assert "1 videos, 1 objects of seen and 1 of unseen categories" in block
    assert "not to be compared" in block
    scores = "70.0 ± 7.1 | 75.0 ± 7.1 | 85.0 ± 7.1 | 55.0 ± 7.1 | 65.0 ± 7.1"
    assert f"| 1-shot STCN | two_step | 3.7 | {scores} | | 0, 1 |" in block
    assert "| STCN | full | | not run |" in block
    assert "OSMN" not in block
    assert "| 1-shot other | two_step |" in block


def test_a_group_without_objects_is_not_a_zero(project: Project) -> None:
    score(project, s0=(0.5, None), s1=(0.5, None))
    row = write(project)[ONE_SHOT]
    assert (row["youtube-held-out_G"], row["youtube-held-out_J_unseen"]) == ("", "")
    assert row["youtube-held-out_J_seen"] == "50.00"
    assert "| – | 50.0 ± 0.0 | 60.0 ± 0.0 | – | – | | 0, 1 |" in project.text("table2.md")


def test_seeds_over_other_objects_are_not_averaged(project: Project) -> None:
    score(project, s1=(0.5, None))
    with pytest.raises(UserError, match="stcn-two_step-static-s1 were scored on different numbers"):
        write(project)


def test_the_strategy_of_the_one_shot_rows_can_be_chosen(project: Project) -> None:
    chosen = {"stcn": "two_step", "xmem": "two_step", "cutie": "t_step", "other": "two_step"}
    runs = {method: row["runs"] for (method, *_), row in write(project, table1_strategy=chosen).items()}
    assert runs["1-shot XMem"] == "xmem-two_step-static"
    assert runs["1-shot STCN"] == "stcn-two_step-static stcn-two_step-static-s1"
    assert runs["1-shot Cutie"] == runs["CFBI"] == ""


def test_local_scores_are_metrics_of_their_runs(project: Project) -> None:
    write(project, ENTRY)
    assert project.json("summary.json")["stcn-two_step-static"] == {
        "youtube-held-out": {"G": 65.0, "J_seen": 70.0, "F_seen": 80.0, "J_unseen": 50.0, "F_unseen": 60.0}
    }
    assert "## Table 2" in project.text("summary.md")
    assert "figure5.png" in project.text("summary.md")


def test_a_profile_without_youtube_says_so(project: Project) -> None:
    project.write(["mini-val"], RUNS)
    assert "The profile `test` evaluates no set of YouTube-VOS." in project.text("table2.md")
    assert "Table 2" not in project.text("summary.md")
