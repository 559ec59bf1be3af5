"""The way back from the last frame of a clip to the labelled one."""

import pytest
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.supervision.backward import OneStep, TStep, TwoStep
from oneshot_vos.supervision.one_shot import OneShot
from oneshot_vos.supervision.rollout import RolloutOptions


def path(strategy: type[OneShot], last: int, generator: torch.Generator) -> list[int]:
    return strategy(torch.nn.Identity(), torch.nn.Identity(), RolloutOptions()).path_back(last, generator)  # type: ignore[arg-type]


def draws(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_t_step_reverses_the_whole_clip() -> None:
    assert path(TStep, 4, draws(0)) == [4, 3, 2, 1, 0]


def test_one_step_goes_straight_back() -> None:
    assert path(OneStep, 7, draws(0)) == [7, 0]


def test_two_step_stops_once_strictly_in_between() -> None:
    paths = [path(TwoStep, 7, draws(seed)) for seed in range(200)]
    assert {way[1] for way in paths} == {1, 2, 3, 4, 5, 6}
    assert all(way[0] == 7 and way[2] == 0 and len(way) == 3 for way in paths)


def test_two_step_of_three_frames_has_one_choice() -> None:
    assert path(TwoStep, 2, draws(0)) == [2, 1, 0]


def test_two_step_follows_its_generator() -> None:
    assert path(TwoStep, 30, draws(5)) == path(TwoStep, 30, draws(5))


def test_two_step_refuses_clips_without_a_frame_in_between() -> None:
    with pytest.raises(UserError, match="at least 3 frames, not 2"):
        path(TwoStep, 1, draws(0))
