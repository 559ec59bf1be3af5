"""A recurrent network that only takes notes of what it is asked."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from oneshot_vos.networks.common.interface import Decoded, Memory, MemoryFrame, Network, State


class Features(NamedTuple):
    image: Tensor
    key: Tensor


class Notes(Network):
    """Its state counts decoded frames, and memorised ones in hundreds; a summary is 1 per memorised frame."""

    recurrent = True

    def __init__(self, *, black_border: bool = False) -> None:
        super().__init__()
        self.black_border = black_border
        self.images: list[Tensor] = []
        self.decoded: list[dict[str, Any]] = []
        self.memorised: list[list[float]] = []

    def encode(self, image: Tensor) -> Features:
        self.images.append(image)
        return Features(image, 10 * image[:, :, ::16, ::16])

    def initial_state(self, features: Features, objects: int) -> State:
        return (torch.zeros(1, objects, 1),)

    def memorise(
        self, features: Features, masks: Tensor, state: State, *, deep: bool = True
    ) -> tuple[MemoryFrame, State]:
        self.memorised.append(state[0].flatten().tolist())
        frame = MemoryFrame(features.key, None, None, masks[:, :, None, ::16, ::16], torch.ones(1, masks.shape[1], 1))
        return frame, (state[0] + 100,) if deep else state

    def decode(
        self,
        features: Features,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        summary = memory.summary
        assert summary is not None
        self.decoded.append(
            {
                "state": state[0].flatten().tolist(),
                "previous": previous[0].argmax(0).unique(return_counts=True)[1].tolist(),
                "means": previous.mean((2, 3)).flatten().tolist(),
                "summary": summary.flatten().tolist(),
            }
        )
        readout = memory.read(features.key, None)[:, :, 0]
        logits = torch.logit((0.9 * readout.clamp(0, 1)).repeat_interleave(16, 2).repeat_interleave(16, 3), eps=1e-7)
        return Decoded(logits, {}), (state[0] + 1,) if update else state
