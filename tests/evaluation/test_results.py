"""Mean, recall and decay."""

import numpy as np
import pytest

from oneshot_vos.evaluation.results import quarter_edges, statistics


def test_quarters_of_eight_frames() -> None:
    assert quarter_edges(8) == [0, 2, 4, 5, 7]


def test_quarter_edges_round_half_up() -> None:
    for count in (*range(1, 400), 1000, 12_345):
        exact = np.round(np.linspace(1, count, 5) + 1e-10).astype(np.int64) - 1
        assert quarter_edges(count) == exact.tolist()


def test_recall_is_strict() -> None:
    assert statistics([0.5, 0.5, 0.6, 0.4]).recall == 0.25


def test_one_frame_has_no_decay() -> None:
    assert statistics([0.7]) == (0.7, 1.0, 0.0)


def test_decay_of_a_falling_curve() -> None:
    values = np.linspace(1, 0, 301)
    assert statistics(values.tolist()).decay == pytest.approx(0.75, abs=1e-12)
