"""The mini data set: the same from a seed, complete, and neither trivial nor hopeless."""

import numpy as np
import pytest

from oneshot_vos.files import sha256_of
from oneshot_vos.sets.check import check_pairs, check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.generated import VISIBLE, generate, make_video
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import object_ids, read_mask

SMALL = {"train": 3, "val": 2, "static": 3, "frames": 4, "size": 48}


def checksums(root):
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in sorted(root.rglob("*.*"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini") / "sets"
    generate(root, seed=3, **SMALL)
    return root


def test_layout_reads_as_davis_and_pairs(folder):
    train = read_davis(folder, list_file="ImageSets/2017/train.txt")
    val = read_davis(folder, list_file="ImageSets/2017/val.txt")
    assert [video.name for video in train] == ["train-0000", "train-0001", "train-0002"]
    assert len(val) == 2
    assert all(len(video) == len(video.masks) == 4 for video in train + val)
    pairs = read_pairs(folder / "static")
    assert [pair.name for pair in pairs] == ["00000", "00001", "00002"]
    assert not check_videos(train + val, training=True, thorough=True).problems
    assert not check_pairs(pairs).problems
    assert read_frame(train[0].frames[0]).shape == (48, 48, 3)


def test_the_seed_decides(folder, tmp_path):
    first = checksums(folder)
    generate(tmp_path / "again", seed=3, **SMALL)
    assert checksums(tmp_path / "again") == first
    generate(tmp_path / "more", seed=3, **{**SMALL, "train": 4, "val": 1})
    more = checksums(tmp_path / "more")
    shared = [name for name in first if name in more and not name.endswith(".txt")]
    assert len(shared) == len(first) - 2 * 4 - 2
    assert all(more[name] == first[name] for name in shared)
    generate(tmp_path / "other", seed=4, **SMALL)
    assert not set(checksums(tmp_path / "other").values()) & {first[name] for name in shared}


def test_generating_replaces_what_was_there(folder, tmp_path):
    target = tmp_path / "sets"
    target.mkdir()
    (target / "old.txt").write_text("old")
    generate(target, seed=3, train=1, val=1, static=1, frames=2, size=32)
    assert not (target / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


def test_every_object_is_in_the_first_mask_and_large_enough():
    counts = set()
    for seed in range(25):
        video = list(make_video(np.random.default_rng(seed), 3, 64))
        first = video[0][1]
        ids = object_ids(first)
        counts.add(len(ids))
        assert ids == list(range(1, len(ids) + 1))
        assert min(np.mean(first == k) for k in ids) >= VISIBLE
        assert all(set(object_ids(mask)) <= set(ids) for _, mask in video)
    assert counts == {1, 2, 3}


def test_repeating_the_first_mask_is_a_bad_answer():
    overlaps = []
    for seed in range(20):
        masks = [ids for _, ids in make_video(np.random.default_rng((5, seed)), 12, 64)]
        for k in object_ids(masks[0]):
            first = masks[0] == k
            overlaps.append(np.mean([np.sum(first & (m == k)) / np.sum(first | (m == k)) for m in masks[1:-1]]))
    assert 0.15 < np.mean(overlaps) < 0.45


def test_objects_differ_from_background_but_not_by_one_colour():
    """Within an object and between videos colours vary widely; object and background means keep their distance."""
    means = []
    for seed in range(10):
        frame, ids = next(make_video(np.random.default_rng(seed), 2, 64))
        background = frame[ids == 0].mean(axis=0)
        for k in object_ids(ids):
            pixels = frame[ids == k].astype(float)
            assert np.linalg.norm(pixels.mean(axis=0) - background) > 20
            assert pixels.std(axis=0).max() > 8
            means.append(pixels.mean(axis=0))
    assert np.std(means, axis=0).min() > 30


def test_static_masks_hold_the_ids_of_their_picture(folder):
    for pair in read_pairs(folder / "static"):
        assert object_ids(read_mask(pair.mask))[0] == 1
