"""The way back from the last frame of a clip to the labelled one."""

import pytest
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.supervision.backward import OneStep, TStep, TwoStep


def draws(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_t_step_reverses_the_whole_clip() -> None:
    assert TStep()(4, draws(0)) == [4, 3, 2, 1, 0]


def test_one_step_goes_straight_back() -> None:
    assert OneStep()(7, draws(0)) == [7, 0]


def test_two_step_stops_once_strictly_in_between() -> None:
    paths = [TwoStep()(7, draws(seed)) for seed in range(200)]
    assert {path[1] for path in paths} == {1, 2, 3, 4, 5, 6}
    assert all(path[0] == 7 and path[2] == 0 and len(path) == 3 for path in paths)


def test_two_step_of_three_frames_has_one_choice() -> None:
    assert TwoStep()(2, draws(0)) == [2, 1, 0]


def test_two_step_follows_its_generator() -> None:
    assert TwoStep()(30, draws(5)) == TwoStep()(30, draws(5))


def test_two_step_refuses_clips_without_a_frame_in_between() -> None:
    with pytest.raises(UserError, match="at least 3 frames, not 2"):
        TwoStep()(1, draws(0))
