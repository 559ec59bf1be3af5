"""Tables 3 and 4: ours beside the paper's, and what is said of them."""

import pytest
from tests.reporting.results_folder import matrix

from oneshot_vos.errors import UserError

PAPER_GAIN = {"stcn": 3.7, "xmem": -0.3, "cutie": 0.4}


def score_all(project, scores, name="mini-val", seed=0, **sizes):
    """`scores` maps run names without a seed to J&F in percent; returns the entries of the list of runs."""
    suffix = f"-s{seed}" if seed else ""
    for run, value in scores.items():
        project.score(run + suffix, name, value / 100, value / 100, **sizes)
    return {run + suffix: entry | {"seed": seed} for run, entry in matrix().items()}


def finding(project, number, network, name="mini-val"):
    networks = project.json(f"table{number}.json")["findings"][name]["networks"]
    return next(entry for entry in networks if entry["network"] == network)


def line_of(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_what_has_not_run_says_so_and_nothing_is_concluded(project):
    project.write(["mini-val", "davis17"], matrix())
    for number in (3, 4):
        rows = project.ablation(number)
        assert len(rows) == 6
        assert {row["status"] for row in rows.values()} == {"not run"}
        assert {
            row[key] for row in rows.values() for key in ("mini-val_JF", "davis17_JF", "davis17_JF_minus_paper")
        } == {""}
        text = project.text(f"table{number}.md")
        assert line_of(text, "| 1-shot XMem |").count("not run") == 3
        assert "- xmem: not run." in text
        assert text.count("No network can be compared with the paper yet") == 2
        assert {finding(project, number, network)["verdict"] for network in PAPER_GAIN} == {"not run"}


def test_a_run_that_is_not_in_the_list_is_not_run_either(project):
    project.write(["mini-val"], {})
    assert len(project.ablation(3)) == len(project.ablation(4)) == 6
    assert "not run" in project.text("table4.md")


def test_ours_stands_beside_the_paper_with_a_difference_on_its_own_set(project):
    runs = score_all(project, {"xmem-two_step-backbone": 80.0}, "davis17", sequences=30, objects=61)
    project.write(["davis17"], runs)
    for number in (3, 4):
        row = project.ablation(number)[("1-shot XMem", "two_step", "backbone")]
        assert (row["paper_davis17_JF"], row["davis17_JF"]) == ("82.70", "80.00")
        assert row["davis17_JF_minus_paper"] == "-2.70"
        text = project.text(f"table{number}.md")
        assert "### DAVIS 2017 val (`davis17`)" in text
        assert line_of(text, "| 1-shot XMem | two_step | none").endswith(
            "| 82.7 | 79.4 | 86.1 | 80.0 | 80.0 | 80.0 | -2.7 | 0 |"
        )


@pytest.mark.parametrize("name", ["mini-val", "davis16", "davis17-mini"])
def test_on_other_videos_the_paper_stands_beside_ours_without_a_difference(project, name):
    runs = score_all(project, {"xmem-two_step-backbone": 80.0}, name)
    project.write([name], runs)
    row = project.ablation(4)[("1-shot XMem", "two_step", "backbone")]
    assert not [key for key in row if "minus_paper" in key]
    text = project.text("table4.md")
    assert "not comparable" in text
    assert "difference J&F" not in text
    assert line_of(text, "| 1-shot XMem | two_step").endswith("| 82.7 | 79.4 | 86.1 | 80.0 | 80.0 | 80.0 | 0 |")


def test_a_part_of_the_published_set_gets_no_difference(project):
    runs = score_all(project, {"xmem-two_step-backbone": 80.0}, "davis17", sequences=4)
    project.write(["davis17"], runs)
    assert project.ablation(3)[("1-shot XMem", "two_step", "backbone")]["davis17_JF_minus_paper"] == ""
    assert "4 of the set's 30 sequences" in project.text("table3.md")


def test_pretraining_helps_or_hurts_as_the_scores_say(project):
    scores = {
        "stcn-two_step-static": 60.0,
        "stcn-two_step-backbone": 55.0,  # helps, as in the paper
        "xmem-two_step-static": 62.0,
        "xmem-two_step-backbone": 60.0,  # helps, against the paper
        "cutie-two_step-static": 50.0,
    }
    project.write(["mini-val"], score_all(project, scores))
    text = project.text("table3.md")
    assert (
        "stcn: 60.0 with pretraining, 55.0 without: pretraining helps by 5.0 (one seed). The paper: +3.7. As in" in text
    )
    assert (
        "xmem: 62.0 with pretraining, 60.0 without: pretraining helps by 2.0 (one seed). The paper: -0.3. Not as"
        in text
    )
    assert "cutie: 50.0 with pretraining, not run without. No statement." in text
    assert "goes the paper's way for 1 of 2 networks compared (stcn); disagrees: xmem; not run: cutie." in text
    assert {network: finding(project, 3, network)["paper"] for network in PAPER_GAIN} == PAPER_GAIN
    assert project.json("summary.json")["table3"] == {
        "stcn": {"mini-val": {"static_minus_backbone": 5.0}},
        "xmem": {"mini-val": {"static_minus_backbone": 2.0}},
    }


def test_the_statements_turn_with_the_scores(project):
    runs = score_all(project, {"stcn-two_step-static": 55.0, "stcn-two_step-backbone": 60.0})
    project.write(["mini-val"], runs)
    assert "pretraining hurts by 5.0" in project.text("table3.md")
    assert finding(project, 3, "stcn")["verdict"] == "disagrees"
    score_all(project, {"stcn-two_step-static": 60.0})
    project.write(["mini-val"], runs)
    assert "pretraining makes no difference" in project.text("table3.md")
    assert finding(project, 3, "stcn")["verdict"] == "undecided"


def test_seeds_are_compared_in_pairs(project):
    runs = {}
    for seed, (static, backbone) in enumerate([(70.0, 60.0), (50.0, 41.0), (60.0, 52.0)]):
        runs |= score_all(project, {"stcn-two_step-static": static, "stcn-two_step-backbone": backbone}, seed=seed)
    project.write(["mini-val"], runs)
    text = project.text("table3.md")
    # The scores of the seeds lie 20 apart, their differences 2: pairing is what makes the gain clear.
    assert "60.0 ± 10.0 with pretraining" in text
    assert "helps by 9.0 ± 1.0 (paired over 3 seeds, 3 of them this way)" in text
    entry = finding(project, 3, "stcn")
    assert entry["verdict"] == "agrees"
    assert entry["pretrained_minus_scratch"] == {"mean": 9.0, "std": 1.0, "by_seed": [10.0, 9.0, 8.0]}


def test_a_difference_below_its_spread_over_seeds_decides_nothing(project):
    runs = {}
    for seed, (static, backbone) in enumerate([(64.0, 60.0), (58.0, 60.0)]):
        runs |= score_all(project, {"stcn-two_step-static": static, "stcn-two_step-backbone": backbone}, seed=seed)
    project.write(["mini-val"], runs)
    assert finding(project, 3, "stcn")["verdict"] == "undecided"
    assert "paired over 2 seeds, 1 of them this way" in project.text("table3.md")
    assert "0 of 1 networks compared; undecided: stcn" in project.text("summary.md")


def test_only_seeds_that_both_have_are_paired(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0, "stcn-two_step-backbone": 55.0})
    runs |= score_all(project, {"stcn-two_step-static": 90.0}, seed=1)
    project.write(["mini-val"], runs)
    assert finding(project, 3, "stcn")["pretrained_minus_scratch"] == {"mean": 5.0, "std": None, "by_seed": [5.0]}
    assert "0 (1 not run)" in line_of(project.text("table3.md"), "| 1-shot STCN | two_step | none")


def test_without_a_common_seed_the_means_are_compared_and_that_is_said(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0}) | score_all(
        project, {"stcn-two_step-backbone": 55.0}, seed=1
    )
    project.write(["mini-val"], runs)
    assert "helps by 5.0 (no seed in common)" in project.text("table3.md")


def test_runs_scored_on_different_videos_are_not_compared(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0})
    score_all(project, {"stcn-two_step-backbone": 60.0}, sequences=3)
    with pytest.raises(UserError, match=r"stcn-two_step-static and stcn-two_step-backbone were scored on different"):
        project.write(["mini-val"], runs)


def test_the_best_number_of_steps_follows_from_the_scores(project):
    scores = {
        "stcn-two_step-backbone": 50.0,
        "stcn-one_step-backbone": 52.0,  # against the paper
        "xmem-two_step-backbone": 60.0,
        "xmem-t_step-backbone": 49.5,  # as in the paper
        "cutie-t_step-backbone": 30.0,
    }
    project.write(["mini-val"], score_all(project, scores))
    text = project.text("table4.md")
    assert "stcn: one_step is best (52.0), ahead of two_step by 2.0 (one seed). The paper: two_step. Not as" in text
    assert "xmem: two_step is best (60.0), ahead of t_step by 10.5 (one seed). The paper: two_step. As in" in text
    assert "cutie: t_step 30.0 (two_step: not run). No statement." in text
    assert "1 of 2 networks compared (xmem); disagrees: stcn; not run: cutie." in text
    assert project.json("summary.json")["table4"] == {
        "stcn": {"mini-val": {"two_step_minus_one_step": -2.0}},
        "xmem": {"mini-val": {"two_step_minus_t_step": 10.5}},
    }


def test_a_backward_pass_that_the_paper_lacks_is_listed_but_not_compared_with_it(project):
    extra = {"network": "stcn", "strategy": "t_step", "labels": "first", "init": "backbone", "seed": 0}
    runs = score_all(project, {"stcn-two_step-backbone": 50.0, "stcn-one_step-backbone": 45.0})
    runs["stcn-t_step-backbone"] = extra
    project.score("stcn-t_step-backbone", "mini-val", 0.55, 0.55)
    project.write(["mini-val"], runs)
    row = project.ablation(4)[("1-shot stcn", "t_step", "backbone")]
    assert (row["mini-val_JF"], row["paper_davis17_JF"]) == ("55.00", "")
    entry = finding(project, 4, "stcn")
    assert (entry["best"], entry["paper_best"], entry["verdict"]) == ("t_step", "two_step", "agrees")


def test_a_network_that_the_paper_does_not_have_is_judged_by_itself(project):
    entry = {"network": "other", "strategy": "two_step", "labels": "first", "init": "static", "seed": 0}
    runs = {"other-two_step-static": entry, "other-two_step-backbone": entry | {"init": "backbone"}}
    for run, score in zip(runs, (0.6, 0.5), strict=True):
        project.score(run, "mini-val", score, score)
    project.write(["mini-val"], runs)
    assert finding(project, 3, "other")["verdict"] == "not in the paper"
    assert "other: 60.0 with pretraining, 50.0 without: pretraining helps by 10.0" in project.text("table3.md")


def test_each_set_is_judged_by_its_own_scores(project):
    runs = score_all(project, {"stcn-two_step-static": 60.0, "stcn-two_step-backbone": 50.0}, "one")
    score_all(project, {"stcn-two_step-static": 50.0, "stcn-two_step-backbone": 60.0}, "two")
    project.write(["one", "two"], runs)
    assert finding(project, 3, "stcn", "one")["verdict"] == "agrees"
    assert finding(project, 3, "stcn", "two")["verdict"] == "disagrees"
