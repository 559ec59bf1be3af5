"""Data sets of training clips.

A data set answers any position from 0 on. A position is (epoch, place in that epoch's random order), and everything
drawn for it comes from a generator seeded with (seed, position): neither the number of workers nor where a run was
interrupted changes what it holds.

Letters: B batch, T frames, K objects, H W size of the crop.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from oneshot_vos.clips import composed, exact
from oneshot_vos.clips.batch import VOID_TARGET, Clip
from oneshot_vos.clips.merging import Cut, paste
from oneshot_vos.clips.sampling import ClipSampler
from oneshot_vos.clips.transforms import ClipTransform, StaticTransform
from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import ORIENTATION_TAG, decoding, open_image, read_frame
from oneshot_vos.videos.masks import VOID, Ids, read_small_mask
from oneshot_vos.videos.pairs import ImagePair, read_objects
from oneshot_vos.videos.video import Video

T = TypeVar("T")
FrameReader = Callable[[Path], NDArray[np.uint8]]

# Keeps the random numbers of different uses apart, whatever the seed.
_ORDER_TAG, _STILL_TAG, _CLIP_TAG = 1, 2, 3
_TRIALS = 5
_AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_VISIBLE = 0.001  # share of the crop that a still image's object must fill in the first copy


def read_frame_quickly(path: Path) -> np.ndarray:
    """`read_frame`, with plain JPEG files decoded by OpenCV, in two thirds of the time.

    Both libraries decode with libjpeg-turbo, so the pixels are equal where their versions are; a frame that must be
    the same everywhere is read with `read_frame`. Anything but a complete, upright RGB JPEG is left to `read_frame`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return read_frame(path)
    if not content.startswith(b"\xff\xd8") or not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        return read_frame(path)
    with decoding(path, "a complete JPEG image"), open_image(io.BytesIO(content), path) as image:
        plain = image.mode == "RGB" and image.getexif().get(ORIENTATION_TAG, 1) == 1
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED) if plain else None
    return read_frame(path) if decoded is None else decoded


class ShuffledEpochs(Generic[T]):
    """An endless sequence of `items`, in a new random order every epoch; the same for the same seed."""

    def __init__(self, items: Sequence[T], seed: int) -> None:
        self._items = items
        self._seed = seed
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: int) -> T:
        epoch, place = divmod(position, len(self._items))
        if epoch != self._epoch:
            self._order = np.random.default_rng((self._seed, _ORDER_TAG, epoch)).permutation(len(self._items))
            self._epoch = epoch
        return self._items[self._order[place]]


@dataclass(frozen=True)
class StillSource:
    """One set of still images; each image comes `copies` times per epoch."""

    name: str
    pairs: Sequence[ImagePair]
    copies: int = 1


class StaticDataset(Dataset[Clip]):
    """Clips made of single images: every frame is another warped copy of one image.

    An image with several instances lends up to `objects` random ones; its other instances are background. All frames
    are labelled. Frame 0's masks are soft, or `hard` (0 or 1); targets are masks > 0.5. An object that leaves frame 0
    is drawn again, at most five times; after that the clip is kept with what is left, `present` saying what that is.
    """

    def __init__(
        self, sources: Sequence[StillSource], transform: StaticTransform, *, objects: int, seed: int, hard: bool = False
    ) -> None:
        entries = [(source.name, pair) for source in sources for pair in source.pairs for _ in range(source.copies)]
        if not entries:
            raise UserError("static pretraining: none of the sets has an image; expected at least one image–mask pair")
        self._entries = ShuffledEpochs(entries, seed)
        self._transform = transform
        self._read_frame = _frame_reader(transform)
        self._objects = objects
        self._seed = seed
        self._hard = hard

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self._entries)

    def __getitem__(self, position: int) -> Clip:
        cv2.setNumThreads(0)  # one clip, one core: the workers are the parallelism
        rng = np.random.default_rng((self._seed, _STILL_TAG, position))
        source, pair = self._entries[position]
        way = _way(self._transform)
        image, planes = self._read_frame(pair.image), read_objects(pair.mask)
        height, width = image.shape[:2]
        if planes:
            _require_same_size(pair.mask, planes[0], pair.image, image)
        for _ in range(_TRIALS):
            chosen = rng.permutation(len(planes))[: self._objects]
            draw = self._transform.draw(rng, height, width)
            masks = way.still_masks([planes[i] for i in chosen], draw)
            seen = (masks[0] > 0.5).mean(axis=(1, 2)) >= _VISIBLE
            if seen.all() and len(seen):
                break
        if self._hard:
            masks = (masks > 0.5).astype(np.float32)
        return _still_clip(way.still_images(image, draw), masks[:, seen], self._objects, f"{source}/{pair.name}")


def _way(transform: StaticTransform | ClipTransform) -> ModuleType:
    """What carries out the draws of a transform."""
    return exact if transform.exact else composed


def _frame_reader(transform: StaticTransform | ClipTransform) -> FrameReader:
    """Transforms that are exact get exact frames."""
    return read_frame if transform.exact else read_frame_quickly


def _still_clip(frames: NDArray[np.float32], masks: NDArray[np.float32], objects: int, name: str) -> Clip:
    """Pack images [T, 3, H, W] and soft masks [T, K', H, W] of K' ≤ `objects` visible objects."""
    times, count, height, width = masks.shape
    first_masks = np.zeros((objects, height, width), np.float32)
    first_masks[:count] = masks[0]
    targets = np.zeros((times, height, width), np.int64)
    for k in range(count):
        targets[masks[:, k] > 0.5] = k + 1
    return Clip(
        torch.from_numpy(frames),
        torch.from_numpy(first_masks),
        torch.from_numpy(targets),
        torch.ones(times, dtype=torch.bool),
        _present(count, objects),
        name,
    )


def _present(count: int, objects: int) -> Tensor:
    """Which objects exist: the first `count`, and object 1 always: a clip without any still needs one to predict."""
    return (torch.arange(objects) < max(count, 1)).float()


@dataclass(frozen=True)
class ClipSource:
    """One set of videos: each comes `copies` times per epoch, and its frame distances are divided by `skip_divisor`.

    The divisor is for sets of which only every n-th frame is there (YouTube-VOS: 5). With `by_frame` a video comes that
    often for every frame that a clip can start from.
    """

    name: str
    videos: Sequence[Video]
    copies: int = 1
    skip_divisor: int = 1
    by_frame: bool = False


@dataclass(frozen=True)
class _Item:
    """What a clip is cut from: a video, and the frame to start from, None for any."""

    source: ClipSource
    video: Video
    start: int | None


class ClipDataset(Dataset[Clip]):
    """Clips of `frames` frames from videos, with up to `objects` random objects of frame 0.

    Other objects are background. If frame 0 shows no object after the crop, frames and crop are drawn again, at most
    five times; after that the clip is kept without any. Videos that cannot be used are listed in `left_out`: those that
    `sampler` refuses, and with `drop_short` those with fewer frames than a clip. `max_skip` gives the largest frame
    distance at a position. From the position `upright_from` on, frames are neither rotated nor sheared. With
    probability `merge`, and room for more objects, those of a second clip are pasted in; never into one-shot clips.
    """

    def __init__(
        self,
        sources: Sequence[ClipSource],
        sampler: ClipSampler,
        transform: ClipTransform,
        *,
        objects: int,
        frames: int,
        seed: int,
        max_skip: Callable[[int], int],
        drop_short: bool = False,
        upright_from: int | None = None,
        merge: float = 0.0,
    ) -> None:
        self.left_out: list[str] = []
        self._sampler = sampler
        self._transform = transform
        self._read_frame = _frame_reader(transform)
        self._objects = objects
        self._frames = frames
        self._seed = seed
        self._max_skip = max_skip
        self._upright_from = upright_from
        self._merge = 0.0 if sampler.first_only else merge
        self._items = self._usable(sources, frames if drop_short else 0)
        self._entries = ShuffledEpochs(self._items, seed)

    def _usable(self, sources: Sequence[ClipSource], shortest: int) -> list[_Item]:
        items = []
        for source in sources:
            for video in source.videos:
                count = len(video.frames)
                reason = self._sampler.usable(count, video.labelled)
                if reason is None and count < shortest:
                    reason = f"it has {count} frames, a clip has {shortest}"
                if reason is not None:
                    self.left_out.append(f"{source.name}/{video.name}: {reason}")
                    continue
                starts: Sequence[int | None] = [self._start(video)]
                if source.by_frame and video.anchor is None:
                    starts = range(count) if self._sampler.first_only else video.labelled
                items += [_Item(source, video, start) for start in starts] * source.copies
        if not items:
            listed = "; ".join(self.left_out[:3]) or "the sets are empty"
            raise UserError(f"training: no video can be used ({listed}); expected at least one with enough masks")
        return items

    @staticmethod
    def _start(video: Video) -> int | None:
        """The frame that a clip has to start from, if masks that a network made may not be its first."""
        return None if video.anchor is None else [video.stem(t) for t in range(len(video))].index(video.anchor)

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self._entries)

    def __getitem__(self, position: int) -> Clip:
        cv2.setNumThreads(0)  # one clip, one core: the workers are the parallelism
        rng = np.random.default_rng((self._seed, _CLIP_TAG, position))
        cut = self._cut(self._entries[position], position, rng)
        # A recipe that never merges draws nothing here.
        if self._merge and len(cut.objects) < self._objects and rng.random() < self._merge:
            second = self._items[int(rng.integers(len(self._items)))]
            paste(cut, self._cut(second, position, rng))
        return self._pack(cut, rng.permutation(cut.objects)[: self._objects])

    def _cut(self, item: _Item, position: int, rng: np.random.Generator) -> Cut:
        """Choose frames and a crop that shows an object in the first of them, and carry that out."""
        video = item.video
        files = _VideoReader(video, self._read_frame)
        max_skip = max(1, self._max_skip(position) // item.source.skip_divisor)
        transform, way, start = self._transform, _way(self._transform), item.start
        if self._upright_from is not None and position >= self._upright_from:
            transform = transform.upright()
        for _ in range(_TRIALS):
            chosen = self._sampler.sample(len(video.frames), video.labelled, self._frames, max_skip, rng, start)
            height, width = files.image(chosen[0]).shape[:2]
            draw = transform.draw(rng, height, width, self._frames)
            first = way.clip_ids(files.ids(chosen[0]), draw, 0)
            if first.any():
                break
            start = self._start(video)
        else:
            self._refuse_unlabelled(files.ids(chosen[0]), video.mask_path(chosen[0]))
        images = np.empty((len(chosen), 3, transform.crop, transform.crop), np.float32)
        ids: list[Ids | None] = [first]
        for t, frame in enumerate(chosen):
            way.clip_image(files.image(frame), draw, t, images[t])
            if t:
                hidden = self._sampler.first_only or video.mask_path(frame) is None
                ids.append(None if hidden else way.clip_ids(files.ids(frame), draw, t))
        name = f"{item.source.name}/{video.name}@{','.join(video.stem(frame) for frame in chosen)}"
        return Cut(images, ids, name, void=video.anchor is not None)

    def _refuse_unlabelled(self, ids: Ids, file: Path | None) -> None:
        """A first mask without objects teaches nothing for ever; other frames may well be empty."""
        if self._sampler.first_only and not ids.any():
            raise UserError(
                f"{file}: no object in the only mask of its video that may be used; expected at "
                "least one pixel above 0. Label an object there, or take the video out of the list"
            )

    def _pack(self, cut: Cut, objects: NDArray[np.int64]) -> Clip:
        targets = np.zeros((len(cut.ids), *cut.images.shape[2:]), np.int64)
        for t, ids in enumerate(cut.ids):
            if ids is not None:
                targets[t] = sum((ids == drawn) * np.uint8(number) for number, drawn in enumerate(objects, start=1))
                if cut.void:
                    targets[t][ids == VOID] = VOID_TARGET
        first_masks = (targets[0] == np.arange(1, self._objects + 1)[:, None, None]).astype(np.float32)
        return Clip(
            torch.from_numpy(cut.images),
            torch.from_numpy(first_masks),
            torch.from_numpy(targets),
            torch.tensor([ids is not None for ids in cut.ids]),
            _present(len(objects), self._objects),
            cut.name,
        )


class _VideoReader:
    """Frames and masks of one video for one clip: read when asked for, each file once, all of one size."""

    def __init__(self, video: Video, read: FrameReader) -> None:
        self._video = video
        self._read = read
        self._images: dict[int, NDArray[np.uint8]] = {}
        self._ids: dict[int, Ids] = {}

    def image(self, t: int) -> NDArray[np.uint8]:
        """Frame `t`; raises `UserError` if its size is not that of the frames read before."""
        if t not in self._images:
            image = self._read(self._video.frames[t])
            if self._images:
                other, known = next(iter(self._images.items()))
                _require_same_size(self._video.frames[t], image, self._video.frames[other], known)
            self._images[t] = image
        return self._images[t]

    def ids(self, t: int) -> Ids:
        """Object ids of frame `t`, which has a mask; raises `UserError` if mask and frame differ in size."""
        if t not in self._ids:
            path = self._video.masks[self._video.stem(t)]
            ids = read_small_mask(path)
            _require_same_size(path, ids, self._video.frames[t], self.image(t))
            self._ids[t] = (ids > 0).view(np.uint8) if self._video.single_object else ids
        return self._ids[t]


def _require_same_size(path: Path, pixels: NDArray[Any], other: Path, others: NDArray[Any]) -> None:
    if pixels.shape[:2] != others.shape[:2]:
        (height, width), (other_height, other_width) = pixels.shape[:2], others.shape[:2]
        raise UserError(
            f"{path}: {width}x{height} pixels, but {other} has {other_width}x{other_height}; expected frames and masks "
            "of one size within a video (and an image and its mask to match). Resize or replace the file"
        )
