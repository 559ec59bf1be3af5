"""Tables 3 and 4: ours beside the paper's, and the differences in numbers."""

import pytest
from tests.reporting.results_folder import matrix, named, run

from oneshot_vos.errors import UserError


def score_all(project, scores, name="mini-val", seed=0, **sizes):
    """`scores` maps run names without a seed to J&F in percent; returns the list of runs."""
    suffix = f"-s{seed}" if seed else ""
    for key, value in scores.items():
        project.score(key + suffix, name, value / 100, value / 100, **sizes)
    return matrix(seed)


def test_what_has_not_run_says_so(project):
    project.write(["mini-val", "davis17"], matrix())
    for number in (3, 4):
        rows = project.rows(number)
        assert len(rows) == 6
        assert {row["status"] for row in rows.values()} == {"not run"}
        ours = ("mini-val_JF", "davis17_JF", "davis17_JF_minus_paper", "davis17_of_full")
        assert {row[key] for row in rows.values() for key in ours} == {""}
        assert project.line(f"table{number}.md", "| 1-shot XMem |").count("not run") == 3
        assert "- xmem: not run." in project.text(f"table{number}.md")


def test_a_run_that_is_not_in_the_list_is_not_run_either(project):
    project.write(["mini-val"], {})
    assert len(project.rows(3)) == len(project.rows(4)) == 6
    assert "not run" in project.text("table4.md")


def test_ours_stands_beside_the_paper_with_a_difference_on_its_own_set(project):
    runs = score_all(project, {"xmem-two_step-backbone": 80.0}, "davis17", sequences=30, objects=61)
    project.write(["davis17"], runs)
    for number in (3, 4):
        row = project.rows(number)[("1-shot XMem", "two_step", "backbone")]
        assert (row["paper_davis17_JF"], row["davis17_JF"]) == ("82.70", "80.00")
        assert row["davis17_JF_minus_paper"] == "-2.70"
        assert "### DAVIS 2017 val (`davis17`)" in project.text(f"table{number}.md")
        line = project.line(f"table{number}.md", "| 1-shot XMem | two_step | none")
        assert line.endswith("| 82.7 | 79.4 | 86.1 | 80.0 | 80.0 | 80.0 | -2.7 | | 0 |")


@pytest.mark.parametrize("name", ["mini-val", "davis16", "davis17-mini"])
def test_on_other_videos_the_paper_stands_beside_ours_without_a_difference(project, name):
    runs = score_all(project, {"xmem-two_step-backbone": 80.0}, name)
    project.write([name], runs)
    row = project.rows(4)[("1-shot XMem", "two_step", "backbone")]
    assert not [key for key in row if "minus_paper" in key]
    assert "not comparable" in project.text("table4.md")
    assert "difference J&F" not in project.text("table4.md")
    line = project.line("table4.md", "| 1-shot XMem | two_step")
    assert line.endswith("| 82.7 | 79.4 | 86.1 | 80.0 | 80.0 | 80.0 | | 0 |")


def test_a_part_of_the_published_set_gets_no_difference(project):
    project.write(["davis17"], score_all(project, {"xmem-two_step-backbone": 80.0}, "davis17", sequences=4))
    assert project.rows(3)[("1-shot XMem", "two_step", "backbone")]["davis17_JF_minus_paper"] == ""
    assert (
        "Ours are over 4 sequences, 4 objects, a part of the set: the printed numbers are over all 30"
        in project.text("table3.md")
    )


def test_table_3_gives_scores_their_difference_and_the_papers(project):
    scores = {
        "stcn-two_step-static": 60.0,
        "stcn-two_step-backbone": 55.0,
        "xmem-two_step-static": 60.0,
        "xmem-two_step-backbone": 62.0,
        "cutie-two_step-static": 50.0,
    }
    project.write(["mini-val"], score_all(project, scores))
    lines = {network: project.line("table3.md", f"- {network}: ") for network in ("stcn", "xmem", "cutie")}
    assert lines == {
        "stcn": "- stcn: with pretraining 60.0, without pretraining 55.0; with minus without +5.0 (one seed);"
        " without / with 0.917. The paper: +3.7.",
        "xmem": "- xmem: with pretraining 60.0, without pretraining 62.0; with minus without -2.0 (one seed);"
        " without / with 1.033. The paper: -0.3.",
        "cutie": "- cutie: with pretraining 50.0, without pretraining not run. The paper: +0.4.",
    }
    assert project.json("summary.json")["table3"] == {
        "stcn": {"mini-val": {"static_minus_backbone": 5.0}},
        "xmem": {"mini-val": {"static_minus_backbone": -2.0}},
    }


def test_nothing_is_judged(project):
    scores = {"stcn-two_step-static": 60.0, "stcn-two_step-backbone": 55.0, "stcn-one_step-backbone": 50.0}
    project.write(["mini-val"], score_all(project, scores))
    words = ("agree", "as in the paper", "the paper's way", "best", "helps", "hurts")
    for name in ("table3.md", "table4.md", "summary.md"):
        assert not [word for word in words if word in project.text(name).lower()], name


def test_a_score_below_repeating_the_first_mask_is_called_so(project):
    project.score("copy_first", "mini-val", 0.311, 0.311)
    scores = {"xmem-two_step-backbone": 14.7, "xmem-t_step-backbone": 40.0}
    project.write(["mini-val"], score_all(project, scores))
    line = project.line("table4.md", "- xmem: ")
    assert "two_step 14.7 (below repeating the first mask, 31.1)" in line
    assert "t_step 40.0" in line
    assert line.count("below") == 1
    notes = {key[:2]: row["mini-val_note"] for key, row in project.rows(4).items()}
    assert notes["1-shot XMem", "two_step"] == "below repeating the first mask"
    assert notes["1-shot XMem", "t_step"] == notes["copy_first", ""] == ""
    assert "| copy_first (repeats the first mask) | | | | | | 31.1 | 31.1 | 31.1 |" in project.text("table4.md")
    below = {row["run"] for row in project.csv("runs.csv") if row["mini-val_note"]}
    assert below == {"xmem-two_step-backbone"}


def test_seeds_are_compared_in_pairs(project):
    runs = {}
    for seed, (static, backbone) in enumerate([(70.0, 60.0), (50.0, 41.0), (60.0, 52.0)]):
        runs |= score_all(project, {"stcn-two_step-static": static, "stcn-two_step-backbone": backbone}, seed=seed)
    project.write(["mini-val"], runs)
    line = project.line("table3.md", "- stcn: ")
    # The scores of the seeds lie 20 apart, their differences 2.
    assert "with pretraining 60.0 ± 10.0, " in line
    assert "; with minus without +9.0 ± 1.0 (3 seeds); without / with 0.850 ± 0.025." in line


def test_only_seeds_that_both_have_are_paired(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0, "stcn-two_step-backbone": 55.0})
    runs |= score_all(project, {"stcn-two_step-static": 90.0}, seed=1)
    project.write(["mini-val"], runs)
    assert "; with minus without +5.0 (one seed); without / with 0.917." in project.text("table3.md")
    assert "0 (1 not run)" in project.line("table3.md", "| 1-shot STCN | two_step | none")


def test_without_a_common_seed_the_means_are_compared_and_that_is_said(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0})
    runs |= score_all(project, {"stcn-two_step-backbone": 55.0}, seed=1)
    project.write(["mini-val"], runs)
    assert "; with minus without +5.0 (no seed in common); without / with 0.917." in project.text("table3.md")


def test_full_supervision_from_scratch_is_what_one_shot_training_from_scratch_is_measured_by(project):
    scores = {"stcn-two_step-backbone": 50.0, "stcn-one_step-backbone": 40.0, "stcn-full-static": 90.0}
    project.write(["mini-val"], score_all(project, scores))
    assert "full" not in project.line("table4.md", "- stcn: ")
    runs = score_all(project, {**scores, "stcn-full-backbone": 80.0}) | named(run("stcn", "full", "backbone"))
    project.write(["mini-val"], runs)
    line = project.line("table4.md", "- stcn: ")
    assert "; two_step / full, both without pretraining, 0.625; one_step / full, both without pretraining, 0.5" in line


def test_runs_scored_on_different_videos_are_not_compared(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0})
    score_all(project, {"stcn-two_step-backbone": 60.0}, sequences=3)
    with pytest.raises(UserError, match=r"stcn-two_step-static and stcn-two_step-backbone were scored on different"):
        project.write(["mini-val"], runs)


def test_table_4_sets_the_first_strategy_against_each_other_one(project):
    scores = {
        "stcn-two_step-backbone": 50.0,
        "stcn-one_step-backbone": 52.0,
        "xmem-two_step-backbone": 60.0,
        "xmem-t_step-backbone": 49.5,
        "cutie-t_step-backbone": 30.0,
    }
    project.write(["mini-val"], score_all(project, scores))
    assert "two_step minus one_step -2.0 (one seed)" in project.line("table4.md", "- stcn: ")
    assert "t_step minus two_step -10.5 (one seed)" in project.line("table4.md", "- xmem: ")
    assert project.line("table4.md", "- cutie: ").count("not run") == 1
    assert project.json("summary.json")["table4"] == {
        "stcn": {"mini-val": {"two_step_minus_one_step": -2.0}},
        "xmem": {"mini-val": {"two_step_minus_t_step": 10.5}},
    }


@pytest.mark.parametrize(("strategy", "word"), [("t_step", ""), ("two_step", "-long")])
def test_any_one_shot_strategy_enters_table_4_by_itself(project, strategy, word):
    runs = score_all(project, {"stcn-two_step-backbone": 50.0, "stcn-one_step-backbone": 45.0})
    name = f"stcn-{strategy}-backbone{word}"
    runs[name] = run("stcn", strategy, "backbone")
    project.score(name, "mini-val", 0.55, 0.55)
    project.write(["mini-val"], runs)
    row = project.rows(4)[("1-shot stcn", strategy + word, "backbone")]
    assert (row["mini-val_JF"], row["paper_davis17_JF"], row["runs"]) == ("55.00", "", name)
    assert f"{strategy}{word} 55.0" in project.line("table4.md", "- stcn: ")


def test_full_supervision_and_the_empty_mask_do_not_enter_table_4(project):
    runs = score_all(project, {"stcn-two_step-backbone": 50.0})
    for strategy in ("full", "empty"):
        runs |= named(run("stcn", strategy, "backbone"))
        project.score(f"stcn-{strategy}-backbone", "mini-val", 0.55, 0.55)
    project.write(["mini-val"], runs)
    assert not {row for row in project.rows(4) if row[1] in ("full", "empty")}


@pytest.mark.parametrize("strategy", ["two_step", "t_step"])
def test_a_network_that_the_paper_does_not_have_stands_by_itself(project, strategy):
    runs = named(run("other", strategy, "static"), run("other", strategy, "backbone"))
    for key, score in zip(runs, (0.6, 0.5), strict=True):
        project.score(key, "mini-val", score, score)
    project.write(["mini-val"], runs, table1_strategy={"other": strategy})
    line = project.line("table3.md", "- other: ")
    assert line.endswith(
        "with pretraining 60.0, without pretraining 50.0; with minus without +10.0 (one seed); without / with 0.833."
    )
    assert project.rows(1)[("1-shot other", strategy, "static")]["mini-val_JF"] == "60.00"
