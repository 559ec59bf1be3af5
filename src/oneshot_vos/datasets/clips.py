"""Data sets of training clips, and the batches made of them.

A data set answers any position from 0 on. A position is (epoch, place in that epoch's random order), and everything
drawn for it comes from a generator seeded with (seed, position): neither the number of workers nor where a run was
interrupted changes what it holds.

Letters: B batch, T frames, K objects, H W size of the crop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from oneshot_vos.datasets.images import read_frame
from oneshot_vos.datasets.static import ImagePair, read_objects
from oneshot_vos.datasets.transforms import StaticTransform
from oneshot_vos.errors import UserError

T = TypeVar("T")

# Keeps the random numbers of different uses apart, whatever the seed.
_ORDER_TAG, _STILL_TAG, _CLIP_TAG = 1, 2, 3
_TRIALS = 5
_VISIBLE = 0.001  # share of the crop that a still image's object must fill in the first copy


@dataclass
class Clip:
    """One clip: a `ClipBatch` without its batch dimension."""

    frames: Tensor  # T 3 H W float32, ImageNet-normalised
    reference: Tensor  # K H W float32 in [0, 1]
    targets: Tensor  # T H W int64
    labelled: Tensor  # T bool
    present: Tensor  # K float32
    name: str


@dataclass
class ClipBatch:
    """Clips of equal size."""

    frames: Tensor  # B T 3 H W float32, ImageNet-normalised
    reference: Tensor  # B K H W float32 in [0, 1]: the masks of frame 0; zero for absent objects
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
            self.reference.to(device, non_blocking=non_blocking),
            self.targets.to(device, non_blocking=non_blocking),
            self.labelled.to(device, non_blocking=non_blocking),
            self.present.to(device, non_blocking=non_blocking),
            self.names,
        )

    def pin_memory(self) -> "ClipBatch":
        """The same batch in page-locked memory; `torch.utils.data.DataLoader` calls this when asked to pin."""
        return ClipBatch(
            self.frames.pin_memory(),
            self.reference.pin_memory(),
            self.targets.pin_memory(),
            self.labelled.pin_memory(),
            self.present.pin_memory(),
            self.names,
        )


def collate(clips: Sequence[Clip]) -> ClipBatch:
    """Stack clips into a batch."""
    return ClipBatch(
        torch.stack([clip.frames for clip in clips]),
        torch.stack([clip.reference for clip in clips]),
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

    def __init__(
        self, sources: Sequence[StillSource], transform: StaticTransform, *, objects: int, seed: int
    ) -> None:
        entries = [(source.name, pair) for source in sources for pair in source.pairs for _ in range(source.copies)]
        if not entries:
            raise UserError("static pretraining: none of the sets has an image; expected at least one image–mask pair")
        self._entries = ShuffledEpochs(entries, seed)
        self._transform = transform
        self._objects = objects
        self._seed = seed

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self._entries)

    def __getitem__(self, position: int) -> Clip:
        cv2.setNumThreads(0)  # one clip, one core: the workers are the parallelism
        rng = np.random.default_rng((self._seed, _STILL_TAG, position))
        source, pair = self._entries[position]
        image, planes = read_frame(pair.image), read_objects(pair.mask)
        height, width = image.shape[:2]
        if planes and planes[0].shape != (height, width):
            raise UserError(
                f"{pair.mask}: {planes[0].shape[1]}×{planes[0].shape[0]} pixels, but its image {pair.image.name} has "
                f"{width}×{height}; image and mask must be of one size"
            )
        for _ in range(_TRIALS):
            chosen = rng.choice(len(planes), min(self._objects, len(planes)), replace=False) if planes else []
            draw = self._transform.draw(rng, height, width)
            masks = self._transform.masks([planes[i] for i in chosen], draw)
            seen = (masks[0] > 0.5).mean(axis=(1, 2)) >= _VISIBLE
            if seen.all() and len(seen):
                break
        return _still_clip(self._transform.images(image, draw), masks[:, seen], self._objects, f"{source}/{pair.name}")


def _still_clip(
    frames: NDArray[np.float32], masks: NDArray[np.float32], objects: int, name: str
) -> Clip:
    """Pack images [T, 3, H, W] and soft masks [T, K', H, W] of K' ≤ `objects` visible objects."""
    times, count, height, width = masks.shape
    reference = np.zeros((objects, height, width), np.float32)
    reference[:count] = masks[0]
    targets = np.zeros((times, height, width), np.int64)
    for k in range(count):
        targets[masks[:, k] > 0.5] = k + 1
    return Clip(
        torch.from_numpy(frames),
        torch.from_numpy(reference),
        torch.from_numpy(targets),
        torch.ones(times, dtype=torch.bool),
        _present(count, objects),
        name,
    )


def _present(count: int, objects: int) -> Tensor:
    """Which objects exist: the first `count`, and object 1 always (an empty clip trains the network to stay silent)."""
    return (torch.arange(objects) < max(count, 1)).float()
