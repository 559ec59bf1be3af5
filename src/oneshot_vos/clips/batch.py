"""Training clips and batches of them, as strategies and the training loop take them.

Letters: B batch, T frames, K objects, H W size of the crop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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

    def to(self, device: torch.device | str) -> "ClipBatch":
        """The same batch on `device`, but `present`; copies from pinned memory overlap with computation.

        `present` stays on the processor, where a loss can count objects without waiting for a GPU.
        """
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "ClipBatch":
        """The same batch in page-locked memory; `torch.utils.data.DataLoader` calls this when asked to pin."""
        return replace(self._each(Tensor.pin_memory), present=self.present.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ClipBatch":
        """Every tensor changed, but `present`."""
        frames, first_masks, targets = change(self.frames), change(self.first_masks), change(self.targets)
        return replace(self, frames=frames, first_masks=first_masks, targets=targets, labelled=change(self.labelled))


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
