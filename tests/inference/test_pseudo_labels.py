"""Labels for every frame by a network, and how far they are trusted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from oneshot_vos.inference.pseudo_labels import REACH, Labeller, PseudoLabel
from oneshot_vos.inference.video import segment_video
from oneshot_vos.inference.walk import Segmented, Walk
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.videos.video import Video

SIZE = (32, 48)


def label(network: STCN, video: Video, scratch: Path) -> list[PseudoLabel]:
    return list(Labeller(network, InferenceSettings(), torch.float32).label(video, scratch))


def test_every_other_frame_has_one_in_both_directions(
    tiny: STCN, make_video: Callable[..., Video], squares: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    video = make_video("v", 2 * REACH + 4, SIZE, {3: squares(SIZE, 4, 9)})
    found = label(tiny, video, tmp_path)
    assert [each.frame for each in found] == [*range(4, len(video)), 2, 1, 0]
    segmented = dict(segment_video(tiny, video, InferenceSettings()))
    for each in found:
        assert 0 <= each.agreement <= 1
        assert each.confidence.shape == each.ids.shape == SIZE
        assert 0 <= each.confidence.min() <= each.confidence.max() <= 1
        if each.frame > 3:  # the labels are those of the walk away from the given mask
            assert np.array_equal(each.ids, segmented[video.stem(each.frame)])


class Seeing:
    """In the place of a walk: object 1 is a bar whose left edge is said for each frame."""

    def __init__(self, edge: Callable[[int], int]) -> None:
        self._edge = edge

    def __call__(self, walk: Walk) -> list[Segmented]:
        results = []
        for t in (step.index for step in walk._steps):
            ids = np.zeros(SIZE, np.int32)
            ids[:, self._edge(t) : self._edge(t) + 10] = 1
            probability = torch.from_numpy((ids == 1).astype(np.float32))
            results.append(Segmented(t, ids, torch.stack([1 - probability, probability])))
        return results


def test_what_was_lost_on_the_way_is_trusted_from_there_on_no_more(
    tiny: STCN,
    make_video: Callable[..., Video],
    squares: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = REACH + 5  # from here on the walk follows something else, and so does every walk back from there
    true, wrong = Seeing(lambda t: 5 if t < lost else 25), Seeing(lambda t: 25)

    def frames(walk: Walk) -> list[Segmented]:
        return wrong(walk) if walk.direction == "backwards" and walk._steps[0].index >= lost else true(walk)

    monkeypatch.setattr(Walk, "frames", frames)
    ids = np.zeros(SIZE, np.int32)
    ids[:, 5:15] = 1
    found = label(tiny, make_video("v", 3 * REACH + 1, SIZE, {0: ids}), tmp_path)
    assert all(each.agreement == 1 for each in found if each.frame <= REACH)
    assert all(each.agreement == 0 for each in found if each.frame > REACH)
    disagreed = next(each for each in found if each.frame == REACH + 1)
    assert set(np.unique(disagreed.confidence)) == {0.0, 1.0}
    assert not disagreed.confidence[:, 5:15].any()
    assert not disagreed.confidence[:, 25:35].any()
