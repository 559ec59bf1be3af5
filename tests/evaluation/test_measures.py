"""J and F against a plain reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.reference import boundary_map, reference_f, reference_j

from oneshot_vos.evaluation.measures import contour_accuracy, region_similarity, tolerance_radius


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, ground truth and void: noise, or rectangles that often touch the edges of the image."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 140))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    masks = []
    for _ in range(3):
        density = draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
        mask = rng.random((height, width)) < density if draw(st.booleans()) else np.zeros((height, width), bool)
        for _ in range(draw(st.integers(0, 3))):
            top, left = rng.integers(0, height), rng.integers(0, width)
            mask[top : top + rng.integers(0, height + 1), left : left + rng.integers(0, width + 1)] ^= True
        masks.append(mask)
    return masks[0], masks[1], masks[2]


@settings(max_examples=150, deadline=None)
@given(mask_pairs(), st.sampled_from([0, 1, 2, 3, 5, 8, 13, 40, 70]))
def test_equals_the_definition(masks: tuple[np.ndarray, np.ndarray, np.ndarray], radius: int) -> None:
    predicted, truth, void = masks
    assert region_similarity(predicted, truth) == reference_j(predicted, truth)
    assert contour_accuracy(predicted, truth, tolerance=radius) == reference_f(predicted, truth, radius)
    seen = ~void
    assert region_similarity(predicted, truth, void) == reference_j(predicted & seen, truth & seen)
    assert contour_accuracy(predicted, truth, void, radius) == reference_f(predicted & seen, truth & seen, radius)


def test_symmetric_and_perfect() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 60, 200)) < 0.3
    assert region_similarity(a, a) == contour_accuracy(a, a) == 1.0
    assert region_similarity(a, b) == region_similarity(b, a)
    assert contour_accuracy(a, b) == contour_accuracy(b, a)


@pytest.mark.parametrize(
    ("height", "width", "radius"),
    [(480, 854, 8), (480, 910, 9), (480, 1152, 10), (720, 1280, 12), (1080, 1920, 18), (240, 432, 4), (37, 53, 1)],
)
def test_radius_of_the_usual_sizes(height: int, width: int, radius: int) -> None:
    assert tolerance_radius(height, width) == radius


def test_radius_in_pixels() -> None:
    assert tolerance_radius(480, 854, 3) == 3
    with pytest.raises(ValueError, match="tolerance"):
        tolerance_radius(480, 854, -0.1)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        region_similarity(np.zeros((4, 5), bool), np.zeros((1, 5), bool))


@pytest.mark.golden
def test_functions_of_the_official_tool(find_cases) -> None:
    for cases in find_cases(lambda cases: "J_void" in cases, "functions"):
        arrays = cases.arrays
        for t, (predicted, truth, void) in enumerate(zip(arrays["pred"], arrays["gt"], arrays["void"], strict=True)):
            assert np.array_equal(boundary_map(truth), arrays["boundary_gt"][t] != 0), "the reference above is wrong"
            assert region_similarity(predicted, truth) == cases["J"][t]
            assert region_similarity(predicted, truth, void) == cases["J_void"][t]
            for threshold, expected in cases["F"].items():
                assert contour_accuracy(predicted, truth, tolerance=float(threshold)) == expected[t]
            for threshold, expected in cases["F_void"].items():
                assert contour_accuracy(predicted, truth, void, float(threshold)) == expected[t]
