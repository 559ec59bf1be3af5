"""Which frames are suggested: where confidence has fallen and stays low, apart from each other, best first."""

from collections.abc import Sequence

import numpy as np
import pytest

from oneshot_vos.inference.ranking import VideoConfidence, rank_frames


def video(
    *confidence: Sequence[float], name: str = "walk", labelled: tuple[int, ...] = (0,), shown: bool = True
) -> VideoConfidence:
    """A video with one list of confidences per object."""
    values = np.array(confidence, float).T
    frames = tuple(f"{t:05}" for t in range(len(values)))
    objects = tuple(range(1, len(confidence) + 1))
    return VideoConfidence(name, frames, objects, values, np.full(values.shape, shown), labelled)


def step(length: int, at: int, low: float = 0.2) -> list[float]:
    return [1.0] * at + [low] * (length - at)


def test_the_first_frame_of_a_lasting_fall_is_suggested() -> None:
    first, *_ = rank_frames([video(step(60, 30))])
    assert (first.video, first.frame, first.confidence) == ("walk", "00030", pytest.approx(0.2))
    assert first.gain == pytest.approx(30 * 0.8)
    assert first.why == "confidence in the object falls from 1.00 to 0.20 and stays low for 29 further frames"


def test_a_fall_that_goes_on_is_suggested_where_it_has_ended() -> None:
    slope = [1.0] * 10 + list(np.linspace(1, 0.1, 10)) + [0.1] * 40
    assert rank_frames([video(slope)])[0].frame == "00019"


def test_a_frame_that_is_low_alone_comes_after_a_lasting_fall() -> None:
    dip = [1.0] * 60
    dip[30] = 0.1
    ranking = rank_frames([video(dip, name="dip"), video(step(60, 50), name="fall")])
    assert [each.video for each in ranking] == ["fall", "dip"]
    assert ranking[1].why.endswith("in this frame")


def test_what_is_sure_needs_no_mask() -> None:
    assert rank_frames([video([1.0] * 30)]) == []
    assert rank_frames([]) == []


def test_suggestions_of_a_video_are_few_and_apart_from_masks_and_each_other() -> None:
    falling = list(np.linspace(1, 0, 100))
    ranking = rank_frames([video(falling, labelled=(0, 50)), video(step(60, 1), name="b")])
    assert [each.gain for each in ranking] == sorted((each.gain for each in ranking), reverse=True)
    for name, given in (("walk", (0, 50)), ("b", (0,))):
        frames = [int(each.frame) for each in ranking if each.video == name]
        assert 1 <= len(frames) <= 3
        places = sorted([*frames, *given])
        assert min(np.diff(places)) >= 5
    assert len(rank_frames([video(falling)], per_video=1)) == 1


def test_a_mask_repairs_no_more_than_up_to_the_next_given_one() -> None:
    ranking = rank_frames([video(step(100, 20), labelled=(0, 40), name="short"), video(step(100, 70), name="long")])
    assert [each.video for each in ranking][:2] == ["long", "short"] or ranking[0].frame == "00045"
    short = next(each for each in ranking if each.frame == "00020")
    assert short.gain == pytest.approx(20 * 0.8)


def test_before_the_first_given_mask_it_repairs_backwards() -> None:
    first = rank_frames([video([0.2] * 30 + [1.0] * 30, labelled=(59,))])[0]
    assert first.frame == "00029"
    assert first.why.endswith("stays low for 29 earlier frames")


def test_the_object_that_is_least_sure_is_named_and_one_that_is_not_there_yet_is_left_out() -> None:
    later = [np.nan] * 20 + [0.9] * 40
    first = rank_frames([video(step(60, 30), later)])[0]
    assert first.frame == "00030"
    assert "object 1" in first.why
    assert first.gain == pytest.approx(30 * (0.8 + 0.1) / 2)


def test_an_object_that_is_not_shown_is_called_lost() -> None:
    lost = rank_frames([video(step(60, 30, 0.5), shown=False)])[0]
    assert lost.why == "the object is not found here: it was lost or has left"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_shortest_videos(length: int) -> None:
    ranking = rank_frames([video([0.0] * length, labelled=(0,))])
    assert [each.frame for each in ranking] == (["00002"] if length == 3 else [])
