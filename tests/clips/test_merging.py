"""Pasting the objects of one clip into another."""

import numpy as np

from oneshot_vos.clips.merging import Cut, paste

SIZE = 24


def _cut(value: float, squares: list[dict[int, tuple[int, int]]], name: str) -> Cut:
    """Frames of one value; per frame, ids and the corners of their 8 × 8 squares."""
    ids = []
    for frame in squares:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        for each, (top, left) in frame.items():
            mask[top : top + 8, left : left + 8] = each
        ids.append(mask)
    return Cut(np.full((len(squares), 3, SIZE, SIZE), value, np.float32), ids, name)


def test_objects_of_the_second_clip_lie_over_the_first_with_soft_edges():
    below = _cut(0.0, [{1: (0, 0)}, {1: (0, 0)}], "below")
    above = _cut(1.0, [{1: (4, 4)}, {1: (12, 12), 7: (0, 0)}], "above")
    paste(below, above)
    assert below.objects == [1, 2], "the same id is another object; id 7 is not in the second clip's first frame"
    assert [np.unique(ids).tolist() for ids in below.ids] == [[0, 1, 2], [0, 1, 2]]
    assert (below.ids[0][4:12, 4:12] == 2).all()
    assert (below.ids[1][:8, :8] == 1).all()
    inside = below.images[0, :, 6:10, 6:10]
    np.testing.assert_allclose(inside, 1.0, atol=1e-6)  # two pixels and more from the edge
    edge = below.images[0, 0, 8, 2:6]
    assert (np.diff(edge) > 0).all(), "over four pixels"
    assert edge[0] > 0
    assert below.images[0, 0, 8, :2].max() == 0
    assert below.name == "below+above"


def test_ids_beyond_eight_bits_do_not_wrap():
    below, above = _cut(0.0, [{255: (0, 0)}], "below"), _cut(1.0, [{3: (12, 12), 4: (12, 0)}], "above")
    paste(below, above)
    assert below.objects == [255, 256, 257]


def test_frames_without_ids_stay():
    below, above = _cut(0.0, [{1: (0, 0)}] * 2, "below"), _cut(1.0, [{1: (12, 12)}] * 2, "above")
    above.ids[1] = None
    paste(below, above)
    assert below.images[1].max() == 0
    assert np.unique(below.ids[1]).tolist() == [0, 1]
