import csv
from importlib.resources import files

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.published import PUBLISHED_SETS, TABLES, published_set, published_table


@pytest.mark.parametrize("number", TABLES)
def test_every_number_of_the_file_is_read(number):
    text = files("oneshot_vos.reporting").joinpath("paper_tables", f"table{number}.csv").read_text(encoding="utf-8")
    lines = list(csv.reader(text.splitlines()))
    score_columns = [index for index, name in enumerate(lines[0]) if "." in name]
    printed = sum(bool(line[index]) for line in lines[1:] for index in score_columns)
    rows = published_table(number)
    assert len(rows) == len(lines) - 1
    assert sum(len(scores) for row in rows for scores in row.scores.values()) == printed


def test_table_1_holds_the_printed_rows_in_order():
    rows = published_table(1)
    assert [row.method for row in rows[:7]] == ["OSMN", "FEELVOS", "RGMP", "Track-Seg", "STM", "CFBI", "RDE-VOS"]
    assert all(row.network is None for row in rows[:7])
    one_shot = {row.network: row.scores["davis17"] for row in rows if row.supervision == "one_shot"}
    assert one_shot == {
        "stcn": {"JF": 81.7, "J": 78.6, "F": 84.8},
        "xmem": {"JF": 82.6, "J": 79.8, "F": 85.4},
        "cutie": {"JF": 84.1, "J": 80.8, "F": 87.3},
    }
    assert {row.labels_percent for row in rows if row.supervision == "one_shot"} == {1.4}


def test_the_mean_of_j_and_f_is_that_of_the_columns_up_to_rounding():
    off = [
        (number, row.method, name)
        for number in (1, 3, 4)
        for row in published_table(number)
        for name, scores in row.scores.items()
        if abs(scores["JF"] - (scores["J"] + scores["F"]) / 2) > 0.1001  # each number is rounded to 0.1
    ]
    assert off == [(1, name, "davis17") for name in ("FEELVOS", "STM", "CFBI")]  # as printed; see published.py


def test_table_2_keeps_the_suspicious_columns_as_printed_and_says_so():
    for row in published_table(2):
        if row.supervision != "one_shot":
            assert not row.note
            continue
        scores = row.scores["youtube18"]
        assert scores["J_seen"] > scores["F_seen"]
        assert scores["F_unseen"] < scores["J_unseen"] or row.network == "stcn"
        assert "swapped" in row.note


def test_table_2_leaves_out_what_the_paper_leaves_out():
    rows = {row.method: row for row in published_table(2)}
    assert "youtube19" not in rows["STM"].scores
    assert set(rows["RGMP"].scores["youtube18"]) == {"G", "J_seen", "J_unseen"}


def test_tables_3_and_4_tell_initialisation_and_backward_pass():
    three = {(row.network, row.init): row.scores["davis17"]["JF"] for row in published_table(3)}
    assert three[("stcn", "static")] == 81.7
    assert three[("stcn", "backbone")] == 78.0
    four = {(row.network, row.strategy): row.scores["davis17"]["JF"] for row in published_table(4)}
    assert four[("stcn", "one_step")] == 77.5
    assert ("stcn", "t_step") not in four


def test_unknown_table_is_refused():
    with pytest.raises(UserError, match="no table 5"):
        published_table(5)


def test_only_whole_validation_sets_have_a_counterpart_in_the_paper():
    for published in PUBLISHED_SETS:
        assert published_set(published.name) is published
        assert published_set(f"{published.name}-val") is published
    assert published_set("mini-val") is None
    assert published_set("davis17-mini") is None
