"""Tiny data sets in the exact layout of the public ones: coloured rectangles that move over a gradient.

Every function writes below a folder and returns the true ids, `{video: {frame name: ids uint8 [H,W]}}`, also of frames
whose masks the real set keeps to itself. The same arguments write the same bytes.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
# Clean videos, and dirty ones, as the real set has them: see `_training_videos` and `_validation_videos`.
YOUTUBE_CLEAN = ("003234408d", "0043f083b5", "0044fa5fba")
YOUTUBE_DIRTY = ("0860df21e2", "1903f9ea15", "38eb2bf67f", "3b6e983b5b", "4810c3fbca")
EMPTY_FIRST, RETURNING, SPARSE, TWO_FRAMES, ONE_FRAME = YOUTUBE_DIRTY
YOUTUBE_TRAIN = YOUTUBE_CLEAN + YOUTUBE_DIRTY
YOUTUBE_FAULTY = "01e64dd36a"  # among the seven training videos that the usual training list leaves out
VALID_CLEAN = ("0062f687f1", "00f88c4f0a", "0a7a2514aa")
VALID_DIRTY = ("0b97736357", "0c44a9d545")
YOUTUBE_VALID = VALID_CLEAN + VALID_DIRTY
YOUTUBE_FOLDERS = {2018: "YouTube2018", 2019: "YouTube"}
STATIC_FLAT = ("DUTS-TR", "DUTS-TE", "ecssd", "BIG_small", "HRSOD_small")
CATEGORIES = ("penguin", "person", "skateboard", "cat", "ape")
STRIDE = 5  # YouTube-VOS annotates every fifth frame of a clip


@dataclass(frozen=True)
class FakeObject:
    """A rectangle with an id; `meta.json` lists it from frame `first` to `last`, counted from 0 in the full clip.

    It is seen there but for the frames in `hidden`.
    """

    object_id: int
    first: int
    last: int
    category: str = "penguin"
    hidden: range = range(0)


@dataclass(frozen=True)
class FakeVideo:
    """A video of YouTube-VOS from frame `start` to `end` of the full clip (None: as long as the others).

    size: (height, width), None: that of the others. unmasked: annotated frames whose mask is not there. added:
    validation frames with a mask where meta.json lets nothing begin, and the ids that it shows.
    """

    name: str
    objects: tuple[FakeObject, ...]
    start: int = 0
    end: int | None = None
    size: tuple[int, int] | None = None
    unmasked: tuple[int, ...] = ()
    added: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def draw(self, seed: int, frames: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """The true ids of every frame of the clip."""
        times = range(self.start, frames if self.end is None else min(frames, self.end + 1))
        return _draw_ids(seed, self.objects, times, self.size or size)


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
    for year, train, val in (("2017", DAVIS_TRAIN, DAVIS_VAL), ("2016", DAVIS_2016_TRAIN, DAVIS_2016_VAL)):
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
      that appears late, one that leaves, and ids with a gap. The videos in `YOUTUBE_DIRTY` are as flawed as real ones.
    - valid: frames of every fifth frame; a mask only where an object is first annotated, showing the new objects
      alone; `meta.json` has no categories, and an object's frames begin with its first annotation. `VALID_DIRTY` are
      flawed, too.
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
    for number, video in enumerate(_training_videos(frames - 1)):
        truth[video.name] = ids = video.draw(number, frames, size)
        fifth = {stem: mask for stem, mask in ids.items() if int(stem) % STRIDE == 0}
        masks = {stem: mask for stem, mask in fifth.items() if int(stem) not in video.unmasked}
        _write_frames(root / "JPEGImages" / video.name, fifth, number)
        _write_masks(root / "Annotations" / video.name, masks)
        meta[video.name] = {"objects": _described(video.objects, fifth, with_category=True)}
    write_json(root / "meta.json", {"videos": meta})
    return truth


def make_youtube_valid(
    root: Path, all_frames: Path | None, *, frames: int = 22, size: tuple[int, int] = (48, 64)
) -> Truth:
    """The validation package at `root` and, where given, the one with all frames at `all_frames`."""
    truth: Truth = {}
    meta = {}
    for number, video in enumerate(_validation_videos(frames - 1), start=100):
        truth[video.name] = ids = video.draw(number, frames, size)
        fifth = {stem: mask for stem, mask in ids.items() if int(stem) % STRIDE == 0}
        _write_frames(root / "JPEGImages" / video.name, fifth, number)
        masks = _first_annotations(video.objects, fifth)
        masks |= {f"{frame:05d}": _only(ids[f"{frame:05d}"], shown) for frame, shown in video.added.items()}
        _write_masks(root / "Annotations" / video.name, masks)
        if all_frames is not None:
            _write_frames(all_frames / "JPEGImages" / video.name, ids, number)
        meta[video.name] = {"objects": _described(video.objects, fifth, with_category=False)}
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


def make_raw(root: Path) -> None:
    """What `fetch paper` and `resize-youtube` leave, but for the size."""
    make_davis2017(root / "DAVIS/2017/trainval")
    make_davis2016(root / "DAVIS/2016")
    for year in (2018, 2019):
        make_youtube(root, year)
    make_static(root / "static")
    for part in ("JPEGImages", "Annotations"):
        shutil.copytree(root / "YouTube2018/train" / part, root / "YouTube2018/train_480p" / part)


def _training_videos(last: int) -> list[FakeVideo]:
    """Clips up to frame `last`: clean ones, those in the order of `YOUTUBE_DIRTY`, and the faulty one."""
    whole = range(last + 1)
    return [
        FakeVideo(YOUTUBE_CLEAN[0], (FakeObject(1, 0, last),)),
        FakeVideo(YOUTUBE_CLEAN[1], (FakeObject(1, 5, last, "person"), FakeObject(2, 5, last, "skateboard")), start=5),
        FakeVideo(
            YOUTUBE_CLEAN[2],
            (FakeObject(1, 0, last, "person"), FakeObject(2, 0, 9, "cat"), FakeObject(4, 10, last, "cat")),
        ),
        # meta.json lists the object from the first frame on, whose mask is empty; an odd size.
        FakeVideo(EMPTY_FIRST, (FakeObject(1, 0, last, "person", range(5)),), size=(51, 67)),
        # The first two masks are empty; one object vanishes and returns, one is listed but never shown.
        FakeVideo(
            RETURNING,
            (
                FakeObject(1, 10, last, "person"),
                FakeObject(2, 10, last, "ape", range(14, 18)),
                FakeObject(3, 0, last, "person", whole),
            ),
        ),
        # A frame of which the mask is missing, though meta.json lists it; an object of one frame.
        FakeVideo(SPARSE, (FakeObject(1, 0, last, "person"), FakeObject(2, 10, 10, "cat")), unmasked=(5,)),
        FakeVideo(TWO_FRAMES, (FakeObject(1, 0, 9, "person"),), end=9, size=(77, 45)),
        FakeVideo(ONE_FRAME, (FakeObject(1, 0, 4, "person"),), end=4),
        FakeVideo(YOUTUBE_FAULTY, (FakeObject(1, 0, last, "cat"),)),
    ]


def _validation_videos(last: int) -> list[FakeVideo]:
    """Clips up to frame `last`: clean ones, then those of `VALID_DIRTY`."""
    return [
        FakeVideo(VALID_CLEAN[0], (FakeObject(1, 0, last), FakeObject(2, 0, last))),
        FakeVideo(VALID_CLEAN[1], (FakeObject(1, 0, last), FakeObject(3, 10, last))),
        # Nothing is annotated at the clip's first frame.
        FakeVideo(VALID_CLEAN[2], (FakeObject(2, 10, last),), start=5),
        # The first mask is empty and lists nothing; an object vanishes and returns, one is listed but never shown.
        FakeVideo(
            VALID_DIRTY[0],
            (
                FakeObject(1, 5, last, hidden=range(8, 14)),
                FakeObject(2, 10, 10),
                FakeObject(3, 5, last, hidden=range(last + 1)),
            ),
            size=(51, 67),
            added={0: ()},
        ),
        # Two annotated frames; an object is shown a mask later than listed.
        FakeVideo(VALID_DIRTY[1], (FakeObject(1, 0, 9), FakeObject(2, 0, 9, hidden=range(5))), end=9, added={5: (2,)}),
    ]


def _first_annotations(objects: Sequence[FakeObject], ids: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each frame in which objects are first annotated: these objects and nothing else."""
    shown = {}
    for frame in sorted({item.first for item in objects}):
        new = [item.object_id for item in objects if item.first == frame]
        shown[f"{frame:05d}"] = _only(ids[f"{frame:05d}"], new)
    return shown


def _only(mask: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    return np.where(np.isin(mask, wanted), mask, 0).astype(np.uint8)


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
            if item.first <= frame <= item.last and frame not in item.hidden:
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
