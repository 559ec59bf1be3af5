"""Training clips and batches of them, as strategies and the training loop take them.

Letters: B batch, T frames, K objects, H W size of the crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

VOID_TARGET = -100  # a pixel that no loss looks at: what cross-entropy ignores


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
    targets: Tensor  # B T H W int64: 0 background, 1..K objects, -100 void; says something only where `labelled`
    labelled: Tensor  # B T bool
    present: Tensor  # B K float32 in {0, 1}
    names: list[str]  # "set/video@00000,00005,00007": for messages

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> "ClipBatch":
        """The same batch on `device`, but `present`; copies from pinned memory overlap with computation.

        `present` stays on the processor, where a loss can count objects without waiting for a GPU.
        """
        return ClipBatch(
            self.frames.to(device, non_blocking=non_blocking),
            self.first_masks.to(device, non_blocking=non_blocking),
            self.targets.to(device, non_blocking=non_blocking),
            self.labelled.to(device, non_blocking=non_blocking),
            self.present,
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
