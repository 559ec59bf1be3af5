"""What every network offers, to training and to inference alike.

Letters: B batch, K objects, H W image size, h w = H/16 W/16, CK key channels, CV value channels.

The life of a clip, in either use:

    state = network.initial_state(features[0], objects)
    frame, state = network.memorise(features[0], masks, state)   # reference frame and its masks
    memory.add(frame)
    prediction, state = network.segment(features[1], memory, state)
    ...
"""

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

# Recurrent state: tensors [B, K, ...]; empty for networks without one.
State = tuple[Tensor, ...]
# What depends on the image alone: a NamedTuple of tensors, batch first.
F = TypeVar("F", bound=tuple[Any, ...])


class Prediction(NamedTuple):
    """The masks of one frame."""

    logits: Tensor  # B K+1 H W, background first; softmax over dim 1 gives probabilities
    masks: Tensor  # B K H W in [0, 1], without background
    auxiliary: dict[str, Tensor]  # outputs that only the network's own loss reads


class MemoryFrame(NamedTuple):
    """One frame as it enters the memory."""

    key: Tensor  # B CK h w
    shrinkage: Tensor | None  # B 1 h w
    value: Tensor  # B K CV h w
    summary: Tensor | None  # B K ...: object-level memory, where a network has one


class Memory(Protocol):
    """Where memory frames go and where readouts come from; how much is kept and read is the memory's business."""

    def add(self, frame: MemoryFrame) -> None:
        """Append one frame."""

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        """Read with the query key [B, CK, h, w] (and selection, same shape): one value per object [B, K, CV, h, w]."""


class Network(nn.Module, ABC, Generic[F]):
    """The base of every network; a network adds nothing to this that training or inference would have to know.

    `recurrent` says that a state travels from frame to frame, so that a backward pass needs two steps to fill it.
    """

    recurrent: bool = False
    stride: int = 16  # height and width of an image must be multiples of this

    @abstractmethod
    def encode(self, image: Tensor) -> F:
        """Features of images [B, 3, H, W] (RGB, ImageNet-normalised)."""

    @abstractmethod
    def initial_state(self, features: F, objects: int) -> State:
        """State before the first frame, for `objects` objects."""

    @abstractmethod
    def memorise(self, features: F, masks: Tensor, state: State) -> tuple[MemoryFrame, State]:
        """Turn a frame and its masks [B, K, H, W] in [0, 1] into a memory frame; does not touch any memory."""

    @abstractmethod
    def segment(
        self, features: F, memory: Memory, state: State, present: Tensor | None = None
    ) -> tuple[Prediction, State]:
        """Predict the masks of a frame. `present` [B, K] in {0, 1} switches absent objects of a batch off."""
