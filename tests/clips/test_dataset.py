"""Clip data sets: what is read, what is random, and what a batch holds."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from oneshot_vos.clips.batch import Clip, ClipBatch, collate
from oneshot_vos.clips.dataset import ClipDataset, ClipSource, ShuffledEpochs, StaticDataset, StillSource
from oneshot_vos.clips.sampling import ClipSampler, FullSampler, NearbySampler, OneShotSampler
from oneshot_vos.clips.transforms import ClipTransform, StaticTransform
from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import keep_every, keep_some
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

# Three workers on a small machine are slow, not wrong.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

HEIGHT, WIDTH, FRAMES = 48, 64, 7


def _video(root: Path, name: str, labelled: range | list[int] = range(FRAMES), objects: int = 2) -> Video:
    """A video of moving squares with masks for the frames in `labelled`."""
    rng = np.random.default_rng(len(name))
    frames, masks = [], {}
    (root / "frames" / name).mkdir(parents=True)
    for t in range(FRAMES):
        ids = np.zeros((HEIGHT, WIDTH), np.int32)
        for k in range(objects):
            ids[10 + t : 30 + t, 5 + 30 * k + t : 25 + 30 * k + t] = 3 * k + 1
        image = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        image[ids > 0] = 255
        frames.append(root / "frames" / name / f"{t:05d}.jpg")
        cv2.imwrite(str(frames[-1]), image)
        if t in labelled:
            masks[f"{t:05d}"] = root / "masks" / name / f"{t:05d}.png"
            write_mask(masks[f"{t:05d}"], ids)
    return Video(name, tuple(frames), masks)


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    return [_video(tmp_path, name) for name in ("cat", "horse", "snake")]


def _dataset(
    videos: list[Video],
    sampler: ClipSampler,
    *,
    objects: int = 2,
    frames: int = 3,
    crop: int = 32,
    by_frame: bool = False,
    **more: Any,
) -> ClipDataset:
    if sampler.first_only:  # as the stage `labels` hands videos to one-shot training
        videos = [replace(video, masks=dict(sorted(video.masks.items())[:1])) for video in videos]
    source = ClipSource("set", videos, by_frame=by_frame)
    settings = {"objects": objects, "frames": frames, "seed": 5, "max_skip": lambda position: 3, **more}
    return ClipDataset([source], sampler, ClipTransform(crop), **settings)


@pytest.fixture
def pairs(tmp_path: Path) -> list[StillSource]:
    folder = tmp_path / "stills"
    folder.mkdir()
    for i in range(4):
        ids = np.zeros((60, 90), np.int32)
        for k in range(1 + i % 3):
            ids[15:45, 5 + 28 * k : 25 + 28 * k] = k + 1
        cv2.imwrite(str(folder / f"{i}.jpg"), np.where(ids[..., None] > 0, 250, 40).astype(np.uint8).repeat(3, 2))
        write_mask(folder / f"{i}.png", ids)
    return [StillSource("stills", read_pairs(folder))]


def _same(a: ClipBatch, b: ClipBatch) -> bool:
    tensors = ("frames", "first_masks", "targets", "labelled", "present")
    return a.names == b.names and all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)


def _loaded(dataset: Dataset[Clip], batches: list[list[int]], workers: int) -> list[ClipBatch]:
    return list(DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=collate))


def _first(dataset: Dataset[Clip], count: int) -> ClipBatch:
    """Its first clips as one batch."""
    return collate([dataset[i] for i in range(count)])


@pytest.mark.parametrize("frames", [3, 5])
@pytest.mark.parametrize("objects", [1, 2, 3])
def test_batch_shapes_and_ranges(videos, objects, frames):
    batch = _first(_dataset(videos, FullSampler(), objects=objects, frames=frames), 4)
    assert batch.frames.shape == (4, frames, 3, 32, 32)
    assert batch.frames.dtype == torch.float32
    assert batch.first_masks.shape == (4, objects, 32, 32)
    assert set(batch.first_masks.unique().tolist()) <= {0.0, 1.0}
    assert batch.targets.shape == (4, frames, 32, 32)
    assert batch.targets.dtype == torch.int64
    assert int(batch.targets.min()) >= 0
    assert int(batch.targets.max()) <= objects
    assert batch.labelled.shape == (4, frames)
    assert batch.labelled.all()
    assert batch.present.shape == (4, objects)
    assert (batch.present[:, 0] == 1).all()
    assert len(batch) == 4
    for k in range(objects):
        assert torch.equal(batch.first_masks[:, k] == 1, batch.targets[:, 0] == k + 1)
        assert torch.equal(batch.first_masks[:, k].amax((1, 2)) > 0, batch.present[:, k] == 1)


def test_one_object_more_than_the_video_has_is_absent(videos):
    clip = _dataset(videos, FullSampler(), objects=4)[0]
    assert clip.present.tolist() in ([1, 1, 0, 0], [1, 0, 0, 0])
    assert clip.first_masks[2:].abs().sum() == 0


def test_names_tell_set_video_and_frames(videos):
    name = _dataset(videos, OneShotSampler())[0].name
    head, frames = name.split("@")
    assert head in {"set/cat", "set/horse", "set/snake"}
    assert frames.startswith("00000,")
    assert len(frames.split(",")) == 3


@pytest.mark.parametrize("kind", [OneShotSampler, FullSampler, "stills"])
def test_batches_do_not_depend_on_workers(videos, pairs, kind):
    stills = StaticDataset(pairs, StaticTransform(32, bend=1.0), objects=2, seed=0)
    dataset = stills if kind == "stills" else _dataset(videos, kind())
    alone, *others = (_loaded(dataset, [[0, 1], [2, 3], [9, 4]], workers) for workers in (0, 1, 3))
    for other in others:
        assert all(_same(a, b) for a, b in zip(alone, other, strict=True))


@pytest.mark.parametrize("sampler", [OneShotSampler(), NearbySampler()])
def test_the_last_clips_are_upright_whatever_the_workers(videos, sampler):
    """XMem's last iterations: where they begin follows from the position alone, so that a resumed run agrees."""
    turned, last = _dataset(videos, sampler), _dataset(videos, sampler, upright_from=4)
    upright = _dataset(videos, sampler, upright_from=0)
    for early, late in (_loaded(last, [[2, 3], [4, 5]], workers) for workers in (0, 2)):
        assert _same(early, collate([turned[2], turned[3]]))
        assert _same(late, collate([upright[4], upright[5]]))
        assert not torch.equal(late.frames, collate([turned[4], turned[5]]).frames)


def test_an_item_may_be_a_frame(videos):
    """One epoch starts from every labelled frame of every video once."""
    dataset = _dataset(videos, NearbySampler(), by_frame=True, frames=2)
    assert len(dataset) == len(videos) * FRAMES
    starts = {(item.video.name, item.start) for item in (dataset._entries[i] for i in range(len(dataset)))}
    assert starts == {(video.name, t) for video in videos for t in range(FRAMES)}
    for position in range(len(dataset)):
        start = dataset._entries[position].start
        assert f"{start:05d}" in dataset[position].name.split("@")[1]
    assert len(_dataset(videos, OneShotSampler(), by_frame=True)) == len(videos) * FRAMES
    assert "@00000," in _dataset(videos, OneShotSampler(), by_frame=True)[4].name


@pytest.mark.parametrize("sampler", [OneShotSampler(), NearbySampler()])
def test_short_videos_are_dropped_on_request(videos, sampler):
    kept = _dataset(videos, sampler, frames=FRAMES, drop_short=True)
    assert (len(kept), kept.left_out) == (3, [])
    assert len(_dataset(videos, sampler, frames=FRAMES + 1)) == 3
    with pytest.raises(UserError, match="set/cat: it has 7 frames, a clip has 8"):
        _dataset(videos, sampler, frames=FRAMES + 1, drop_short=True)


def test_clips_are_merged_where_there_is_room(videos):
    """Full supervision, fewer objects than a clip may have: the other clip's come on top."""
    one = [Video(video.name, video.frames, video.masks, single_object=True) for video in videos]
    merged = _dataset(one, NearbySampler(), merge=1.0)
    clips = [merged[position] for position in range(8)]
    assert all("+set/" in clip.name for clip in clips)
    assert sum(clip.present.sum() == 2 for clip in clips) >= 6, "now and then the second covers the first"
    for clip in clips:
        for k in range(2):
            assert torch.equal(clip.first_masks[k] == 1, clip.targets[0] == k + 1)
    half = [_dataset(one, NearbySampler(), merge=0.5)[position].name for position in range(60)]
    assert 20 < sum("+" in name for name in half) < 40
    assert _same(_loaded(merged, [[0, 1]], 2)[0], collate(clips[:2]))


def test_clips_are_not_merged_without_room_nor_in_one_shot_training(videos):
    for sampler, objects in ((NearbySampler(), 1), (OneShotSampler(), 4)):
        plain, merged = (_dataset(videos, sampler, objects=objects, merge=share) for share in (0.0, 1.0))
        assert _same(_first(plain, 4), _first(merged, 4))


def test_position_decides_whatever_was_asked_before(videos):
    dataset, again = _dataset(videos, OneShotSampler()), _dataset(videos, OneShotSampler())
    later = again[11]
    for position in range(11):
        dataset[position]
    assert torch.equal(dataset[11].frames, later.frames)
    assert dataset[11].name == later.name


def test_one_shot_reads_no_mask_but_the_first(videos, tmp_path):
    """Training from the first-frame index gives the same batches with every other mask poisoned, then deleted."""
    keep_some(videos, tmp_path / "first", "set")
    first_only = read_index(tmp_path / "first" / "set.json")
    before = _first(_dataset(first_only, OneShotSampler()), 6)
    for video in videos:
        for mask in video.masks.values():
            mask.write_bytes(b"not a mask")
    poisoned = _first(_dataset(first_only, OneShotSampler()), 6)
    shutil.rmtree(tmp_path / "masks")
    deleted = _first(_dataset(first_only, OneShotSampler()), 6)
    assert _same(before, poisoned)
    assert _same(before, deleted)
    assert before.labelled.tolist() == [[True, False, False]] * 6
    assert before.targets[:, 1:].abs().sum() == 0


def test_one_shot_ignores_other_masks_even_where_they_are_offered(videos, tmp_path):
    keep_every(videos, tmp_path / "every", "set")
    every = read_index(tmp_path / "every" / "set.json")
    before = _first(_dataset(every, OneShotSampler()), 6)
    for video in videos:
        for stem, mask in video.masks.items():
            if stem != "00000":
                mask.unlink()
    assert _same(before, _first(_dataset(every, OneShotSampler()), 6))


def test_full_supervision_uses_videos_with_some_masks_and_lists_the_others(tmp_path):
    some = _video(tmp_path, "some", labelled=[0, 3, 6])
    one = _video(tmp_path, "one", labelled=[0])
    dataset = _dataset([some, one], FullSampler())
    assert len(dataset) == 1
    assert dataset.left_out == ["set/one: 1 of its 7 frames has a mask; full supervision needs at least two"]
    for position in range(10):
        clip = dataset[position]
        assert set(clip.name.split("@")[1].split(",")) <= {"00000", "00003", "00006"}
        assert clip.labelled.all()
    with pytest.raises(UserError, match="no video can be used"):
        _dataset([one], FullSampler())


def test_copies_and_skip_divisor(videos):
    asked = []

    class Recording(OneShotSampler):
        def sample(self, frames, labelled, length, max_skip, rng, start=None):
            asked.append(max_skip)
            return super().sample(frames, labelled, length, max_skip, rng, start)

    sources = [ClipSource("davis", videos[:1], copies=5), ClipSource("youtube", videos[1:], skip_divisor=5)]
    settings = {"objects": 1, "frames": 3, "seed": 0, "max_skip": lambda position: 25 if position else 3}
    dataset = ClipDataset(sources, Recording(), ClipTransform(32), **settings)
    assert len(dataset) == 7
    names = [dataset[position].name for position in range(7, 14)]
    assert sum(name.startswith("davis/cat") for name in names) == 5
    skips = dict(zip(names, asked, strict=False))
    assert {skip for name, skip in skips.items() if name.startswith("youtube")} == {5}
    assert {skip for name, skip in skips.items() if name.startswith("davis")} == {25}


def test_every_epoch_holds_every_item_once_in_its_own_order():
    items = ShuffledEpochs(list("abcdefgh"), seed=3)
    epochs = [[items[8 * epoch + i] for i in range(8)] for epoch in range(3)]
    assert all(sorted(epoch) == list("abcdefgh") for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert items[0] == epochs[0][0], "going back gives the same"


def test_objects_are_chosen_at_random_and_others_are_background(videos):
    dataset = _dataset(videos, FullSampler(), objects=1, crop=48)
    areas = set()
    for position in range(12):
        clip = dataset[position]
        areas.add(int(clip.first_masks.sum()))
        assert clip.first_masks.shape[0] == 1
    assert len(areas) > 3


def test_single_object_videos_merge_ids(videos):
    merged = [Video(video.name, video.frames, video.masks, single_object=True) for video in videos]
    clips = [_dataset(merged, OneShotSampler(), objects=2)[i] for i in range(6)]
    assert all(clip.present.tolist() == [1.0, 0.0] for clip in clips)


def test_empty_first_mask_is_refused(tmp_path):
    video = _video(tmp_path, "void", objects=0)
    with pytest.raises(UserError, match=r"void/00000\.png: no object"):
        _dataset([video], OneShotSampler())[0]


def test_clip_without_object_under_full_supervision_is_empty(tmp_path):
    clip = _dataset([_video(tmp_path, "void", objects=0)], FullSampler())[0]
    assert clip.present.tolist() == [1.0, 0.0]
    assert clip.first_masks.sum() == 0
    assert clip.targets.sum() == 0


def test_masks_and_frames_of_another_size_are_refused(videos):
    write_mask(videos[0].masks["00000"], np.ones((10, 12), np.int32))
    with pytest.raises(UserError, match=r"cat/00000\.png: 12x10 pixels, but .*cat/00000\.jpg has 64x48"):
        _dataset(videos[:1], OneShotSampler())[0]
    for frame in videos[1].frames[1:]:
        cv2.imwrite(str(frame), np.zeros((10, 12, 3), np.uint8))
    with pytest.raises(UserError, match="12x10 pixels"):
        _dataset(videos[1:2], OneShotSampler())[0]


def test_truncated_frame_is_named_through_workers(videos):
    for frame in videos[0].frames:
        frame.write_bytes(frame.read_bytes()[:200])
    dataset = _dataset(videos[:1], OneShotSampler())
    with pytest.raises(UserError, match=r"cat/0000\d\.jpg"):
        _loaded(dataset, [[0]], 1)


@pytest.mark.parametrize("is_exact", [True, False])
def test_still_clips(pairs, is_exact):
    dataset = StaticDataset(pairs, StaticTransform(48, 4, is_exact), objects=2, seed=1)
    batch = _first(dataset, 8)
    assert batch.frames.shape == (8, 4, 3, 48, 48)
    assert batch.labelled.all()
    assert batch.first_masks.max() <= 1
    assert batch.first_masks.min() >= 0
    assert ((batch.first_masks > 0) & (batch.first_masks < 1)).any(), "masks of still images are soft"
    for k in range(2):
        assert torch.equal(batch.first_masks[:, k] > 0.5, batch.targets[:, 0] == k + 1)
    assert {"stills/0", "stills/1", "stills/2", "stills/3"} == set(batch.names)
    assert batch.present[[name == "stills/0" for name in batch.names]].tolist() == [[1, 0], [1, 0]]


def test_first_masks_of_still_clips_may_be_hard(pairs):
    soft, hard = (StaticDataset(pairs, StaticTransform(48), objects=2, seed=1, hard=each) for each in (False, True))
    for position in range(4):
        one, other = soft[position], hard[position]
        assert set(other.first_masks.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(one.first_masks > 0.5, other.first_masks == 1)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.frames, other.frames)


def test_still_clips_of_one_object_pick_different_instances(pairs):
    only = [StillSource("stills", [pair for pair in pairs[0].pairs if pair.name == "2"])]
    dataset = StaticDataset(only, StaticTransform(48), objects=1, seed=1)
    centres = {
        round(float((clip.first_masks[0].sum(0) * torch.arange(48)).sum() / clip.first_masks.sum()) / 12)
        for clip in (dataset[i] for i in range(12))
    }
    assert len(centres) > 1


def test_still_source_copies(pairs):
    sources = [StillSource("a", pairs[0].pairs, copies=5), StillSource("b", pairs[0].pairs)]
    assert len(StaticDataset(sources, StaticTransform(32), objects=1, seed=0)) == 24
    with pytest.raises(UserError, match="none of the sets"):
        StaticDataset([], StaticTransform(32), objects=1, seed=0)


def test_still_mask_of_another_size_is_refused(pairs):
    for pair in pairs[0].pairs:
        write_mask(pair.mask, np.ones((8, 9), np.int32))
    with pytest.raises(UserError, match="9x8 pixels"):
        StaticDataset(pairs, StaticTransform(32), objects=1, seed=0)[0]


def test_batch_moves_to_a_device(videos):
    batch = collate([_dataset(videos, OneShotSampler())[0]])
    moved = batch.to(torch.device("meta"))
    assert moved.frames.device.type == "meta"
    assert moved.names == batch.names


@pytest.mark.real_data
def test_real_training_clips(data_root, tmp_path):
    from oneshot_vos.sets.davis import read_davis

    videos = read_davis(data_root / "train-clips")
    keep_some(videos, tmp_path, "train-clips")
    dataset = _dataset(read_index(tmp_path / "train-clips.json"), OneShotSampler(), crop=96)
    batch = _first(dataset, len(dataset))
    assert batch.labelled[:, 0].all()
    assert not batch.labelled[:, 1:].any()
    assert (batch.first_masks[:, 0].sum((1, 2)) > 0).float().mean() > 0.9
    assert len({name.split("@")[0] for name in batch.names}) == len(videos)


@pytest.mark.real_data
def test_real_still_images(data_root):
    sources = [StillSource(name, read_pairs(data_root / "static" / name)) for name in ("ccp", "coco_small")]
    dataset = StaticDataset(sources, StaticTransform(96), objects=2, seed=0)
    batch = _first(dataset, 20)
    assert torch.isfinite(batch.frames).all()
    assert (batch.first_masks[:, 0].amax((1, 2)) > 0.5).float().mean() > 0.9
