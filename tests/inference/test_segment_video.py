import dataclasses
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.inference.given import find_given
from oneshot_vos.inference.video import segment_video, walk_forwards
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.videos.masks import read_mask
from oneshot_vos.videos.video import Video

Squares = Callable[..., np.ndarray]
MakeVideo = Callable[..., Video]


def segment(network: STCN, video: Video, settings: InferenceSettings | None = None, **rest) -> dict[str, np.ndarray]:
    return dict(segment_video(network, video, settings or InferenceSettings(), **rest))


def test_ids_are_kept_and_only_those_of_the_video_occur(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    size = (45, 70)
    first = squares(size, 300, 7, 250)
    masks = segment(tiny, make_video("v", 4, size, {0: first}))
    assert list(masks) == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(masks["00000"], first)
    for ids in masks.values():
        assert ids.shape == size
        assert ids.dtype == np.int32
        assert set(np.unique(ids)) <= {0, 7, 250, 300}


@pytest.mark.parametrize("short_side", [24, 32, 64])
def test_masks_have_the_size_of_the_frames(
    tiny: STCN, make_video: MakeVideo, squares: Squares, short_side: int
) -> None:
    size = (40, 72)
    masks = segment(tiny, make_video("v", 3, size, {0: squares(size, 1, 2)}), InferenceSettings(short_side=short_side))
    assert {ids.shape for ids in masks.values()} == {size}
    assert (masks["00000"] == squares(size, 1, 2)).mean() > 0.9


def test_a_single_object_video_merges_its_ids(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 2, (32, 32), {0: squares((32, 32), 3, 255)}, single_object=True)
    masks = segment(tiny, video)
    assert np.array_equal(masks["00000"], squares((32, 32), 3, 255) > 0)
    assert set(np.unique(masks["00001"])) <= {0, 1}


def test_only_the_first_mask_is_given_unless_told_otherwise(
    tiny: STCN, make_video: MakeVideo, squares: Squares
) -> None:
    size = (32, 48)
    video = make_video("v", 5, size, {0: squares(size, 1), 2: squares(size, 9, 4), 4: squares(size, 1, 5)})
    without = dataclasses.replace(video, masks={"00000": video.masks["00000"]})
    first = segment(tiny, video)
    assert all(np.array_equal(ids, first[stem]) for stem, ids in segment(tiny, without).items())
    assert find_given(video).objects == {0: (1,)}
    assert find_given(video, "all").objects == {0: (1,), 2: (4, 9), 4: (1, 5)}
    assert find_given(video, {"00002"}).objects == {2: (4, 9)}
    masks = segment(tiny, video, given="all")
    assert set(np.unique(masks["00001"])) <= {0, 1}
    for t in (2, 4):
        drawn = squares(size, 9, 4) if t == 2 else squares(size, 1, 5)
        assert np.array_equal(masks[f"{t:05}"][drawn > 0], drawn[drawn > 0])
    with pytest.raises(UserError, match="no mask for frame '00003'"):
        find_given(video, ["00003"])


def test_required_frames_only(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 8, (32, 32), {0: squares((32, 32), 1)})
    everything = segment(tiny, video)
    some = segment(tiny, video, required={"00006", "00002"})
    assert list(some) == ["00002", "00006"]
    assert all(np.array_equal(some[stem], everything[stem]) for stem in some)
    with pytest.raises(UserError, match="no frame '0002'; did you mean '00002'"):
        segment(tiny, video, required={"0002"})


def test_an_unneeded_frame_is_not_even_read(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 6, (32, 32), {0: squares((32, 32), 1)})
    for t in (1, 2, 4, 5):
        video.frames[t].unlink()
    assert list(segment(tiny, video, required={"00003"})) == ["00003"]


def test_an_empty_first_mask_warns_and_the_first_object_starts_later(
    tiny: STCN, make_video: MakeVideo, squares: Squares
) -> None:
    size = (32, 32)
    empty = np.zeros(size, np.int32)
    video = make_video("v", 4, size, {0: empty, 2: squares(size, 5)})
    with pytest.warns(UserWarning, match=r"00000_mask\.png.*'v' is empty.*up to frame '00002'"):
        masks = segment(tiny, video)
    assert not masks["00000"].any()
    assert not masks["00001"].any()
    assert np.array_equal(masks["00002"], squares(size, 5))
    with pytest.warns(UserWarning, match="background up to the end"):
        masks = segment(tiny, make_video("w", 2, size, {0: empty}))
    assert not any(ids.any() for ids in masks.values())


def test_a_mask_only_later_is_not_an_empty_one(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 3, (32, 32), {1: squares((32, 32), 1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = segment(tiny, video)
    assert not masks["00000"].any()
    assert masks["00001"].any()


def test_one_frame(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    masks = segment(tiny, make_video("v", 1, (32, 32), {0: squares((32, 32), 1)}))
    assert np.array_equal(masks["00000"], squares((32, 32), 1))


def test_no_mask_at_all(tiny: STCN, make_video: MakeVideo) -> None:
    with pytest.raises(UserError, match="'v'"):
        segment(tiny, make_video("v", 2, (32, 32), {}))


def test_a_frame_of_another_size_is_named_with_both_sizes(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 4, (32, 48), {0: squares((32, 48), 1)})
    Image.new("RGB", (40, 30)).save(video.frames[2])
    with pytest.raises(UserError, match=r"00002\.png: the frame is 40x30 pixels, but .*00000\.png.* is 48x32"):
        segment(tiny, video)


def test_a_mask_of_another_size_is_named_with_both_sizes(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 2, (32, 48), {0: squares((16, 24), 1)})
    with pytest.raises(UserError, match=r"00000_mask\.png: mask of 24x16 .*00000\.png has 48x32"):
        segment(tiny, video)


def test_a_truncated_frame_is_named(tiny: STCN, make_video: MakeVideo, squares: Squares) -> None:
    video = make_video("v", 4, (32, 32), {0: squares((32, 32), 1)})
    video.frames[2].write_bytes(video.frames[2].read_bytes()[:100])
    with pytest.raises(UserError, match=r"00002\.png"):
        segment(tiny, video)


def test_more_than_255_objects(tiny: STCN, make_video: MakeVideo) -> None:
    ids = np.zeros((32, 48), np.int32)
    ids.ravel()[: 300 * 4] = np.arange(1, 301).repeat(4)
    video = make_video("v", 2, (32, 48), {0: ids})
    masks = segment(tiny, video, InferenceSettings(object_chunk=64))
    assert np.array_equal(masks["00000"], ids)
    assert masks["00001"].max() <= 300


def test_seconds_leave_reading_out(
    tiny: STCN, make_video: MakeVideo, squares: Squares, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video("v", 8, (32, 32), {0: squares((32, 32), 1)})
    clock = itertools.count()  # a second for every look at it
    monkeypatch.setattr("oneshot_vos.inference.walk.perf_counter", lambda: float(next(clock)))
    walk = walk_forwards(tiny, video, InferenceSettings())
    assert walk.seconds == 0
    for number, _ in enumerate(walk.frames(), 1):
        assert walk.seconds == number


@pytest.mark.real_data
def test_a_real_video(tiny: STCN, data_root: Path) -> None:
    annotations = data_root / "davis17-mini" / "Annotations"
    mask = min(annotations.rglob("00000.png"), default=None)
    if mask is None:
        pytest.skip(f"no mask 00000.png below {annotations}")
    images = data_root / "davis17-mini" / "JPEGImages" / mask.parent.relative_to(annotations)
    video = Video(mask.parent.name, tuple(sorted(images.glob("*.jpg")))[:3], {"00000": mask})
    masks = segment(tiny, video, InferenceSettings(short_side=96))
    expected = read_mask(mask)
    assert len(masks) == 3
    assert {ids.shape for ids in masks.values()} == {expected.shape}
    assert (masks["00000"] == expected).mean() > 0.97


def test_an_empty_reference_shows_the_network_no_pixel_of_the_objects(
    tiny: STCN, make_video: MakeVideo, squares: Callable[..., np.ndarray]
) -> None:
    size = (32, 48)
    shown = make_video("shown", 4, size, {0: squares(size, 1)}, single_object=True)
    moved = make_video("moved", 4, size, {0: squares(size, 2)[:, ::-1].copy()}, single_object=True)
    results = [segment(tiny, video, given="empty") for video in (shown, moved)]
    assert list(results[0]) == list(results[1]) == [shown.stem(t) for t in range(4)]
    assert all(np.array_equal(results[0][stem], results[1][stem]) for stem in results[0])  # masks are not looked at
    assert not results[0]["00000"].any()
    assert any(not np.array_equal(segment(tiny, shown)[stem], ids) for stem, ids in results[0].items())
