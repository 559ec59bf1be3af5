"""The course of trainings, scores and take-off: as tables and as pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.reporting.results_folder import matrix

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.plot import Line, draw_panels, ticks

BLUE = (0, 114, 178)  # of two_step


def pixels(project):
    return np.asarray(Image.open(project.out / "curves.png").convert("RGB"))


def test_every_point_of_every_curve_is_a_row(project):
    project.curve("stcn-full-static", [100, 200], [50.0, 60.5])
    project.curve("cutie-empty-backbone", [7], [12.3])
    project.write(["mini-val"], matrix())
    assert project.text("curves.csv").splitlines() == [
        "run,iteration,JF,J,F",
        "stcn-full-static,100,50.00,50.00,50.00",
        "stcn-full-static,200,60.50,60.50,60.50",
        "cutie-empty-backbone,7,12.30,12.30,12.30",
    ]
    text = project.text("summary.md")
    assert "on `mini-val` (4 videos)" in text
    missing = next(line for line in text.splitlines() if line.startswith("Without a curve:"))
    assert "`xmem-full-static`" in missing
    assert "`stcn-full-static`" not in missing


def test_without_any_curve_the_files_are_written_all_the_same(project):
    project.write(["mini-val"], matrix())
    assert project.text("curves.csv") == "run,iteration,JF,J,F\n"
    assert pixels(project).shape[2] == 3
    assert "curves.png" not in project.text("summary.md")


def test_a_curve_of_a_run_that_left_the_list_is_not_read(project):
    project.curve("stcn-old-static", [1], [99.0])
    project.write(["mini-val"], matrix())
    assert "stcn-old-static" not in project.text("curves.csv")


def test_a_line_has_the_colour_of_its_way_of_training_in_the_panel_of_its_network(project):
    project.write(["mini-val"], matrix())
    assert not np.any(np.all(pixels(project) == BLUE, axis=2))
    project.curve("xmem-two_step-static", [100, 900], [40.0, 60.0])
    project.write(["mini-val"], matrix())
    columns = np.flatnonzero(np.any(np.all(pixels(project) == BLUE, axis=2), axis=0))
    width = pixels(project).shape[1] / 3  # stcn, xmem, cutie
    assert columns.min() > width
    assert columns.max() < 2 * width


def test_equal_curves_give_equal_bytes(project):
    project.curve("xmem-two_step-backbone", [100, 200, 300], [10.0, 50.0, 55.0])
    project.write(["mini-val"], matrix())
    first = (project.out / "curves.png").read_bytes()
    project.write(["mini-val"], matrix())
    assert (project.out / "curves.png").read_bytes() == first
    project.curve("xmem-two_step-backbone", [100, 200, 300], [10.0, 50.0, 56.0])
    project.write(["mini-val"], matrix())
    assert (project.out / "curves.png").read_bytes() != first


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"JF": [50.0]}, "1 values of JF at 2 iterations"),
        ({"F": [50.0, 101.0]}, r"F is 101\.0; expected percent"),
        ({"J": [50.0, -1.0]}, r"J is -1\.0; expected percent"),
        ({"iterations": [200, 100]}, "in rising order"),
        ({"iterations": [], "JF": [], "J": [], "F": []}, "at least one"),
        ({"iterations": None}, "incomplete"),
        ({"videos": "many"}, "incomplete"),
    ],
)
def test_a_damaged_curve_is_named(project, change, finding):
    project.curve("stcn-full-static", [100, 200], [50.0, 60.0])
    path = project.root / "metrics/stcn-full-static/curve.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=finding) as caught:
        project.write(["mini-val"], matrix())
    assert str(path) in str(caught.value)


def test_higher_scores_lie_higher():
    def height(score):
        lines = [Line("", (0, 10), (score, score), (255, 0, 0)), Line("", (0, 10), (0.0, 100.0), (0, 0, 0))]
        image = draw_panels({"": lines}, "")
        red = np.all(np.asarray(image)[:300] == (255, 0, 0), axis=2)
        return np.flatnonzero(red.any(axis=1)).mean()

    assert height(80.0) < height(20.0)


def test_a_dashed_line_has_gaps():
    def coloured(dashed):
        line = Line("", (0, 100), (50.0, 50.0), (255, 0, 0), dashed)
        image = draw_panels({"": [line]}, "")
        return np.count_nonzero(np.all(np.asarray(image) == (255, 0, 0), axis=2))

    assert 0.3 < coloured(dashed=True) / coloured(dashed=False) < 0.7


@pytest.mark.parametrize(("low", "high"), [(0, 100), (45, 50), (0, 900), (0, 150000), (35, 80), (0, 7)])
def test_ticks_are_few_round_and_within(low, high):
    values = ticks(low, high)
    steps = np.diff(values)
    assert 2 <= len(values) <= 6
    assert low <= values[0]
    assert values[-1] <= high + 1e-9
    assert np.allclose(steps, steps[0])


OFF = ((600, 7.0, 8.0, 3.0), (1200, 60.0, 60.5, 8.0), (2400, 77.0, 78.0, 3.0))
BLIND = ((600, 30.0, 30.5, 30.0), (2400, 31.0, 31.0, 31.0))


def probed(project):
    project.probe("stcn-two_step-backbone", *OFF)
    project.probe("xmem-two_step-backbone", *BLIND)
    project.probe("stcn-full-static", *OFF)
    project.probe("cutie-empty-backbone", *OFF)
    project.probe("stcn-old-static", *OFF)
    project.write(["mini-val"], matrix())


def test_take_off_is_where_the_references_begin_to_matter(project):
    probed(project)
    assert project.line("summary.md", "| stcn-two_step-backbone | 1200").startswith(
        "| stcn-two_step-backbone | 1200 | 2400 | 77.0 | 78.0 | 3.0 |"
    )
    assert project.line("summary.md", "| xmem-two_step-backbone | none").startswith(
        "| xmem-two_step-backbone | none | 2400 |"
    )
    assert "| cutie-empty-backbone | 1200" not in project.text("summary.md")  # is shown no reference


def test_every_point_of_every_run_of_the_list_is_a_row(project):
    probed(project)
    rows = project.csv("takeoff.csv")
    assert len(rows) == 3 + 2 + 3 + 3
    assert rows[0] == {
        "run": "stcn-full-static",
        "iteration": "600",
        "predicted": "7.00",
        "true": "8.00",
        "empty": "3.00",
    }


def test_the_picture_shows_one_shot_training_from_scratch_alone(project):
    def picture():
        project.write(["mini-val"], matrix())
        return np.asarray(Image.open(project.out / "takeoff.png").convert("RGB"))

    nothing = picture()
    project.probe("stcn-full-static", *OFF)
    project.probe("stcn-two_step-static", *OFF)
    assert np.array_equal(picture(), nothing)
    project.probe("stcn-two_step-backbone", *OFF)
    assert not np.array_equal(picture(), nothing)


def test_without_any_probe_the_files_are_written_all_the_same(project):
    project.write(["mini-val"], matrix())
    assert project.text("takeoff.csv") == "run,iteration,predicted,true,empty\n"
    assert "Take-off" not in project.text("summary.md")


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((1200, 60.0, 60.0, 8.0), (600, 7.0, 8.0, 3.0)),
        ((600, 101.0, 8.0, 3.0),),
        ((600, "nan", 8.0, 3.0),),
        ((600, "much", 8.0, 3.0),),
        ((600, 7.0, 8.0),),
    ],
)
def test_a_damaged_table_is_named(project, points):
    project.probe("stcn-full-static", *points)
    with pytest.raises(UserError, match=r"stcn-full-static\.tsv: .*expected tab-separated columns"):
        project.write(["mini-val"], matrix())
