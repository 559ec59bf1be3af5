"""Masks over frames, pixel by pixel, and panels in their places."""

import cv2
import numpy as np
import pytest

from oneshot_vos.reporting.canvas import Row, grid
from oneshot_vos.reporting.overlay import (
    COLOURS,
    contour,
    draw_mask,
    draw_masks,
    fit_height,
    fit_ids,
)

FRAME = np.full((9, 12, 3), 100, np.uint8)


def square(object_id=1):
    ids = np.zeros((9, 12), np.int32)
    ids[2:7, 3:8] = object_id
    return ids


def test_a_contour_is_the_outermost_pixels_of_each_object():
    expected = square()
    expected[3:6, 4:7] = 0
    assert np.array_equal(contour(square()), expected > 0)
    expected[3:6, 4:7] = 1
    expected[4, 5] = 0
    assert np.array_equal(contour(square(), 2), expected > 0)
    touching = square()
    touching[:, 8:] = 2
    assert contour(touching)[4, 7]
    assert contour(touching)[4, 8]
    assert not contour(touching)[4, 9]
    assert contour(touching)[4, 11]  # the edge of the picture


def test_objects_are_tinted_and_outlined_and_nothing_far_from_them_changes():
    drawn = draw_masks(FRAME, square())
    edge, inside = contour(square()), square() > 0
    assert np.all(drawn[edge] == COLOURS[0])
    beside = np.zeros_like(inside)
    beside[1:8, 2:9] = True
    assert np.all(drawn[~beside] == 100)
    assert np.all(drawn[beside & ~inside] == 35)  # a dark line outside, against bright frames
    tinted = drawn[inside & ~edge]
    assert np.all(tinted == tinted[0])
    assert tinted[0, 0] > 100 > tinted[0, 1]  # red: more of it, less of green
    assert np.all(FRAME == 100)


@pytest.mark.parametrize("object_id", [2, 255, 256, 300, 65_535])
def test_colours_go_by_the_order_of_objects_and_not_by_their_ids(object_id):
    assert np.array_equal(draw_masks(FRAME, square(object_id)), draw_masks(FRAME, square()))
    second = draw_masks(FRAME, square(object_id), [1, object_id], label=False)
    assert np.all(second[contour(square())] == COLOURS[1])


def test_an_object_keeps_its_colour_while_others_are_out_of_sight():
    both = square()
    both[:, 9:] = 7
    alone = np.where(both == 7, 7, 0)
    drawn = [draw_masks(FRAME, ids, [1, 7], label=False) for ids in (both, alone)]
    assert np.array_equal(drawn[0][:, 10:], drawn[1][:, 10:])


def test_more_objects_than_colours_begin_again():
    objects = list(range(1, len(COLOURS) + 2))
    drawn = draw_masks(FRAME, square(objects[-1]), objects, label=False)
    assert np.all(drawn[contour(square())] == COLOURS[0])


def test_colours_are_vivid_and_differ():
    lab = cv2.cvtColor(np.array([COLOURS], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 999 * np.eye(len(lab))
    assert apart.min() > 25  # of CIE 1976; 2 can just be told apart
    assert apart[:6, :6].min() > 50
    assert np.hypot(lab[:8, 1], lab[:8, 2]).min() > 40  # grey has 0


def test_ids_are_written_where_there_are_several():
    frame = np.full((120, 160, 3), 100, np.uint8)
    ids = np.zeros((120, 160), np.int32)
    ids[40:60, 30:60] = 3
    assert np.array_equal(draw_masks(frame, ids), draw_masks(frame, ids, label=False))
    assert not np.array_equal(draw_masks(frame, ids), draw_masks(frame, ids, label=True))
    ids[70:90, 100:130] = 12
    changed = np.any(draw_masks(frame, ids) != draw_masks(frame, ids, label=False), axis=2)
    assert changed[30:50, 30:50].any()
    assert changed[60:80, 100:125].any()
    changed[30:50, 30:50] = changed[60:80, 100:125] = False
    assert not changed.any()
    ids[:] = 0
    ids[100:, 155:], ids[:4, :4] = 1, 2
    assert draw_masks(frame, ids).shape == frame.shape  # plates stay inside


def test_no_objects_leave_the_frame_and_wrong_ids_are_refused():
    assert np.array_equal(draw_masks(FRAME, 0 * square()), FRAME)
    assert np.array_equal(draw_masks(FRAME, 0 * square(), [1, 2]), FRAME)
    with pytest.raises(ValueError, match="not among"):
        draw_masks(FRAME, square(3), [1, 2])
    with pytest.raises(ValueError, match="ids of"):
        draw_masks(FRAME, square()[1:])


def test_all_objects_can_be_one():
    ids = square()
    ids[2:7, 8:10] = 7
    drawn = draw_mask(FRAME, ids, (1, 2, 3))
    assert np.all(drawn[contour((ids > 0).astype(np.int32))] == (1, 2, 3))
    assert not np.all(drawn[4, 7] == (1, 2, 3))  # no border between the two


def test_scaling_keeps_the_shape_and_invents_no_ids():
    ids = square(9)
    for height in (3, 9, 45):
        frame = fit_height(FRAME, height)
        assert frame.shape == (height, round(12 * height / 9), 3)
        assert fit_ids(ids, height).shape == frame.shape[:2]
        assert set(np.unique(fit_ids(ids, height))) == {0, 9}


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
