"""Masks over frames, pixel by pixel, and panels in their places."""

import numpy as np
import pytest

from oneshot_vos.reporting.canvas import Row, grid
from oneshot_vos.reporting.overlay import contour, fit_height, fit_ids, intersection_over_union, overlay, overlay_one
from oneshot_vos.videos.masks import DAVIS_PALETTE

FRAME = np.full((9, 12, 3), 100, np.uint8)


def square(object_id=1):
    ids = np.zeros((9, 12), np.int32)
    ids[2:7, 3:8] = object_id
    return ids


def test_a_contour_is_the_outermost_pixels_of_each_object():
    expected = square()
    expected[3:6, 4:7] = 0
    assert np.array_equal(contour(square()), expected > 0)
    touching = square()
    touching[:, 8:] = 2
    assert contour(touching)[4, 7]
    assert contour(touching)[4, 8]
    assert not contour(touching)[4, 9]
    assert contour(touching)[4, 11]  # the edge of the picture


def test_objects_are_tinted_and_outlined_and_nothing_else_changes():
    drawn = overlay(FRAME, square(2))
    edge, inside = contour(square(2)), square(2) > 0
    assert np.all(drawn[edge] == DAVIS_PALETTE[2])
    assert np.all(drawn[~inside] == 100)
    tinted = drawn[inside & ~edge]
    assert np.all(tinted == tinted[0])
    assert tinted[0, 1] > 100 > tinted[0, 0]  # object 2 is green: more of it, less of red
    assert np.all(FRAME == 100)


@pytest.mark.parametrize("object_id", [255, 256, 300, 65_535])
def test_every_id_has_a_colour(object_id):
    drawn = overlay(FRAME, square(object_id))
    assert np.all(drawn[contour(square(object_id))] == DAVIS_PALETTE[(object_id - 1) % 255 + 1])


def test_all_objects_can_be_one():
    ids = square()
    ids[2:7, 8:10] = 7
    drawn = overlay_one(FRAME, ids, (1, 2, 3))
    assert np.all(drawn[contour((ids > 0).astype(np.int32))] == (1, 2, 3))
    assert not np.all(drawn[4, 7] == (1, 2, 3))  # no border between the two


def test_scaling_keeps_the_shape_and_invents_no_ids():
    ids = square(9)
    for height in (3, 9, 45):
        frame = fit_height(FRAME, height)
        assert frame.shape == (height, round(12 * height / 9), 3)
        assert fit_ids(ids, height).shape == frame.shape[:2]
        assert set(np.unique(fit_ids(ids, height))) == {0, 9}


def test_overlap_of_masks():
    other = np.roll(square(), 1, axis=1)
    assert intersection_over_union(square(), square(5)) == 1.0
    assert intersection_over_union(square(), other) == pytest.approx(20 / 30)
    assert intersection_over_union(square(), 0 * square()) == 0.0
    assert intersection_over_union(0 * square(), 0 * square()) == 1.0


def test_panels_keep_their_order_and_size():
    red, green = (np.full((40, width, 3), 0, np.uint8) for width in (50, 60))
    red[..., 0], green[..., 1] = 255, 255
    pixels = np.asarray(grid("title", [Row(("one",), (red, green)), Row(("two",), ("not run", red))], height=40))
    assert np.count_nonzero(np.all(pixels == (255, 0, 0), axis=2)) == 2 * 40 * 50
    assert np.count_nonzero(np.all(pixels == (0, 255, 0), axis=2)) == 40 * 60
    first_row = pixels[np.any(np.all(pixels == (0, 255, 0), axis=2), axis=1)]
    is_red, is_green = (np.flatnonzero(np.all(first_row[0] == colour, axis=1)) for colour in [(255, 0, 0), (0, 255, 0)])
    assert is_red.max() < is_green.min()


def test_a_panel_of_another_height_is_refused():
    with pytest.raises(ValueError, match="39 rows; expected 40"):
        grid("", [Row((), (np.zeros((39, 10, 3), np.uint8),))], height=40)


def test_nothing_to_show_is_a_picture_too():
    assert grid("only a title", [], height=40).size[0] > 40
