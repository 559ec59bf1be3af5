"""Data sets of training clips, and the batches made of them.

A data set answers any position from 0 on. A position is (epoch, place in that epoch's random order), and everything
drawn for it comes from a generator seeded with (seed, position): neither the number of workers nor where a run was
interrupted changes what it holds.

Letters: B batch, T frames, K objects, H W size of the crop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from oneshot_vos.clips.draws import ClipDraw
from oneshot_vos.clips.frames import read_frame_quickly
from oneshot_vos.clips.sampling import ClipSampler
from oneshot_vos.clips.transforms import ClipTransform, StaticTransform
from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import Ids, object_ids, read_small_mask
from oneshot_vos.videos.pairs import ImagePair, read_objects
from oneshot_vos.videos.video import Video

T = TypeVar("T")
FrameReader = Callable[[Path], NDArray[np.uint8]]

# Keeps the random numbers of different uses apart, whatever the seed.
_ORDER_TAG, _STILL_TAG, _CLIP_TAG = 1, 2, 3
_TRIALS = 5
_VISIBLE = 0.001  # share of the crop that a still image's object must fill in the first copy


@dataclass
class Clip:
    """One clip: a `ClipBatch` without its batch dimension."""

    frames: Tensor  # T 3 H W float32, ImageNet-normalised
    first_masks: Tensor  # K H W float32 in [0, 1]
    targets: Tensor  # T H W int64
    labelled: Tensor  # T bool
    present: Tensor  # K float32
    name: str


@dataclass
class ClipBatch:
    """Clips of equal size."""

    frames: Tensor  # B T 3 H W float32, ImageNet-normalised
    first_masks: Tensor  # B K H W float32 in [0, 1]: the masks of frame 0; zero for absent objects
    targets: Tensor  # B T H W int64: 0 background, 1..K objects; says something only where `labelled`
    labelled: Tensor  # B T bool
    present: Tensor  # B K float32 in {0, 1}
    names: list[str]  # "set/video@00000,00005,00007": for messages

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> "ClipBatch":
        """The same batch on `device`; copies from pinned memory overlap with computation."""
        return ClipBatch(
            self.frames.to(device, non_blocking=non_blocking),
            self.first_masks.to(device, non_blocking=non_blocking),
            self.targets.to(device, non_blocking=non_blocking),
            self.labelled.to(device, non_blocking=non_blocking),
            self.present.to(device, non_blocking=non_blocking),
            self.names,
        )

    def pin_memory(self) -> "ClipBatch":
        """The same batch in page-locked memory; `torch.utils.data.DataLoader` calls this when asked to pin."""
        return ClipBatch(
            self.frames.pin_memory(),
            self.first_masks.pin_memory(),
            self.targets.pin_memory(),
            self.labelled.pin_memory(),
            self.present.pin_memory(),
            self.names,
        )


def collate(clips: Sequence[Clip]) -> ClipBatch:
    """Stack clips into a batch."""
    return ClipBatch(
        torch.stack([clip.frames for clip in clips]),
        torch.stack([clip.first_masks for clip in clips]),
        torch.stack([clip.targets for clip in clips]),
        torch.stack([clip.labelled for clip in clips]),
        torch.stack([clip.present for clip in clips]),
        [clip.name for clip in clips],
    )


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
    are labelled. Frame 0's masks are soft, targets are masks > 0.5. An object that leaves frame 0 is drawn again, at
    most five times; after that the clip is kept with whatever is left, `present` saying what that is.
    """

    def __init__(self, sources: Sequence[StillSource], transform: StaticTransform, *, objects: int, seed: int) -> None:
        entries = [(source.name, pair) for source in sources for pair in source.pairs for _ in range(source.copies)]
        if not entries:
            raise UserError("static pretraining: none of the sets has an image; expected at least one image–mask pair")
        self._entries = ShuffledEpochs(entries, seed)
        self._transform = transform
        self._read_frame = _frame_reader(transform)
        self._objects = objects
        self._seed = seed

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self._entries)

    def __getitem__(self, position: int) -> Clip:
        cv2.setNumThreads(0)  # one clip, one core: the workers are the parallelism
        rng = np.random.default_rng((self._seed, _STILL_TAG, position))
        source, pair = self._entries[position]
        image, planes = self._read_frame(pair.image), read_objects(pair.mask)
        height, width = image.shape[:2]
        if planes:
            _require_same_size(pair.mask, planes[0], pair.image, image)
        for _ in range(_TRIALS):
            chosen = rng.permutation(len(planes))[: self._objects]
            draw = self._transform.draw(rng, height, width)
            masks = self._transform.masks([planes[i] for i in chosen], draw)
            seen = (masks[0] > 0.5).mean(axis=(1, 2)) >= _VISIBLE
            if seen.all() and len(seen):
                break
        return _still_clip(self._transform.images(image, draw), masks[:, seen], self._objects, f"{source}/{pair.name}")


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

    The divisor is for sets of which only every n-th frame is there (YouTube-VOS: 5).
    """

    name: str
    videos: Sequence[Video]
    copies: int = 1
    skip_divisor: int = 1


class ClipDataset(Dataset[Clip]):
    """Clips of `frames` frames from videos, with up to `objects` random objects of frame 0.

    Other objects are background. If frame 0 shows no object after the crop, frames and crop are drawn again, at most
    five times; after that the clip is kept without any. Videos that `sampler` cannot use are listed in `left_out`.
    `max_skip` gives the largest frame distance at a position.
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
    ) -> None:
        self.left_out: list[str] = []
        self._entries = ShuffledEpochs(self._usable(sources, sampler), seed)
        self._sampler = sampler
        self._transform = transform
        self._read_frame = _frame_reader(transform)
        self._objects = objects
        self._frames = frames
        self._seed = seed
        self._max_skip = max_skip

    def _usable(self, sources: Sequence[ClipSource], sampler: ClipSampler) -> list[tuple[ClipSource, Video]]:
        entries = []
        for source in sources:
            for video in source.videos:
                reason = sampler.usable(len(video.frames), video.labelled)
                if reason is None:
                    entries += [(source, video)] * source.copies
                else:
                    self.left_out.append(f"{source.name}/{video.name}: {reason}")
        if not entries:
            listed = "; ".join(self.left_out[:3]) or "the sets are empty"
            raise UserError(f"training: no video can be used ({listed}); expected at least one with enough masks")
        return entries

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self._entries)

    def __getitem__(self, position: int) -> Clip:
        cv2.setNumThreads(0)  # one clip, one core: the workers are the parallelism
        rng = np.random.default_rng((self._seed, _CLIP_TAG, position))
        source, video = self._entries[position]
        files = _VideoReader(video, self._read_frame)
        max_skip = max(1, self._max_skip(position) // source.skip_divisor)
        for _ in range(_TRIALS):
            chosen = self._sampler.sample(len(video.frames), video.labelled, self._frames, max_skip, rng)
            height, width = files.image(chosen[0]).shape[:2]
            draw = self._transform.draw(rng, height, width, self._frames)
            first = self._transform.ids(files.ids(chosen[0]), draw, 0)
            seen = object_ids(first)
            if seen:
                break
        else:
            self._refuse_unlabelled(files, chosen[0])
        objects = rng.permutation(seen)[: self._objects]
        return self._pack(files, chosen, draw, first, objects, f"{source.name}/{video.name}")

    def _refuse_unlabelled(self, files: "_VideoReader", frame: int) -> None:
        """A first mask without objects teaches nothing for ever; other frames may well be empty."""
        if self._sampler.first_only and not files.ids(frame).any():
            raise UserError(
                f"{files.mask_path(frame)}: no object in the only mask of its video that may be used; expected at "
                "least one pixel above 0. Label an object there, or take the video out of the list"
            )

    def _pack(
        self,
        files: "_VideoReader",
        chosen: Sequence[int],
        draw: ClipDraw,
        first: Ids,
        objects: NDArray[np.int64],
        name: str,
    ) -> Clip:
        crop = self._transform.crop
        images = np.empty((len(chosen), 3, crop, crop), np.float32)
        targets = np.zeros((len(chosen), crop, crop), np.int64)
        labelled = np.zeros(len(chosen), np.bool_)
        for t, frame in enumerate(chosen):
            self._transform.image(files.image(frame), draw, t, images[t])
            if t == 0:
                ids: Ids | None = first
            elif self._sampler.first_only or files.mask_path(frame) is None:
                ids = None
            else:
                ids = self._transform.ids(files.ids(frame), draw, t)
            if ids is not None:
                labelled[t] = True
                targets[t] = sum((ids == drawn) * np.uint8(number) for number, drawn in enumerate(objects, start=1))
        first_masks = (targets[0] == np.arange(1, self._objects + 1)[:, None, None]).astype(np.float32)
        return Clip(
            torch.from_numpy(images),
            torch.from_numpy(first_masks),
            torch.from_numpy(targets),
            torch.from_numpy(labelled),
            _present(len(objects), self._objects),
            f"{name}@{','.join(files.stem(frame) for frame in chosen)}",
        )


class _VideoReader:
    """Frames and masks of one video for one clip: read when asked for, each file once, all of one size."""

    def __init__(self, video: Video, read: FrameReader) -> None:
        self._video = video
        self._read = read
        self._images: dict[int, NDArray[np.uint8]] = {}
        self._ids: dict[int, Ids] = {}

    def stem(self, t: int) -> str:
        return self._video.stem(t)

    def mask_path(self, t: int) -> Path | None:
        return self._video.mask_path(t)

    def image(self, t: int) -> NDArray[np.uint8]:
        """Frame `t`; raises `UserError` if its size is not that of the frames read before."""
        if t not in self._images:
            image = self._read(self._video.frames[t])
            for other, known in self._images.items():
                _require_same_size(self._video.frames[t], image, self._video.frames[other], known)
                break
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
