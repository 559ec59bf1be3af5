from statistics import stdev

import pytest
from tests.reporting.results_folder import FULL, ONE_SHOT, RUNS, matrix

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.published import published_table
from oneshot_vos.reporting.tables import write_tables


def score_columns(row, name):
    return [row[f"{name}_{measure}"] for measure in ("JF", "J", "F")]


def test_what_has_not_run_says_so_and_never_shows_a_number_of_the_paper(project):
    project.write(["davis16", "davis17"])
    rows = project.table1()
    for method, row in rows.items():
        ours = score_columns(row, "davis16") + score_columns(row, "davis17") + [row["davis17_JF_minus_paper"]]
        assert ours == [""] * 7, method
        assert row["labels_percent"] == ""
        cited = method in ("OSMN", "FEELVOS", "RGMP", "Track-Seg", "STM", "CFBI", "RDE-VOS")
        assert row["status"] == ("published only" if cited else "not run")
    assert all(entry["ours"] is None for entry in project.json("table1.json")["rows"])
    assert project.json("summary.json") == {"ratio": {}, "table3": {}, "table4": {}, "labels_percent": {"first": 5.0}}
    for line in project.text("table1.md").splitlines():
        if line.startswith("| STCN | full |"):
            assert line.count("not run") == 3


def test_our_columns_hold_what_was_measured_and_nothing_else(project):
    project.score("stcn-full-static", "davis17", 0.5, 0.6, sequences=30, objects=61)
    project.write(["davis17"])
    rows = project.table1()
    assert score_columns(rows["STCN"], "davis17") == ["55.00", "50.00", "60.00"]
    assert rows["STCN"]["paper_davis17_JF"] == "85.40"
    assert rows["STCN"]["davis17_JF_minus_paper"] == "-30.40"
    for method, row in rows.items():
        if method != "STCN":
            assert score_columns(row, "davis17") == [""] * 3
    assert rows["1-shot STCN"]["status"] == "not run"
    printed = {
        f"{value:.2f}" for row in published_table(1) for scores in row.scores.values() for value in scores.values()
    }
    ours = [row[key] for row in rows.values() for key in row if key.startswith("davis")]
    assert not printed & set(ours)


def test_a_part_of_a_published_set_gets_no_difference(project):
    project.score("stcn-full-static", "davis16", 0.5, 0.6, sequences=15, objects=15)
    project.write(["davis16"])
    assert project.table1()["STCN"]["davis16_JF_minus_paper"] == ""
    assert "15 of the set's 20 sequences" in project.text("table1.md")


@pytest.mark.parametrize("name", ["davis16", "davis16-val"])
def test_the_papers_numbers_stand_beside_ours_under_either_name_of_the_set(project, name):
    project.score("stcn-full-static", name, 0.908, 0.925, sequences=20, objects=20)
    project.write([name])
    assert float(project.table1()["STCN"][f"{name}_JF_minus_paper"]) == pytest.approx(0.05, abs=0.011)
    assert "### DAVIS 2016 val" in project.text("table1.md")


def test_columns_follow_the_evaluated_sets(project):
    project.score("stcn-full-static", "mini-val", 0.7, 0.8)
    project.write(["mini-val"])
    row = project.table1()["STCN"]
    assert score_columns(row, "mini-val") == ["75.00", "70.00", "80.00"]
    assert not [key for key in row if key.startswith("davis") or "minus_paper" in key]
    text = project.text("table1.md")
    ours, printed = text.split("### Printed in the paper")
    assert "75.0" in ours
    assert "85.4" not in ours
    assert "85.4" in printed
    assert "75.0 |" not in printed


def test_seeds_give_mean_and_sample_deviation(project):
    scores = [0.70, 0.74, 0.75]
    runs = dict(RUNS)
    for seed, score in enumerate(scores):
        name = "stcn-two_step-static" + (f"-s{seed}" if seed else "")
        runs[name] = ONE_SHOT | {"seed": seed}
        project.score(name, "mini-val", score, score)
    project.write(["mini-val"], runs)
    row = project.table1()["1-shot STCN"]
    assert float(row["mini-val_JF"]) == pytest.approx(73.0)
    assert float(row["mini-val_JF_std"]) == pytest.approx(100 * stdev(scores), abs=0.006)
    assert row["seeds"] == "0 1 2"
    assert row["status"] == "run"
    assert "73.0 ± 2.6" in project.text("summary.md")


def test_a_seed_that_has_not_run_is_not_hidden(project):
    runs = RUNS | {"stcn-two_step-static-s1": ONE_SHOT | {"seed": 1}}
    project.score("stcn-two_step-static", "mini-val", 0.7, 0.7)
    project.write(["mini-val"], runs)
    row = project.table1()["1-shot STCN"]
    assert (row["seeds"], row["status"], row["mini-val_JF_std"]) == ("0", "partly run", "")
    assert "0 (1 not run)" in project.text("table1.md")


def test_seeds_scored_on_different_videos_are_refused(project):
    runs = RUNS | {"stcn-two_step-static-s1": ONE_SHOT | {"seed": 1}}
    project.score("stcn-two_step-static", "mini-val", 0.7, 0.7, sequences=4)
    project.score("stcn-two_step-static-s1", "mini-val", 0.7, 0.7, sequences=3)
    with pytest.raises(UserError, match=r"mini-val.*different numbers"):
        project.write(["mini-val"], runs)


def test_the_ratio_compares_one_shot_with_full(project):
    runs = dict(RUNS)
    for seed, (full, one_shot) in enumerate([(0.8, 0.76), (0.9, 0.88)]):
        suffix = f"-s{seed}" if seed else ""
        runs[f"stcn-full-static{suffix}"] = FULL | {"seed": seed}
        runs[f"stcn-two_step-static{suffix}"] = ONE_SHOT | {"seed": seed}
        project.score(f"stcn-full-static{suffix}", "mini-val", full, full)
        project.score(f"stcn-two_step-static{suffix}", "mini-val", one_shot, one_shot)
    project.write(["mini-val"], runs)
    assert project.json("summary.json")["ratio"] == {"stcn": {"mini-val": round(0.82 / 0.85, 4)}}
    spread = stdev([0.76 / 0.8, 0.88 / 0.9])
    assert f"ratio {0.82 / 0.85:.3f} ± {spread:.3f}" in project.text("summary.md")


def test_the_backward_pass_of_table_1_is_a_parameter(project):
    runs = RUNS | {"stcn-t_step-static": ONE_SHOT | {"strategy": "t_step"}}
    project.score("stcn-two_step-static", "mini-val", 0.6, 0.6)
    project.score("stcn-t_step-static", "mini-val", 0.5, 0.5)
    project.write(["mini-val"], runs)
    assert project.table1()["1-shot STCN"]["runs"] == "stcn-two_step-static"
    assert project.table1()["1-shot XMem"]["supervision"] == "t_step"
    project.write(["mini-val"], runs, table1_strategy={"stcn": "t_step"})
    row = project.table1()["1-shot STCN"]
    assert (row["runs"], row["mini-val_JF"], row["supervision"]) == ("stcn-t_step-static", "50.00", "t_step")
    assert project.table1()["1-shot XMem"]["supervision"] == "t_step"


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
    runs = {entry["name"]: entry for entry in project.json("runs.json")["runs"]}
    assert list(runs) == [*RUNS, "copy_first"]
    assert runs["copy_first"]["scores"]["mini-val"]["JF"] == 25.0
    assert runs["stcn-two_step-static"]["status"] == "not run"
    table = {row["run"]: row for row in project.csv("runs.csv")}
    assert table["stcn-one_step-backbone"]["mini-val_of_full"] == "0.5000"
    assert table["stcn-two_step-static"]["mini-val_JF"] == ""
    summary = project.json("summary.json")
    assert summary["stcn-full-static"] == {"mini-val": {"JF": 80.0, "J": 80.0, "F": 80.0}}
    assert "stcn-two_step-static" not in summary


def test_labels_are_counted_not_quoted(project):
    project.label("every", 60, 60)
    for run in RUNS:
        project.score(run, "mini-val", 0.7, 0.7)
    project.write(["mini-val"])
    rows = project.table1()
    assert (rows["STCN"]["labels_percent"], rows["1-shot STCN"]["labels_percent"]) == ("100.00", "5.00")
    assert rows["1-shot STCN"]["paper_labels_percent"] == "1.40"
    assert project.json("summary.json")["labels_percent"] == {"first": 5.0, "every": 100.0}


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
    assert "| pretrain-stcn | Processor A | 1 x 2 | float32 |" in text
    assert "1 h 1 min" in text
    assert "1 min 1 s" in text
    assert "oneshot-vos train --run x" in text


def test_equal_inputs_give_equal_bytes(project):
    project.score("stcn-full-static", "mini-val", 1 / 3, 2 / 3)
    project.write(["mini-val"])
    first = {path.name: path.read_bytes() for path in project.out.iterdir()}
    project.write(["mini-val"])
    assert {path.name: path.read_bytes() for path in project.out.iterdir()} == first


def test_a_network_that_the_paper_does_not_have_gets_rows_of_its_own(project):
    runs = RUNS | {"other-full-static": FULL | {"network": "other"}}
    project.score("other-full-static", "davis16", 0.5, 0.5, sequences=20, objects=20)
    project.write(["davis16"], runs)
    rows = project.table1()
    assert rows["other"]["davis16_JF"] == "50.00"
    assert rows["other"]["paper_davis16_JF"] == rows["other"]["davis16_JF_minus_paper"] == ""
    assert rows["1-shot other"]["status"] == "not run"


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
    folders = [project.root / part for part in ("metrics", "labels/first", "curves")]
    write_tables(RUNS, *folders, ["mini-val"], "test", project.out)
    assert project.json("summary.json")["labels_percent"] == {"first": 5.0}


def test_a_folder_without_label_counts_is_refused(project):
    folders = [project.root / part for part in ("metrics", "elsewhere", "curves")]
    with pytest.raises(UserError, match=r"elsewhere: no label_ratio\.json"):
        write_tables(RUNS, *folders, ["mini-val"], "test", project.out)


def test_a_label_count_that_cannot_be_is_refused(project):
    project.label("first", 61, 60)
    with pytest.raises(UserError, match="61 labelled of 60"):
        project.write(["mini-val"])


def test_an_incomplete_run_is_refused(project):
    with pytest.raises(UserError, match="run 'x': strategy, labels, init, seed missing"):
        project.write(["mini-val"], {"x": {"network": "stcn"}})


def test_a_network_that_gets_no_mask_is_listed_but_enters_no_table_and_no_ratio(project):
    runs = matrix()
    for run in ("cutie-full-static", "cutie-t_step-static"):
        project.score(run, "mini-val", 0.8, 0.8, objects=8)
    project.score("cutie-empty-backbone", "mini-val", 0.123, 0.123, objects=4)
    project.write(["mini-val"], runs)
    for table in (1, 3, 4):
        for suffix in ("csv", "md", "json"):
            text = project.text(f"table{table}.{suffix}")
            assert "12.3" not in text
            assert "empty" not in text
    row = {row["run"]: row for row in project.csv("runs.csv")}["cutie-empty-backbone"]
    assert (row["mini-val_JF"], row["mini-val_of_full"], row["comparable"]) == ("12.30", "", "no")
    assert "Not comparable with the others: `cutie-empty-backbone`" in project.text("summary.md")
    assert project.json("summary.json")["ratio"] == {"cutie": {"mini-val": 1.0}}
    assert project.json("summary.json")["cutie-empty-backbone"]["mini-val"]["JF"] == 12.3


def test_the_summary_holds_every_table_and_leads_to_the_figures(project):
    runs = matrix()
    for number, run in enumerate(runs):
        project.score(run, "mini-val", 0.5 + 0.02 * number, 0.5 + 0.02 * number)
    project.write(["mini-val"], runs, figures="elsewhere/drawn")
    text = project.text("summary.md")
    for part in ("## Table 1", "## Table 3", "## Table 4", "## Figures", "## All runs", "## Over training"):
        assert text.count(part) == 1
    assert text.index("ratio ") < text.index("## Table 1") < text.index("## Table 3") < text.index("## All runs")
    for number in (3, 4):
        body = project.text(f"table{number}.md").split("\n\n", 1)[1].strip()
        assert body in text
    for number in (4, 6, 7):
        assert f"(elsewhere/drawn/figure{number}.png)" in text


def test_a_network_without_a_ratio_is_named(project):
    project.score("stcn-full-static", "mini-val", 0.8, 0.8)
    project.write(["mini-val"])
    assert "stcn: no ratio yet, full or one-shot (two_step) after pretraining is not run" in project.text("summary.md")
