"""Confidence of masks: what second looks tell of masks that are right, wrong from some frame on, or absent."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.stages.clips import ids as disc_ids

from oneshot_vos.inference.confidence import WHOLE, Row, doubts_of, measure_confidence, plan_looks
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.videos.masks import object_ids, read_mask, write_mask

FRAMES = 40
Masks = Mapping[int, np.ndarray]


class Video:
    """Masks on disk, and a network that follows each object from where it is given as the true masks go."""

    def __init__(self, folder: Path, masks: Masks, given: Mapping[int, tuple[int, ...]], truth: Masks) -> None:
        self.masks, self.truth, self.folder = masks, truth, folder
        for t, mask in masks.items():
            write_mask(self.path(t), mask)
        self.given = GivenMasks({t: self.path(t) for t in given}, given)
        self.walks: list[tuple[range, dict[int, tuple[int, ...]]]] = []

    def path(self, t: int) -> Path:
        return self.folder / f"{t:05}.png"

    def walk(self, starts: GivenMasks, order: range) -> Iterator[Segmented]:
        """Each object goes on as the true object does that it covers where it is given."""
        self.walks.append((order, dict(starts.objects)))
        follows: dict[int, int] = {}
        for t in order:
            for number in starts.objects.get(t, ()):
                covered = np.bincount(self.truth[t][read_mask(starts.files[t]) == number])
                follows[number] = int(covered.argmax())
            found = np.zeros_like(self.truth[t])
            for number, true in follows.items():
                found[(self.truth[t] == true) & (true > 0)] = number
            yield Segmented(t, found, None)

    def rows(self, entropy: float = 0.0) -> dict[tuple[int, int], Row]:
        shown = np.array([[number in object_ids(mask) for number in self.given.ids] for mask in self.masks.values()])
        doubts = np.where(shown[..., None], [entropy, 1 - entropy], np.nan)
        rows = measure_confidence(len(self.masks), self.given, self.path, self.walk, doubts)
        assert [row.frame for row in rows] == sorted(row.frame for row in rows)
        assert all(0 <= row.confidence <= 1 for row in rows)
        return {(row.frame, row.object): row for row in rows}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Video]:
    def video(masks: Masks, given: Mapping[int, tuple[int, ...]], truth: Masks | None = None) -> Video:
        return Video(tmp_path, masks, given, masks if truth is None else truth)

    return video


def discs(frames: int = FRAMES, objects: int = 1) -> dict[int, np.ndarray]:
    return {t: disc_ids(t, objects) for t in range(frames)}


@pytest.mark.parametrize("given", [(0,), (20,), (39,), (0, 39), (13, 14, 30)])
def test_masks_that_are_right_are_sure_wherever_the_given_ones_are(make: Callable, given: tuple[int, ...]) -> None:
    video = make(discs(), dict.fromkeys(given, (1,)))
    rows = video.rows()
    assert list(rows) == [(t, number) for t in range(FRAMES) for number in (WHOLE, 1)]
    assert all(row.confidence == pytest.approx(1) for row in rows.values())
    assert all(row.agreement in (None, 1.0) for row in rows.values())


def test_no_look_is_shown_the_given_mask_that_it_goes_to(make: Callable) -> None:
    video = make(discs(), {12: (1,), 25: (1,)})
    video.rows()
    assert all(order[-1] not in starts for order, starts in video.walks)
    assert {order[-1] for order, _ in video.walks} >= {12, 25}
    assert (range(25, 11, -1), {25: (1,)}) in video.walks  # between two given masks one look, from the later one


@pytest.mark.parametrize("at", [5, 20, 27, 39])
def test_what_follows_another_object_is_doubted_from_there_on(make: Callable, at: int) -> None:
    truth = discs(objects=2)
    masks = {t: np.where(truth[t] == 1 + (t >= at), 1, 0).astype(np.int32) for t in truth}
    rows = make(masks, {0: (1,)}, truth).rows()
    confidence = [rows[t, 1].confidence for t in range(FRAMES)]
    assert max(confidence[at:]) < 0.1
    assert confidence[: at // 2] == sorted(confidence[: at // 2], reverse=True)
    assert confidence[at // 2] > 0.6


def test_backwards_from_a_mask_in_the_end_likewise(make: Callable) -> None:
    truth = discs(objects=2)
    masks = {t: np.where(truth[t] == 1 + (t < 20), 1, 0).astype(np.int32) for t in truth}
    rows = make(masks, {39: (1,)}, truth).rows()
    assert min(rows[t, 1].confidence for t in range(30, FRAMES)) > 0.6
    assert max(rows[t, 1].confidence for t in range(20)) < 0.1


def test_an_object_that_is_lost_is_doubted_and_the_others_are_not(make: Callable) -> None:
    truth = discs(objects=2)
    masks = {t: np.where((truth[t] == 2) & (t >= 15), 0, truth[t]) for t in truth}
    rows = make(masks, {0: (1, 2)}, truth).rows()
    assert rows[39, 1].confidence == pytest.approx(1)
    assert rows[39, 2].confidence == pytest.approx(0.25)
    assert rows[39, 2].agreement is None
    assert rows[39, 2].entropy is None
    assert rows[39, WHOLE].confidence == pytest.approx((1 + 0.25) / 2)
    assert max(rows[t, 2].confidence for t in range(15, FRAMES)) <= 0.25


def test_remains_of_an_object_do_not_vouch_for_it(make: Callable) -> None:
    masks = discs()
    for t in range(15, FRAMES):
        masks[t] = np.where(np.cumsum(masks[t]).reshape(masks[t].shape) <= 3, masks[t], 0)
    rows = make(masks, {0: (1,)}, discs()).rows()
    assert rows[10, 1].confidence > 0.95
    assert max(rows[t, 1].confidence for t in range(20, FRAMES)) < 0.75


def test_an_object_that_appears_later_has_rows_from_its_mask_on(make: Callable) -> None:
    truth = discs(objects=2)
    masks = {t: truth[t] if t >= 20 else np.where(truth[t] == 1, 1, 0).astype(np.int32) for t in truth}
    rows = make(masks, {0: (1,), 20: (2,)}, truth).rows()
    assert [t for t, number in rows if number == 2] == list(range(20, FRAMES))
    assert all(row.confidence == pytest.approx(1) for row in rows.values())


def test_a_mistake_between_two_given_masks_is_found(make: Callable) -> None:
    truth = discs(objects=2)
    masks = {t: np.where(truth[t] == 1 + (15 <= t < 30), 1, 0).astype(np.int32) for t in truth}
    rows = make(masks, {0: (1,), 30: (1,)}, truth).rows()
    assert rows[30, 1].confidence == 1
    assert rows[5, 1].confidence > 0.8
    assert max(rows[t, 1].confidence for t in range(20, 30)) < 0.8
    assert rows[29, 1].confidence < 0.5
    assert rows[35, 1].confidence == pytest.approx(1)


def test_a_video_of_one_frame_has_its_given_mask(make: Callable) -> None:
    rows = make(discs(1), {0: (1,)}).rows()
    assert rows == {(0, number): Row(0, number, None, None, 0.0, 1.0) for number in (WHOLE, 1)}


def test_doubt_of_the_network_lowers_confidence_but_where_the_mask_is_given(make: Callable) -> None:
    rows = make(discs(), {0: (1,)}).rows(entropy=0.5)
    assert rows[0, 1].confidence == 1
    assert rows[1, 1].confidence < 0.8
    assert rows[1, 1].reconstruction == pytest.approx(1)


@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 100])
def test_looks_go_from_every_frame_to_a_given_one_without_gaps(length: int) -> None:
    for labelled in ([0], [length - 1], [length // 2], sorted({0, length // 3, length - 1})):
        looks = plan_looks(length, labelled)
        reached = set(labelled)
        for look in looks:
            assert look[-1] in reached  # after those nearer to the given mask
            reached |= set(look)
        assert reached == set(range(length))
        assert sum(len(look) - 1 for look in looks) == length - 1


def test_what_the_network_says_of_its_masks() -> None:
    ids = disc_ids(0)
    sure = torch.from_numpy(np.stack([ids == 0, ids == 1]).astype(np.float32))
    assert doubts_of(sure, ids, (1,)) == doubts_of(sure * 1.000001, ids, (1,)) == [(0, 1)]
    assert doubts_of(torch.cat([sure, sure[:1]]), ids, (1, 2))[1] is None
    area, rest = np.count_nonzero(ids), np.count_nonzero(ids == 0)
    (doubt,) = doubts_of(torch.full((2, *ids.shape), 0.5), ids, (1,))
    assert doubt == pytest.approx((2 / 3, 0.5 * area / (area + 0.5 * rest)))  # a bit per pixel, half of them expected
    (less,) = doubts_of((sure + 0.001) / 1.002, ids, (1,))
    assert doubt is not None
    assert less is not None
    assert 0 < less.entropy < doubt.entropy
    assert 1 > less.expected > doubt.expected
