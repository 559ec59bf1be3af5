"""Table 2 and the server's scores that somebody enters by hand."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import ObjectScores
from oneshot_vos.evaluation.youtube import MEASURES, CategorisedScores, YouTubeResult
from oneshot_vos.evaluation.youtube_files import save_youtube_result
from oneshot_vos.reporting.published import published_table
from oneshot_vos.reporting.server_scores import read_server_scores
from oneshot_vos.reporting.table2 import Table2, collect_table2, write_table2
from oneshot_vos.reporting.tables import write_tables

RUNS = {
    f"{network}-{strategy}-{init}" + (f"-s{seed}" if seed else ""): {
        "network": network,
        "strategy": strategy,
        "labels": "every" if strategy == "full" else "first",
        "init": init,
        "seed": seed,
    }
    for network, strategy, init, seed in (
        ("stcn", "full", "static", 0),
        ("stcn", "two_step", "static", 0),
        ("stcn", "two_step", "static", 1),
        ("stcn", "two_step", "backbone", 0),
        ("xmem", "t_step", "static", 0),
        ("xmem", "two_step", "static", 0),
        ("mine", "two_step", "static", 0),
    )
}
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


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "labels/first").mkdir(parents=True)
    counts = {"sets": {"youtube18-train": {"labelled": 3464, "annotated": 94_387}}}
    (tmp_path / "labels/first/label_ratio.json").write_text(json.dumps(counts), encoding="utf-8")
    for run, numbers in {"stcn-two_step-static": (0.7, 0.5), "stcn-two_step-static-s1": (0.8, 0.6)}.items():
        save_youtube_result(tmp_path / "metrics" / run / "youtube-held-out.json", result(*numbers))
    return tmp_path


def collect(folders: Path, *entries: Mapping[str, Any], **rest: Any) -> Table2:
    file = write_scores(folders / "server_scores.yaml", *entries)
    return collect_table2(
        RUNS, folders / "metrics", folders / "labels", ["youtube-held-out"], "paper", file, **rest
    )  # fmt: skip


def read_csv(path: Path) -> dict[str, dict[str, str]]:
    return {row["method"]: row for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}


# --- server scores ---


def test_scores_are_read_with_their_date_and_source(tmp_path: Path) -> None:
    (score,) = read_server_scores(write_scores(tmp_path / "scores.yaml", ENTRY), list(RUNS))
    assert score.scores == {"G": 71.0, "J_seen": 70.0, "F_seen": 74.0, "J_unseen": 66.0, "F_unseen": 74.0}
    assert (score.run, score.set, score.date.isoformat()) == ("stcn-two_step-static", "youtube18", "2026-01-31")
    assert score.source == "CodaLab 7685, submission 1"


def test_no_file_means_no_scores(tmp_path: Path) -> None:
    assert read_server_scores(tmp_path / "absent.yaml", []) == ()
    (tmp_path / "empty.yaml").write_text("scores: []\n")
    assert read_server_scores(tmp_path / "empty.yaml", []) == ()


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


def test_printed_numbers_are_kept_and_the_swap_is_marked(folders: Path) -> None:
    write_table2(collect(folders), folders / "out")
    rows = read_csv(folders / "out/table2.csv")
    printed = published_table(2)
    assert list(rows)[: len(printed)] == [row.method for row in printed]
    for row in printed:
        for name in ("youtube18", "youtube19"):
            for measure in MEASURES:
                text = rows[row.method][f"paper_{name}_{measure}"]
                assert text == (
                    f"{number:.2f}" if (number := row.scores.get(name, {}).get(measure)) is not None else ""
                )
        assert ("swapped" in rows[row.method]["paper_note"]) == (row.supervision == "one_shot")
    text = (folders / "out/table2.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| 1-shot STCN |")]
    assert "| 79.3 | 77.6 | 74.8 † | 81.4 † | 83.4 |" in lines[0]
    assert "| 78.8 | 76.8 | 74.8 † | 80.3 † | 83.1 |" in lines[1]
    (full, *_) = [line for line in text.splitlines() if line.startswith("| STCN |")]
    assert "| 83.0 | 82.0 | 86.5 | 77.8 | 85.8 |" in full
    assert "most likely swapped" in text


def test_server_scores_stand_beside_the_papers_and_are_marked(folders: Path) -> None:
    second = {**ENTRY, "run": "stcn-two_step-static-s1", "G": 73.0, "Js": 72.0, "Fs": 76.0, "Ju": 68.0, "Fu": 76.0}
    other = {**ENTRY, "run": "stcn-two_step-backbone", "G": 51.0, "Js": 50.0, "Fs": 54.0, "Ju": 46.0, "Fu": 54.0}
    write_table2(collect(folders, ENTRY, second, other), folders / "out")
    row = read_csv(folders / "out/table2.csv")["1-shot STCN"]
    assert (row["youtube18_G"], row["youtube18_G_std"], row["youtube18_source"]) == ("72.00", "1.41", "server")
    assert row["youtube18_G_minus_paper"] == "-7.30"
    assert row["youtube18_J_seen_minus_paper"] == "-6.60"
    # The paper's number is most likely another one: nothing is subtracted from it.
    assert row["youtube18_F_seen_minus_paper"] == row["youtube18_J_unseen_minus_paper"] == ""
    assert row["youtube19_G"] == row["youtube19_source"] == ""
    assert row["labels_percent"] == "3.67"
    assert row["runs"] == "stcn-two_step-static stcn-two_step-static-s1"
    text = (folders / "out/table2.md").read_text(encoding="utf-8")
    assert "ours (server): G" in text
    assert "entered by hand" in text
    (line, *_) = [line for line in text.splitlines() if line.startswith("| 1-shot STCN |")]
    assert "| 72.0 ± 1.4 | 71.0 ± 1.4 | 75.0 ± 1.4 | 67.0 ± 1.4 | 75.0 ± 1.4 | -7.3 |" in line
    assert "| `stcn-two_step-backbone` | youtube18 | 2026-01-31 | CodaLab 7685, submission 1 |" in text
    (line, *_) = [line for line in text.splitlines() if line.startswith("| 1-shot XMem |")]
    assert line.count("no server score") == 5


def test_local_scores_stand_apart(folders: Path) -> None:
    write_table2(collect(folders, ENTRY), folders / "out")
    row = read_csv(folders / "out/table2.csv")["1-shot STCN"]
    assert row["youtube-held-out_source"] == "local"
    assert [row[f"youtube-held-out_{name}"] for name in MEASURES] == ["70.00", "75.00", "85.00", "55.00", "65.00"]
    assert not [name for name in row if "held-out" in name and "minus" in name]
    text = (folders / "out/table2.md").read_text(encoding="utf-8")
    block = text[text.index("### Held-out training videos") : text.index("### Server scores")]
    assert "1 videos, 1 objects of seen and 1 of unseen categories" in block
    assert "not to be compared" in block
    assert (
        "| 1-shot STCN | two_step | 3.7 | 70.0 ± 7.1 | 75.0 ± 7.1 | 85.0 ± 7.1 | 55.0 ± 7.1 | 65.0 ± 7.1 | 2 |" in block
    )
    assert "| STCN | full |  | not run |" in block
    assert "OSMN" not in block
    assert "| 1-shot mine | two_step |" in block


def test_a_group_without_objects_is_not_a_zero(folders: Path) -> None:
    for run in ("stcn-two_step-static", "stcn-two_step-static-s1"):
        save_youtube_result(folders / "metrics" / run / "youtube-held-out.json", result(0.5, None))
    write_table2(collect(folders), folders / "out")
    row = read_csv(folders / "out/table2.csv")["1-shot STCN"]
    assert (row["youtube-held-out_G"], row["youtube-held-out_J_unseen"]) == ("", "")
    assert row["youtube-held-out_J_seen"] == "50.00"
    text = (folders / "out/table2.md").read_text(encoding="utf-8")
    assert "| – | 50.0 ± 0.0 | 60.0 ± 0.0 | – | – | 2 |" in text


def test_seeds_over_other_objects_are_not_averaged(folders: Path) -> None:
    path = folders / "metrics/stcn-two_step-static-s1/youtube-held-out.json"
    save_youtube_result(path, result(0.5, None))
    with pytest.raises(UserError, match="stcn-two_step-static-s1 were scored on different numbers"):
        write_table2(collect(folders), folders / "out")


def test_the_backward_pass_of_the_one_shot_rows_can_be_chosen(folders: Path) -> None:
    table = collect(folders, strategy={"xmem": "two_step"})
    runs = {row.method: [run.name for run in row.runs or ()] for row in table.rows}
    assert runs["1-shot XMem"] == ["xmem-two_step-static"]
    assert runs["1-shot STCN"] == ["stcn-two_step-static", "stcn-two_step-static-s1"]
    assert runs["1-shot Cutie"] == []
    assert runs["CFBI"] == []


def test_local_scores_are_metrics_of_their_runs(folders: Path) -> None:
    (folders / "curves").mkdir()
    metrics, labels = folders / "metrics", folders / "labels"
    write_tables(RUNS, metrics, labels, folders / "curves", [], "paper", folders / "out", table2=collect(folders))
    summary = json.loads((folders / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["stcn-two_step-static"] == {
        "youtube-held-out": {"G": 65.0, "J_seen": 70.0, "F_seen": 80.0, "J_unseen": 50.0, "F_unseen": 60.0}
    }


def test_json_says_where_each_number_comes_from(folders: Path) -> None:
    write_table2(collect(folders, ENTRY), folders / "out")
    content = json.loads((folders / "out/table2.json").read_text(encoding="utf-8"))
    assert content["sets"] == {"youtube18": "server", "youtube19": "server", "youtube-held-out": "local"}
    (row,) = [row for row in content["rows"] if row["method"] == "1-shot STCN"]
    assert row["paper"]["scores"]["youtube18"]["F_seen"] == 74.8
    scores = row["ours"]["scores"]
    assert {name: each["source"] for name, each in scores.items()} == {
        "youtube18": "server",
        "youtube-held-out": "local",
    }
    assert scores["youtube18"]["minus_paper"]["G"] == -8.3
    assert scores["youtube18"]["minus_paper"]["F_seen"] is None
    assert scores["youtube-held-out"]["over"]["objects_unseen"] == 1
    assert content["server"][0]["date"] == "2026-01-31"
    before = (folders / "out/table2.json").read_bytes()
    write_table2(collect(folders, ENTRY), folders / "out")
    assert (folders / "out/table2.json").read_bytes() == before
