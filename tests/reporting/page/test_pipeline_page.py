"""The page of a profile, written from tiny results and used in a browser."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.browser import NewPage
from tests.reporting.page.looking import every_picture_loads, foreign_addresses, open_page, sideways
from tests.reporting.page.profile_results import FRAMES, RUNS, SEEDS, SET, Profile

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.page.scenes import SEQUENCES


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two networks, everything of them run."""
    profile = Profile(tmp_path_factory.mktemp("profile"))
    profile.fill(RUNS)
    return profile.page(RUNS)


def data_of(index: Path) -> dict[str, Any]:
    text = (index.parent / "data.js").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text.removeprefix("window.report = ").rstrip(";\n"))
    return content


def lines_of(chart: dict[str, Any]) -> dict[str, list[float]]:
    return {trace["name"]: trace["y"] for trace in chart["data"]}


def test_one_chart_has_all_runs_of_a_network(index: Path) -> None:
    charts = data_of(index)["charts"]
    kinds = ("loss", "scores", "takeoff", f"sequences-{SET}")
    assert set(charts) == {f"{kind}-{network}" for kind in kinds for network in ("stcn", "xmem")}
    assert lines_of(charts["loss-stcn"]) == {
        "full, pretrained": [1.0, 0.5, 0.4, 0.3],
        "two_step, pretrained": [1.0, 0.5, 0.4, 0.3],
        "two_step, from scratch": [1.0, 0.5, 0.4, 0.3],
    }
    scores = lines_of(charts["scores-stcn"])
    assert scores["full, pretrained"] == [50.0, 60.0]
    assert scores["first mask repeated"] == [30.0, 30.0]
    bars = lines_of(charts[f"sequences-{SET}-stcn"])
    assert bars["full, pretrained"] == [50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0]
    assert bars["first mask repeated"] == [30.0] * 8


def test_the_tables_stand_beside_those_of_the_paper(index: Path) -> None:
    html = " ".join(index.read_text(encoding="utf-8").split())
    assert "<h2>Table 1: ours and the paper's</h2>" in html
    assert "DAVIS 2017 val J&amp;F" in html
    assert f"{len(RUNS)} of {len(RUNS)} runs are scored on every set of the profile" in html
    assert "oneshot-vos train stcn-full-static" in html
    assert "2 cores" in html


def test_the_worst_and_the_best_sequences_are_shown(index: Path) -> None:
    films = data_of(index)["films"]
    assert len(films) == SEQUENCES
    film = films["scene-00"]
    assert film["titles"] == [
        *("truth", "STCN, full: J&F 50.0", "STCN, one-shot: J&F 50.1"),
        *("XMem, full: J&F 50.3", "XMem, one-shot: J&F 50.6"),
    ]
    assert film["groups"] == [[0], [1, 2], [3, 4]]
    assert film["notes"][1] == ["", "J 50.0 here", "J 50.0 here", "J 50.0 here", ""]
    assert len(list((index.parent / "scenes").iterdir())) == SEQUENCES * 5 * FRAMES
    assert index.read_text(encoding="utf-8").count("among the worst") == SEQUENCES // 2


def test_seeds_are_one_line_in_a_band(tmp_path: Path) -> None:
    profile = Profile(tmp_path)
    profile.fill(SEEDS)
    charts = data_of(profile.page(SEEDS))["charts"]
    lines = lines_of(charts["scores-stcn"])
    assert lines["two_step, pretrained, 3 seeds"] == [51.0, 61.0]
    assert lines["two_step, pretrained, 3 seeds, spread"] == [52.0, 62.0, 60.0, 50.0]
    assert "full, pretrained" in lines


def test_tables_for_dvc_have_a_row_per_run_and_iteration(index: Path) -> None:
    with (index.parent / "plots/scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {"network": "stcn", "run": "stcn-full-static", "iteration": "20", "JF": "50"}
    repeated = [row for row in rows if row["run"] == "first mask repeated"]
    assert [(row["network"], row["iteration"], row["JF"]) for row in repeated] == [
        *(("stcn", "20", "30"), ("stcn", "40", "30")),
        *(("xmem", "20", "30"), ("xmem", "40", "30")),
    ]
    for name, columns in (("loss", 4), ("takeoff", 5)):
        with (index.parent / f"plots/{name}.csv").open(newline="") as stream:
            assert len(next(csv.reader(stream))) == columns


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (360, False)])
def test_it_opens_from_disk_and_its_sliders_move(index: Path, width: int, dark: bool, new_page: NewPage) -> None:
    assert foreign_addresses(index.parent) == []
    with new_page(width=width, dark=dark, touch=width < 500) as page:
        open_page(page, index)
        assert every_picture_loads(page) == SEQUENCES * 5
        assert sideways(page) == 0
        assert page.locator(".chart[data-drawn] svg.main-svg").count() >= 8
        film = page.locator('[data-film="scene-00"]')
        slider = film.locator("input")
        assert film.locator("output").text_content() == "00002"
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert film.locator("output").text_content() == "00003"
        sources = [image.get_attribute("src") for image in film.locator("img").all()]
        assert sources == [f"scenes/scene-00-{name}-03.jpg" for name in ("truth", 0, 1, 2, 3)]
        assert film.locator("[data-notes]").nth(1).text_content() == "J 50.0 here"
        page.keyboard.press("End")
        assert film.locator("[data-notes]").nth(1).text_content() == ""
        slider.click(position={"x": 2, "y": 10})
        assert film.locator("output").text_content() == "00000"
        assert every_picture_loads(page) == SEQUENCES * 5


def test_what_has_not_been_run_is_left_out(tmp_path: Path, new_page: NewPage) -> None:
    index = Profile(tmp_path).page(RUNS)
    html = " ".join(index.read_text(encoding="utf-8").split())
    assert data_of(index) == {"charts": {}, "films": {}}
    for line in (
        "Nothing has been trained yet",
        "No run of STCN has been scored yet",
        "There are no masks to show yet",
    ):
        assert line in html
    for line in ("Nothing has been probed yet", "No training has left a record yet"):
        assert line in html
    with new_page() as page:
        open_page(page, index)


def test_equal_results_give_equal_bytes(tmp_path: Path, index: Path) -> None:
    profile = Profile(tmp_path)
    profile.fill(RUNS)
    again = profile.page(RUNS).parent
    files = [file.relative_to(again) for file in sorted(again.rglob("*")) if file.is_file()]
    assert [file for file in files if (again / file).read_bytes() != (index.parent / file).read_bytes()] == []


def test_a_damaged_curve_is_named(tmp_path: Path) -> None:
    profile = Profile(tmp_path)
    profile.fill(RUNS)
    (tmp_path / "curves/stcn-full-static/plots/metrics/train/loss.tsv").write_text("step\n1\n")
    with pytest.raises(UserError, match=r"loss.tsv: .*loss.*Run the train stage again"):
        profile.page(RUNS)


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    profile = Profile(tmp_path)
    profile.fill(RUNS)
    profile.ids = lambda t: Profile.ids(t)[:16]  # type: ignore[method-assign]
    profile.segment("stcn-full-static")
    with pytest.raises(UserError, match=r"48x16 pixels; expected the frame's 48x32. Run `infer` again"):
        profile.page(RUNS)
