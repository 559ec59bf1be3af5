"""Frame sampling: the paper's rule, the official rule, and the curriculum."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneshot_vos.clips.sampling import AnchoredSampler, Curriculum, FullSampler, NearbySampler, OneShotSampler

STCN_VALUES, STCN_AT = (5, 10, 15, 20, 25, 5), (0.0, 0.1, 0.2, 0.3, 0.4, 0.8)


@settings(deadline=None)
@given(
    frames=st.integers(1, 60),
    length=st.integers(2, 9),
    max_skip=st.integers(1, 30),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_one_shot_clip_starts_at_the_label_and_runs_one_way(frames, length, max_skip, seed, data):
    label = data.draw(st.integers(0, frames - 1))
    clip = OneShotSampler().sample(frames, [label], length, max_skip, np.random.default_rng(seed))
    gaps = [after - before for before, after in pairwise(clip)]
    assert len(clip) == length
    assert clip[0] == label
    assert all(0 <= frame < frames for frame in clip)
    assert all(abs(gap) <= max_skip for gap in gaps)
    assert all(gap >= 0 for gap in gaps) or all(gap <= 0 for gap in gaps)
    if max(label, frames - 1 - label) >= length - 1:
        assert 0 not in gaps, "frames repeat although the video is long enough"


def test_one_shot_from_the_first_frame_reaches_every_gap():
    rng = np.random.default_rng(0)
    clips = [OneShotSampler().sample(50, [0], 3, 5, rng) for _ in range(500)]
    assert {b - a for a, b, _ in clips} == {1, 2, 3, 4, 5}
    assert {c - b for _, b, c in clips} == {1, 2, 3, 4, 5}


def test_one_shot_clips_start_at_each_of_several_labels():
    rng = np.random.default_rng(0)
    assert {OneShotSampler().sample(20, [4, 9, 15], 3, 4, rng)[0] for _ in range(50)} == {4, 9, 15}


def test_a_second_label_draws_and_a_single_one_does_not():
    """What a training with one label per video draws stays what it was."""
    one, two = np.random.default_rng(0), np.random.default_rng(0)
    assert OneShotSampler().sample(20, [0], 3, 4, one) == [0, *np.cumsum(two.integers(1, 5, 2)).tolist()]


def test_one_shot_goes_both_ways_from_the_middle():
    rng = np.random.default_rng(0)
    signs = Counter(
        np.sign(clip[1] - 25) for clip in (OneShotSampler().sample(51, [25], 3, 5, rng) for _ in range(400))
    )
    assert 140 < signs[1] < 260
    assert signs[1] + signs[-1] == 400


def test_one_shot_repeats_the_only_frame():
    assert OneShotSampler().sample(1, [0], 3, 5, np.random.default_rng(0)) == [0, 0, 0]


def _official_triples(frames: int, max_jump: int) -> set[tuple[int, ...]]:
    """Every triple the official rule can give, by walking through all its draws."""
    jump = min(frames, max_jump)
    triples = set()
    for start in range(frames - jump + 1):
        for first in range(jump + 1):
            for second in range(jump + 1):
                middle = min(start + first + 1, frames - jump, frames - 1)
                last = min(middle + second + 1, frames - jump // 2, frames - 1)
                triples |= {(start, middle, last), (last, middle, start)}
    return {tuple(min(place, frames - 1) for place in triple) for triple in triples}


@pytest.mark.parametrize(("frames", "max_jump"), [(3, 5), (5, 5), (7, 5), (9, 2), (12, 4), (2, 1)])
def test_full_supervision_gives_exactly_the_official_triples(frames, max_jump):
    rng = np.random.default_rng(1)
    found = {tuple(FullSampler().sample(frames, range(frames), 3, max_jump, rng)) for _ in range(6000)}
    assert found == _official_triples(frames, max_jump)


@settings(deadline=None)
@given(count=st.integers(2, 40), length=st.integers(2, 9), max_skip=st.integers(1, 30), seed=st.integers(0, 1000))
def test_full_supervision_stays_among_labelled_frames(count, length, max_skip, seed):
    labelled = [3 * i + 1 for i in range(count)]
    clip = FullSampler().sample(3 * count + 5, labelled, length, max_skip, np.random.default_rng(seed))
    assert len(clip) == length
    assert set(clip) <= set(labelled)
    assert clip == sorted(clip) or clip == sorted(clip, reverse=True)


@settings(deadline=None)
@given(count=st.integers(2, 40), length=st.integers(2, 9), max_skip=st.integers(1, 30), seed=st.integers(0, 1000))
def test_nearby_clips_hold_different_frames_not_far_from_each_other(count, length, max_skip, seed):
    labelled = [3 * i + 1 for i in range(count)]
    clip = NearbySampler().sample(3 * count + 5, labelled, length, max_skip, np.random.default_rng(seed))
    assert len(clip) == length
    assert clip == sorted(clip) or clip == sorted(clip, reverse=True)
    different = sorted(set(clip))
    assert len(different) == min(length, count)
    assert set(different) <= set(labelled)
    assert all(b - a <= 3 * max_skip for a, b in pairwise(different))


def test_nearby_clips_can_be_any_that_the_rule_allows():
    rng = np.random.default_rng(0)
    found = {tuple(NearbySampler().sample(4, range(4), 3, 1, rng)) for _ in range(300)}
    assert found == {(0, 1, 2), (1, 2, 3), (2, 1, 0), (3, 2, 1)}


def test_full_supervision_leaves_out_videos_with_one_mask():
    assert FullSampler().usable(30, [0]) is not None
    assert "1 of its 30" in str(FullSampler().usable(30, [0]))
    assert FullSampler().usable(30, [0, 9]) is None
    assert OneShotSampler().usable(30, [0]) is None
    assert OneShotSampler().usable(30, []) is not None


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [(0, 5), (99, 5), (100, 10), (250, 15), (300, 20), (400, 25), (799, 25), (800, 5), (999, 5)],
)
def test_curriculum_follows_the_iterations(iteration, expected):
    curriculum = Curriculum(STCN_VALUES, STCN_AT, iterations=1000, batch_size=4)
    assert curriculum(iteration * 4) == curriculum(iteration * 4 + 3) == expected


def test_a_clip_of_pseudo_labels_starts_at_the_drawn_mask_and_stays_with_labelled_frames():
    labelled, sampler = [1, 4, 5, 8, 9, 13, 20], AnchoredSampler()
    clips = [sampler.sample(30, labelled, 3, 2, np.random.default_rng(seed), 8) for seed in range(200)]
    assert {clip[0] for clip in clips} == {8}
    assert {frame for clip in clips for frame in clip} == set(labelled)
    assert all(clip == sorted(clip) or clip == sorted(clip, reverse=True) for clip in clips)
    assert sampler.usable(30, labelled) is None
    assert "no pseudo label" in sampler.usable(30, [8])
