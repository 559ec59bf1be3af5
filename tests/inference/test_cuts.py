"""Scene cuts: found where they are certain, and nowhere else."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from oneshot_vos.inference.cuts import WINDOW, with_cuts

SIZE = (90, 160)
FORWARDS, BACKWARDS = slice(None), slice(None, None, -1)


def cuts(frames: Sequence[np.ndarray]) -> list[int]:
    return [t for t, (_, begins) in enumerate(with_cuts(frames)) if begins]


def scene(seed: int, length: int, *, speed: int = 2) -> list[np.ndarray]:
    """A camera that moves over a picture of blotches, by `speed` pixels per frame, in the colours of one scene."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (12, 40, 3)) * random.uniform(0.2, 1, 3)
    picture = cv2.resize(small.astype(np.uint8), (SIZE[1] + speed * length, SIZE[0]), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(picture[:, speed * t : speed * t + SIZE[1]]) for t in range(length)]


def test_a_cut_is_found_at_its_frame() -> None:
    frames = [*scene(1, 12), *scene(2, 9), *scene(3, 7)]
    assert cuts(frames) == [12, 21]
    assert cuts(frames[::-1]) == [7, 16]
    assert [frame is given for (frame, _), given in zip(with_cuts(frames), frames, strict=True)] == [True] * 28


def test_fast_motion_is_no_cut() -> None:
    for speed in (10, 40, 80):  # up to half the picture per frame
        frames = scene(1, 20, speed=speed)
        assert cuts(frames) == []
    standing, whipped = scene(1, 1)[0], scene(1, 12, speed=60)
    assert cuts([standing] * 10 + whipped) == []


def test_a_flash_and_a_slow_fade_are_no_cuts() -> None:
    frames = scene(1, 20)
    flash = [*frames[:9], np.full_like(frames[0], 250), *frames[10:]]
    assert cuts(flash) == []
    other = scene(2, 20)
    fade = [cv2.addWeighted(frames[t], 1 - t / 19, other[t], t / 19, 0) for t in range(20)]
    assert cuts(fade) == []


def test_frames_before_give_the_answers_of_one_walk() -> None:
    frames = [*scene(1, 15), *scene(2, 15)]
    whole = list(with_cuts(frames))
    for start in (1, 5, 14, 15, 16, 22):
        part = with_cuts(frames[start:], frames[max(0, start - WINDOW) : start])
        assert [begins for _, begins in part] == [begins for _, begins in whole[start:]]


def test_plain_frames_and_short_videos_have_no_cut() -> None:
    assert cuts([]) == []
    assert cuts(scene(1, 2) + scene(2, 1)) == []
    assert cuts([np.zeros((*SIZE, 3), np.uint8)] * 9) == []


@pytest.mark.parametrize("every", [1, 2])
def test_real_videos_have_cuts_where_they_were_joined_and_no_others(data_root: Path, every: int) -> None:
    folders = sorted(folder for folder in (data_root / "davis16/JPEGImages").rglob("*") if any(folder.glob("*.jpg")))
    if not folders:
        pytest.skip("no real videos there")
    videos = []
    for folder in folders:
        files = sorted(folder.glob("*.jpg"))[::every]
        videos.append([cv2.imread(str(file), cv2.IMREAD_REDUCED_COLOR_8)[..., ::-1] for file in files])
        for way in (FORWARDS, BACKWARDS):
            assert cuts(videos[-1][way]) == [], folder.name
    found = [cuts([*one[-12:], *other[:6]]) for one, other in pairwise(videos)]
    assert all(each in ([], [12]) for each in found)
    assert found.count([12]) >= 0.6 * len(found)
