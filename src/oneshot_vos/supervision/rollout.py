"""Walking through a clip: encode its frames, then predict one frame after another.

Letters: B batch, T frames, K objects, H W image size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network, Prediction
from oneshot_vos.networks.common.memory import ClipMemory


def encode_clip(network: Network, frames: Tensor, learn: Sequence[int]) -> list[Any]:
    """Encode every frame of a clip [B, T, 3, H, W] once; returns the features of each frame, batch B.

    Only the frames in `learn` carry a gradient. The others are encoded without one: they are passed through, but no
    loss reaches them.
    """
    times = range(frames.shape[1])
    with_gradient = [t for t in times if t in set(learn)]
    without = [t for t in times if t not in set(learn)]
    features: dict[int, Any] = {}
    if with_gradient:
        features.update(_encode(network, frames, with_gradient))
    if without:
        with torch.no_grad():
            features.update(_encode(network, frames, without))
    return [features[t] for t in times]


def _encode(network: Network, frames: Tensor, times: list[int]) -> dict[int, Any]:
    """Encode the frames at `times` in one batch, time-major so that each frame's features are one block of memory."""
    batch = frames.shape[0]
    images = torch.cat([frames[:, t] for t in times])  # (T B) 3 H W; a list as an index would wait for a GPU
    encoded = network.encode(images.contiguous(memory_format=torch.channels_last))
    blocks = [slice(i * batch, (i + 1) * batch) for i in range(len(times))]
    return {t: type(encoded)(*(x[block] for x in encoded)) for t, block in zip(times, blocks, strict=True)}


@dataclass(frozen=True)
class RolloutOptions:
    """How clips are walked through in training, as the recipe says.

    memory_frames: most frames that are read at once, see `ClipMemory`; None for all.
    deep_update: probability that a recurrent state takes up a predicted frame that enters the memory. It always takes
        up the reference frame. One draw for all clips of an iteration.
    handover: form in which the last prediction is handed over to the backward walk, see `one_shot.HANDOVERS`.
    """

    memory_frames: int | None = None
    deep_update: float = 0.0
    handover: str = "soft"

    def draw_deep_updates(self, frames: int, generator: torch.Generator) -> list[bool]:
        """For each of `frames` frames to memorise, whether it is a deep update; the first is the reference."""
        draws = torch.rand(max(frames - 1, 0), generator=generator)
        return [True, *(draws < self.deep_update).tolist()]


def propagate(
    network: Network,
    features: Sequence[Any],
    order: Sequence[int],
    first_masks: Tensor,
    present: Tensor,
    options: RolloutOptions,
    generators: Generators,
) -> list[Prediction]:
    """Predict the frames `order[1:]`, each from all frames before it in `order`.

    `first_masks` [B, K, H, W] in [0, 1] are the masks of frame `order[0]`; every later frame enters the memory with its
    own soft prediction (equation 1 of the paper). `present` [B, K], on any device, marks the objects that exist.
    Returns one prediction for each frame of `order[1:]`.
    """
    memory = ClipMemory(most=options.memory_frames, keep_first=network.reads_first_frame, generators=generators.clips)
    state = network.initial_state(features[order[0]], first_masks.shape[1])
    deep_updates = options.draw_deep_updates(len(order) - 1, generators.iteration)
    present = present.to(first_masks.device, non_blocking=True)
    masks, predictions = first_masks, []
    for (here, onward), deep in zip(pairwise(order), deep_updates, strict=True):
        frame, state = network.memorise(features[here], masks, state, deep=deep)
        memory.add(frame)
        more_to_come = onward != order[-1]
        prediction, state = network.segment(features[onward], memory, state, masks, present, update=more_to_come)
        masks = prediction.masks
        predictions.append(prediction)
    return predictions
