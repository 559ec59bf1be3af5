"""Table 1, the table of all runs, and the summaries."""

import csv
from importlib.resources import files
from statistics import stdev

import pytest
from tests.reporting.results_folder import RUNS, matrix, named, run

from oneshot_vos.errors import UserError
from oneshot_vos.params import Run
from oneshot_vos.reporting.published import paper_set, paper_table

STCN, ONE_SHOT = ("STCN", "full", "static"), ("1-shot STCN", "two_step", "static")


def score_columns(row, name):
    return [row[f"{name}_{measure}"] for measure in ("JF", "J", "F")]


# --- the paper's numbers ---


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_printed_number_is_read(number):
    text = files("oneshot_vos.reporting").joinpath("paper_tables", f"table{number}.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    rows = paper_table(number).to_dict("records")
    assert [row["method"] for row in rows] == [line["method"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        for column in (name for name in line if name.startswith("paper_") and name != "paper_note"):
            value = row[column]
            assert value == float(line[column]) if line[column] else value != value


def test_the_mean_of_j_and_f_is_that_of_the_columns_up_to_rounding():
    off = []
    for number in (1, 3, 4):
        rows = paper_table(number)
        for name in ("davis16", "davis17")[number != 1 :]:
            mean, j, f = (rows[f"paper_{name}_{measure}"] for measure in ("JF", "J", "F"))
            off += [(number, method, name) for method in rows["method"][(mean - (j + f) / 2).abs() > 0.1001]]
    assert off == [(1, name, "davis17") for name in ("FEELVOS", "STM", "CFBI")]  # as printed; see published.py


def test_only_whole_validation_sets_have_a_counterpart_in_the_paper():
    assert [paper_set(name) for name in ("davis16", "davis16-val", "davis17-val")] == ["davis16", "davis16", "davis17"]
    assert paper_set("mini-val") is None
    assert paper_set("davis17-mini") is None


# --- Table 1 ---


def test_what_has_not_run_says_so_and_never_shows_a_number_of_the_paper(project):
    project.write(["davis16", "davis17"])
    for (method, *_), row in project.rows(1).items():
        ours = score_columns(row, "davis16") + score_columns(row, "davis17") + [row["davis17_JF_minus_paper"]]
        assert ours == [""] * 7, method
        assert row["labels_percent"] == ""
        cited = method in ("OSMN", "FEELVOS", "RGMP", "Track-Seg", "STM", "CFBI", "RDE-VOS")
        assert row["status"] == ("published only" if cited else "not run")
    assert project.json("summary.json") == {"ratio": {}, "table3": {}, "table4": {}, "labels_percent": {"first": 5.0}}
    assert project.line("table1.md", "| STCN | full |").count("not run") == 3


def test_our_columns_hold_what_was_measured_and_nothing_else(project):
    project.score("stcn-full-static", "davis17", 0.5, 0.6, sequences=30, objects=61)
    project.write(["davis17"])
    rows = project.rows(1)
    assert score_columns(rows[STCN], "davis17") == ["55.00", "50.00", "60.00"]
    assert (rows[STCN]["paper_davis17_JF"], rows[STCN]["davis17_JF_minus_paper"]) == ("85.40", "-30.40")
    others = [row for key, row in rows.items() if key != STCN]
    assert not any(row[key] for row in others for key in row if key.startswith("davis17"))


def test_a_part_of_a_published_set_gets_no_difference(project):
    project.score("stcn-full-static", "davis16", 0.5, 0.6, sequences=15, objects=15)
    project.write(["davis16"])
    assert project.rows(1)[STCN]["davis16_JF_minus_paper"] == ""
    assert "over 15 sequences, 15 objects, a part of the set" in project.text("table1.md")


@pytest.mark.parametrize("name", ["davis16", "davis16-val"])
def test_the_papers_numbers_stand_beside_ours_under_either_name_of_the_set(project, name):
    project.score("stcn-full-static", name, 0.908, 0.925, sequences=20, objects=20)
    project.write([name])
    assert float(project.rows(1)[STCN][f"{name}_JF_minus_paper"]) == pytest.approx(0.05, abs=0.011)
    assert "### DAVIS 2016 val" in project.text("table1.md")


def test_columns_follow_the_evaluated_sets(project):
    project.score("stcn-full-static", "mini-val", 0.7, 0.8)
    project.write(["mini-val"])
    row = project.rows(1)[STCN]
    assert score_columns(row, "mini-val") == ["75.00", "70.00", "80.00"]
    assert not [key for key in row if key.startswith("davis") or "minus_paper" in key]
    ours, printed = project.text("table1.md").split("### Printed in the paper")
    assert "75.0" in ours
    assert "85.4" not in ours
    assert "85.4" in printed
    assert "75.0 |" not in printed


def test_seeds_give_mean_and_sample_deviation(project):
    scores, runs = [0.70, 0.74, 0.75], dict(RUNS)
    for seed, score in enumerate(scores):
        (name,) = named(run("stcn", "two_step", "static", seed))
        runs[name] = run("stcn", "two_step", "static", seed)
        project.score(name, "mini-val", score, score)
    project.write(["mini-val"], runs)
    row = project.rows(1)[ONE_SHOT]
    assert (row["mini-val_JF"], row["mini-val_JF_std"]) == ("73.00", f"{100 * stdev(scores):.2f}")
    assert (row["seeds"], row["mini-val_n"], row["status"]) == ("0 1 2", "3", "run")
    assert "73.0 ± 2.6" in project.text("summary.md")
    assert "| stcn | two_step | first | static | 73.0 ± 2.6 | 3 of 3 |" in project.text("summary.md")


def test_a_seed_that_has_not_run_is_not_hidden(project):
    project.score("stcn-two_step-static", "mini-val", 0.7, 0.7)
    project.write(["mini-val"], RUNS | named(run("stcn", "two_step", "static", 1)))
    row = project.rows(1)[ONE_SHOT]
    assert (row["seeds"], row["status"], row["mini-val_JF_std"]) == ("0", "partly run", "")
    assert "0 (1 not run)" in project.text("table1.md")


def test_seeds_scored_on_different_videos_are_refused(project):
    project.score("stcn-two_step-static", "mini-val", 0.7, 0.7, sequences=4)
    project.score("stcn-two_step-static-s1", "mini-val", 0.7, 0.7, sequences=3)
    with pytest.raises(UserError, match=r"mini-val.*different numbers"):
        project.write(["mini-val"], RUNS | named(run("stcn", "two_step", "static", 1)))


def test_the_ratio_compares_one_shot_with_full(project):
    runs = {}
    for seed, scores in enumerate([(0.8, 0.76), (0.9, 0.88)]):
        pair = named(run("stcn", "full", "static", seed), run("stcn", "two_step", "static", seed))
        for name, score in zip(pair, scores, strict=True):
            project.score(name, "mini-val", score, score)
        runs |= pair
    project.write(["mini-val"], runs)
    assert project.json("summary.json")["ratio"] == {"stcn": {"mini-val": round(0.82 / 0.85, 4)}}
    assert f"ratio {0.82 / 0.85:.3f} ± {stdev([0.76 / 0.8, 0.88 / 0.9]):.3f}" in project.text("summary.md")
    assert project.rows(1)[ONE_SHOT]["mini-val_of_full"] == f"{0.82 / 0.85:.4f}"


def test_the_strategy_of_table_1_is_a_parameter(project):
    runs = RUNS | named(run("stcn", "t_step", "static"))
    project.score("stcn-two_step-static", "mini-val", 0.6, 0.6)
    project.score("stcn-t_step-static", "mini-val", 0.5, 0.5)
    project.write(["mini-val"], runs)
    assert project.rows(1)[ONE_SHOT]["runs"] == "stcn-two_step-static"
    project.write(["mini-val"], runs, table1_strategy={"stcn": "t_step", "xmem": "two_step", "cutie": "two_step"})
    row = project.rows(1)[("1-shot STCN", "t_step", "static")]
    assert (row["runs"], row["mini-val_JF"]) == ("stcn-t_step-static", "50.00")
    assert ("1-shot XMem", "two_step", "static") in project.rows(1)


def test_labels_are_counted_not_quoted(project):
    project.label("every", 60, 60)
    for name in RUNS:
        project.score(name, "mini-val", 0.7, 0.7)
    project.write(["mini-val"])
    rows = project.rows(1)
    assert (rows[STCN]["labels_percent"], rows[ONE_SHOT]["labels_percent"]) == ("100.00", "5.00")
    assert rows[ONE_SHOT]["paper_labels_percent"] == "1.40"
    assert project.json("summary.json")["labels_percent"] == {"first": 5.0, "every": 100.0}


def test_a_network_that_the_paper_does_not_have_gets_rows_of_its_own(project):
    project.score("other-full-static", "davis16", 0.5, 0.5, sequences=20, objects=20)
    project.write(["davis16"], RUNS | named(run("other", "full", "static")))
    row = project.rows(1)[("other", "full", "static")]
    assert row["davis16_JF"] == "50.00"
    assert row["paper_davis16_JF"] == row["davis16_JF_minus_paper"] == ""
    assert project.rows(1)[("1-shot other", "two_step", "static")]["status"] == "not run"


def test_training_on_two_masks_per_video_has_rows_of_its_own(project):
    """Beside one-shot training in Tables 1, 3 and 4; the text speaks of one-shot training alone."""
    name = "stcn-two_step-static-two"
    two_shot = [
        Run(network="stcn", strategy="two_step", labels="two", init=init, seed=0) for init in ("static", "backbone")
    ]
    project.label("first", 10, 100)
    project.label("two", 20, 100, per_video=2)
    for run_name in (*RUNS, name):
        project.score(run_name, "davis17", 0.8 if run_name == name else 0.7, 0.7, sequences=30, objects=61)
    project.write(["davis17"], RUNS | named(*two_shot))
    row = project.rows(1)["2-shot stcn", "two_step-two", "static"]
    assert (row["davis17_JF"], row["labels_percent"], row["paper_davis17_JF"]) == ("75.00", "20.00", "")
    assert project.rows(1)[ONE_SHOT]["davis17_JF"] == "70.00"
    assert ("2-shot stcn", "two_step-two", "static") in project.rows(3)
    assert ("2-shot stcn", "two_step-two", "backbone") in project.rows(3)
    assert ("2-shot stcn", "two_step-two", "backbone") in project.rows(4)
    assert "- stcn, `davis17`: one-shot (two_step) J&F 70.0" in project.text("summary.md")
    assert "| two | train | 20 | 100 | 20.00 |" in project.text("summary.md")


# --- all runs and the summaries ---


def test_only_runs_of_the_list_are_read(project):
    project.score("stcn-full-static", "mini-val", 0.7, 0.7)
    project.score("stcn-t_step-static", "mini-val", 0.99, 0.99)  # left behind by a run that is no longer in the list
    project.write(["mini-val"])
    everything = "".join(path.read_text() for path in project.out.iterdir() if path.suffix != ".png")
    assert "stcn-t_step-static" not in everything
    assert "99.0" not in everything


def test_all_runs_and_the_baseline_are_listed(project):
    project.score("stcn-full-static", "mini-val", 0.8, 0.8)
    project.score("stcn-one_step-backbone", "mini-val", 0.4, 0.4)
    project.score("copy_first", "mini-val", 0.2, 0.3)
    project.write(["mini-val"])
    table = {row["run"]: row for row in project.csv("runs.csv")}
    assert list(table) == [*RUNS, "copy_first"]
    assert table["copy_first"]["mini-val_JF"] == "25.00"
    assert table["stcn-one_step-backbone"]["mini-val_of_full"] == "0.5000"
    assert (table["stcn-two_step-static"]["status"], table["stcn-two_step-static"]["mini-val_JF"]) == ("not run", "")
    summary = project.json("summary.json")
    assert summary["stcn-full-static"] == {"mini-val": {"JF": 80.0, "J": 80.0, "F": 80.0}}
    assert "stcn-two_step-static" not in summary
    assert "Repeating the first mask, `mini-val`: J&F 25.0" in project.text("summary.md")


def test_the_label_ratio_of_davis_comes_to_the_papers(project):
    project.label("first", 60, 4209)
    project.write(["mini-val"])
    assert "1.43 % of the training labels" in project.text("summary.md")


def test_hardware_wall_time_and_command_come_from_the_training_records(project):
    project.train(
        "pretrain-stcn", hardware="Processor A", seconds=3700.0, threads=2, precision="float32", iterations=400
    )
    project.train("stcn-full-static", hardware="Processor B", seconds=61.0, command="oneshot-vos train --run x")
    project.write(["mini-val"])
    text = project.text("summary.md")
    assert "| pretrain-stcn | Processor A | 1 x 2 | float32 | | 400 | 1 h 1 min |" in text
    assert "| stcn-full-static | Processor B | | | | | 1 min 1 s |" in text
    assert "oneshot-vos train --run x" in text
    row = project.csv("runs.csv")[0]
    assert (row["train_seconds"], row["train_iterations"], row["train_command"]) == (
        "61.00",
        "",
        "oneshot-vos train --run x",
    )


def test_equal_inputs_give_equal_bytes(project):
    project.score("stcn-full-static", "mini-val", 1 / 3, 2 / 3)
    project.write(["mini-val"])
    first = {path.name: path.read_bytes() for path in project.out.iterdir()}
    project.write(["mini-val"])
    assert {path.name: path.read_bytes() for path in project.out.iterdir()} == first
    tables = {
        f"{stem}.{suffix}" for stem in ("table1", "table2", "table3", "table4", "runs") for suffix in ("csv", "md")
    }
    courses = {"curves.csv", "curves.png", "takeoff.csv", "takeoff.png", "sequences.csv"}
    assert set(first) == tables | courses | {"summary.json", "summary.md"}


def test_every_sequence_has_a_row_and_every_scored_run_a_column(project):
    project.score("stcn-two_step-static", "mini-val", 0.5, 0.7, sequences=2)
    project.score("copy_first", "mini-val", 0.2, 0.4, sequences=2)
    project.score("stcn-two_step-static", "other", 0.8, 0.9, sequences=1)
    project.write(["mini-val", "other"])
    assert project.text("sequences.csv").splitlines() == [
        "set,sequence,stcn-two_step-static,copy_first",
        "mini-val,video0,60.00,30.00",
        "mini-val,video1,60.00,30.00",
        "other,video0,85.00,",
    ]


def test_without_scores_there_is_no_sequence(project):
    project.write(["mini-val"])
    assert project.text("sequences.csv") == "set,sequence\n"


def test_a_network_that_gets_no_mask_is_listed_but_enters_no_table_and_no_ratio(project):
    for name in ("cutie-full-static", "cutie-t_step-static"):
        project.score(name, "mini-val", 0.8, 0.8, objects=8)
    project.score("cutie-empty-backbone", "mini-val", 0.123, 0.123, objects=4)
    project.write(["mini-val"], matrix())
    for table in (1, 3, 4):
        text = project.text(f"table{table}.csv") + project.text(f"table{table}.md")
        assert "12.3" not in text
        assert "empty" not in text
    row = {row["run"]: row for row in project.csv("runs.csv")}["cutie-empty-backbone"]
    assert (row["mini-val_JF"], row["mini-val_of_full"], row["comparable"]) == ("12.30", "", "no")
    assert "Not comparable with the others: `cutie-empty-backbone`" in project.text("summary.md")
    assert project.json("summary.json")["ratio"] == {"cutie": {"mini-val": 1.0}}
    assert project.json("summary.json")["cutie-empty-backbone"]["mini-val"]["JF"] == 12.3


def test_the_summary_holds_every_table_and_leads_to_the_figures(project):
    for number, name in enumerate(matrix()):
        project.score(name, "mini-val", 0.5 + 0.02 * number, 0.5 + 0.02 * number)
    project.write(["mini-val"], matrix())
    text = project.text("summary.md")
    for part in ("## Table 1", "## Table 3", "## Table 4", "## Figures", "## All runs", "## Over training"):
        assert text.count(part) == 1
    assert text.index("ratio ") < text.index("## Table 1") < text.index("## Table 3") < text.index("## All runs")
    for number in (1, 3, 4):
        assert project.text(f"table{number}.md").split("\n\n", 1)[1].strip() in text
    for number in (4, 6, 7):
        assert f"(../figures/figure{number}.png)" in text


def test_a_network_without_a_ratio_is_named(project):
    project.score("stcn-full-static", "mini-val", 0.8, 0.8)
    project.write(["mini-val"])
    assert "stcn: no ratio yet, full or one-shot (two_step) after pretraining is not run" in project.text("summary.md")
    project.score("stcn-full-static", "mini-val", 0.0, 0.0)
    project.score("stcn-two_step-static", "mini-val", 0.1, 0.1)
    project.write(["mini-val"])
    assert "stcn: no ratio, full supervision scores 0." in project.text("summary.md")


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("content", "finding"),
    [("{", "not readable as JSON"), ('{"global": {"J-Mean": 0.5}}', "no scores of this program")],
)
def test_a_damaged_score_file_is_named(project, content, finding):
    path = project.root / "metrics" / "stcn-full-static" / "mini-val.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError, match=finding) as caught:
        project.write(["mini-val"])
    assert str(path) in str(caught.value)


def test_scores_that_are_no_fractions_are_refused(project):
    project.score("stcn-full-static", "mini-val", 55.0, 60.0)
    with pytest.raises(UserError, match=r"J&F-Mean is 57\.5; expected a fraction"):
        project.write(["mini-val"])


def test_one_kind_of_labels_is_enough(project):
    project.write(["mini-val"], labels="labels/first")
    assert project.json("summary.json")["labels_percent"] == {"first": 5.0}


def test_a_folder_without_label_counts_is_refused(project):
    with pytest.raises(UserError, match=r"elsewhere: no label_ratio\.json"):
        project.write(["mini-val"], labels="elsewhere")


def test_a_label_count_that_cannot_be_is_refused(project):
    project.label("first", 61, 60)
    with pytest.raises(UserError, match="61 labelled of 60"):
        project.write(["mini-val"])
