"""Tiny data sets in the exact layout of the public ones: coloured rectangles that move over a gradient.

Every function writes below a folder and returns the true ids, `{video: {frame name: ids uint8 [H,W]}}`, also of frames
whose masks the real set keeps to itself. The same arguments write the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot_vos.files import write_json, write_text
from oneshot_vos.videos.masks import encode_mask

Truth = dict[str, dict[str, np.ndarray]]

DAVIS_TRAIN = ("bear", "bmx-bumps", "boat", "boxing-fisheye")
DAVIS_VAL = ("bike-packing", "blackswan", "bmx-trees")
# The lists of 2016 name a part of 2017's videos.
DAVIS_2016_TRAIN = ("bear", "bmx-bumps", "boat")
DAVIS_2016_VAL = ("blackswan", "bmx-trees")
# The last one is among the seven training videos that the usual training list leaves out.
YOUTUBE_TRAIN = ("003234408d", "0043f083b5", "0044fa5fba", "01e64dd36a")
YOUTUBE_VALID = ("0062f687f1", "00f88c4f0a", "0a7a2514aa")
YOUTUBE_FOLDERS = {2018: "YouTube2018", 2019: "YouTube"}
STATIC_FLAT = ("DUTS-TR", "DUTS-TE", "ecssd", "BIG_small", "HRSOD_small")
CATEGORIES = ("penguin", "person", "skateboard", "cat")
STRIDE = 5  # YouTube-VOS annotates every fifth frame of a clip


@dataclass(frozen=True)
class FakeObject:
    """A rectangle with an id; it is there from frame `first` to `last`, both counted from 0 in the full clip."""

    object_id: int
    first: int
    last: int
    category: str = "penguin"


def make_davis2017(root: Path, *, frames: int = 5, size: tuple[int, int] = (48, 64)) -> Truth:
    """DAVIS 2017 trainval at 480p: `root` is the folder that holds JPEGImages, Annotations and ImageSets.

    Every frame has a mask; `bmx-*` and `boxing-fisheye` have two objects. `size` is (height, width).
    """
    truth: Truth = {}
    for number, name in enumerate((*DAVIS_TRAIN, *DAVIS_VAL)):
        count = 2 if name.startswith(("bmx", "boxing")) else 1
        objects = [FakeObject(1 + k, 0, frames - 1) for k in range(count)]
        truth[name] = ids = _draw_ids(number, objects, range(frames), size)
        _write_frames(root / "JPEGImages/480p" / name, ids, number)
        _write_masks(root / "Annotations/480p" / name, ids)
    for year, train, val in (
        ("2017", DAVIS_TRAIN, DAVIS_VAL),
        ("2016", DAVIS_2016_TRAIN, DAVIS_2016_VAL),
    ):
        _write_list(root / "ImageSets" / year / "train.txt", train)
        _write_list(root / "ImageSets" / year / "val.txt", val)
    return truth


def make_davis2016(root: Path, *, frames: int = 5, size: tuple[int, int] = (48, 64)) -> Truth:
    """DAVIS 2016: grey masks of 0 and 255, one object, and lists of another format (a frame and a mask a line)."""
    truth: Truth = {}
    for number, name in enumerate((*DAVIS_2016_TRAIN, *DAVIS_2016_VAL)):
        truth[name] = ids = _draw_ids(number, [FakeObject(1, 0, frames - 1)], range(frames), size)
        _write_frames(root / "JPEGImages/480p" / name, ids, number)
        folder = root / "Annotations/480p" / name
        folder.mkdir(parents=True)
        for stem, mask in ids.items():
            Image.fromarray(mask * np.uint8(255)).save(folder / f"{stem}.png")
    for subset, names in (("train", DAVIS_2016_TRAIN), ("val", DAVIS_2016_VAL)):
        lines = [
            f"/JPEGImages/480p/{name}/{stem}.jpg /Annotations/480p/{name}/{stem}.png"
            for name in names
            for stem in truth[name]
        ]
        _write_list(root / "ImageSets/480p" / f"{subset}.txt", lines)
    return truth


def make_youtube(root: Path, year: int, *, frames: int = 22, size: tuple[int, int] = (48, 64)) -> Truth:
    """YouTube-VOS of 2018 or 2019 below `root`: `YouTube/{train,valid,all_frames/valid_all_frames}` (2019) or
    `YouTube2018/…`, each package with its `meta.json`.

    - train: frames and masks of every fifth frame; the second video begins at frame 00005, the third has an object
      that appears late, one that leaves, and ids with a gap.
    - valid: frames of every fifth frame; a mask only where an object is first annotated, showing the new objects
      alone; `meta.json` has no categories, and an object's frames begin with its first annotation.
    - valid_all_frames: every frame, no mask.

    The truth holds every frame of the clips, of training and validation videos alike.
    """
    folder = root / YOUTUBE_FOLDERS[year]
    truth = make_youtube_train(folder / "train", frames=frames, size=size)
    truth |= make_youtube_valid(folder / "valid", folder / "all_frames/valid_all_frames", frames=frames, size=size)
    return truth


def make_youtube_train(root: Path, *, frames: int = 22, size: tuple[int, int] = (48, 64)) -> Truth:
    """The training package: `root` is the folder that holds JPEGImages, Annotations and meta.json."""
    truth: Truth = {}
    meta = {}
    for number, (name, start, objects) in enumerate(_training_videos(frames)):
        truth[name] = ids = _draw_ids(number, objects, range(start, frames), size)
        fifth = {stem: mask for stem, mask in ids.items() if int(stem) % STRIDE == 0}
        _write_frames(root / "JPEGImages" / name, fifth, number)
        _write_masks(root / "Annotations" / name, fifth)
        meta[name] = {"objects": _described(objects, fifth, with_category=True)}
    write_json(root / "meta.json", {"videos": meta})
    return truth


def make_youtube_valid(
    root: Path, all_frames: Path | None, *, frames: int = 22, size: tuple[int, int] = (48, 64)
) -> Truth:
    """The validation package at `root` and, where given, the one with all frames at `all_frames`."""
    truth: Truth = {}
    meta = {}
    for number, (name, start, objects) in enumerate(_validation_videos(frames)):
        truth[name] = ids = _draw_ids(100 + number, objects, range(start, frames), size)
        fifth = {stem: mask for stem, mask in ids.items() if int(stem) % STRIDE == 0}
        _write_frames(root / "JPEGImages" / name, fifth, 100 + number)
        _write_masks(root / "Annotations" / name, _first_annotations(objects, fifth))
        if all_frames is not None:
            _write_frames(all_frames / "JPEGImages" / name, ids, 100 + number)
        meta[name] = {"objects": _described(objects, fifth, with_category=False)}
    write_json(root / "meta.json", {"videos": meta})
    if all_frames is not None:
        write_json(all_frames / "meta.json", {"videos": meta})
    return truth


def make_static(root: Path, *, pairs: int = 2, size: tuple[int, int] = (40, 56)) -> None:
    """The static sets: `fss` in class folders, the others flat; masks are grey, 0 and 255."""
    for number, folder in enumerate(("fss/ab_wheel", "fss/abacus", *STATIC_FLAT)):
        ids = _draw_ids(200 + number, [FakeObject(1, 0, pairs - 1)], range(pairs), size)
        named = {str(k + 1): mask for k, mask in enumerate(ids.values())}
        _write_frames(root / folder, named, number)
        for stem, mask in named.items():
            Image.fromarray(mask * np.uint8(255)).save(root / folder / f"{stem}.png")


def _training_videos(frames: int) -> list[tuple[str, int, list[FakeObject]]]:
    """(name, first frame of the clip, objects)."""
    last = frames - 1
    return [
        (YOUTUBE_TRAIN[0], 0, [FakeObject(1, 0, last, "penguin")]),
        (YOUTUBE_TRAIN[1], 5, [FakeObject(1, 5, last, "person"), FakeObject(2, 5, last, "skateboard")]),
        (
            YOUTUBE_TRAIN[2],
            0,
            [FakeObject(1, 0, last, "person"), FakeObject(2, 0, 9, "cat"), FakeObject(4, 10, last, "cat")],
        ),
        (YOUTUBE_TRAIN[3], 0, [FakeObject(1, 0, last, "cat")]),
    ]


def _validation_videos(frames: int) -> list[tuple[str, int, list[FakeObject]]]:
    last = frames - 1
    return [
        (YOUTUBE_VALID[0], 0, [FakeObject(1, 0, last), FakeObject(2, 0, last)]),
        (YOUTUBE_VALID[1], 0, [FakeObject(1, 0, last), FakeObject(3, 10, last)]),
        (YOUTUBE_VALID[2], 5, [FakeObject(2, 10, last)]),  # nothing is annotated at the clip's first frame
    ]


def _first_annotations(objects: Sequence[FakeObject], ids: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each frame in which objects are first annotated: these objects and nothing else."""
    shown = {}
    for frame in sorted({item.first for item in objects}):
        new = [item.object_id for item in objects if item.first == frame]
        mask = ids[f"{frame:05d}"]
        shown[f"{frame:05d}"] = np.where(np.isin(mask, new), mask, 0).astype(np.uint8)
    return shown


def _described(
    objects: Sequence[FakeObject], ids: Mapping[str, np.ndarray], *, with_category: bool
) -> dict[str, dict[str, object]]:
    """The entry of one video in meta.json."""
    described: dict[str, dict[str, object]] = {}
    for item in objects:
        entry: dict[str, object] = {"category": item.category} if with_category else {}
        entry["frames"] = [stem for stem in sorted(ids) if item.first <= int(stem) <= item.last]
        described[str(item.object_id)] = entry
    return described


def _draw_ids(seed: int, objects: Sequence[FakeObject], frames: range, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Frame name -> ids; each object keeps to its own band of rows, so that none ever covers another."""
    height, width = size
    band = height // len(objects)
    drawn = {}
    for frame in frames:
        ids = np.zeros(size, np.uint8)
        for row, item in enumerate(objects):
            if item.first <= frame <= item.last:
                left = (7 * seed + 5 * row + 2 * frame) % (width // 2)
                top = row * band + band // 6
                ids[top : top + band * 2 // 3, left : left + width // 3] = item.object_id
        drawn[f"{frame:05d}"] = ids
    return drawn


def _write_frames(folder: Path, ids: Mapping[str, np.ndarray], seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 255, (256, 3)).astype(np.float32)
    for stem, mask in ids.items():
        slope = np.linspace(0.3, 1.0, mask.shape[1], dtype=np.float32)[None, :, None]
        picture = np.where(mask[:, :, None] > 0, colours[mask], colours[0] * slope)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{stem}.jpg", quality=90)


def _write_masks(folder: Path, ids: Mapping[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, mask in ids.items():
        (folder / f"{stem}.png").write_bytes(encode_mask(mask))


def _write_list(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
