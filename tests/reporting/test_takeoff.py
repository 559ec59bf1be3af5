"""Take-off of trainings, as a table and as a picture."""

import numpy as np
import pytest
from PIL import Image
from tests.reporting.results_folder import matrix

from oneshot_vos.errors import UserError

OFF = ((600, 7.0, 8.0, 3.0), (1200, 60.0, 60.5, 8.0), (2400, 77.0, 78.0, 3.0))
BLIND = ((600, 30.0, 30.5, 30.0), (2400, 31.0, 31.0, 31.0))


def write(project):
    project.probe("stcn-two_step-backbone", *OFF)
    project.probe("xmem-two_step-backbone", *BLIND)
    project.probe("stcn-full-static", *OFF)
    project.probe("cutie-empty-backbone", *OFF)
    project.probe("stcn-old-static", *OFF)
    project.write(["mini-val"], matrix())


def test_take_off_is_where_the_references_begin_to_matter(project):
    write(project)
    assert project.line("summary.md", "| stcn-two_step-backbone | 1200").startswith(
        "| stcn-two_step-backbone | 1200 | 2400 | 77.0 | 78.0 | 3.0 |"
    )
    assert project.line("summary.md", "| xmem-two_step-backbone | none").startswith(
        "| xmem-two_step-backbone | none | 2400 |"
    )
    assert "| cutie-empty-backbone | 1200" not in project.text("summary.md")  # is shown no reference


def test_every_point_of_every_run_of_the_list_is_a_row(project):
    write(project)
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
