"""What every network offers, to training and to inference alike.

Letters: B batch, K objects, H W image size, h w = H/16 W/16, CK key channels, CV value channels.

The life of a clip, in either use:

    state = network.initial_state(features[0], objects)
    frame, state = network.memorise(features[0], masks, state)   # reference frame and its masks
    memory.add(frame)
    prediction, state = network.segment(features[1], memory, state, masks)
    ...

A network says once how it differs from others: by the class attributes of `Network` and by what it overrides.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from oneshot_vos.networks.common.aggregation import aggregate_logits
from oneshot_vos.networks.common.timm_trunk import backbone_rates

# Recurrent state: tensors [B, K, ...]; empty for networks without one.
State = tuple[Tensor, ...]


class Decoded(NamedTuple):
    """What a network says of every object by itself, before the objects are weighed against each other."""

    logits: Tensor  # B K h' w', at the resolution that the network decodes at
    auxiliary: dict[str, Tensor]  # outputs that only the network's own loss reads


class Prediction(NamedTuple):
    """The masks of one frame."""

    logits: Tensor  # B K+1 H W, background first; softmax over dim 1 gives probabilities
    masks: Tensor  # B K H W in [0, 1], without background
    auxiliary: dict[str, Tensor]  # outputs that only the network's own loss reads


# What a loss is given of a clip: the frames that have a target, and their classes [B, H, W], 0 background.
Predictions = Sequence[Prediction]
Targets = Sequence[Tensor]


class MemoryFrame(NamedTuple):
    """One frame as it enters a space-time memory, which reads it for the network."""

    key: Tensor  # B CK h w
    shrinkage: Tensor | None  # B 1 h w
    selection: Tensor | None  # B CK h w; what a long-term memory needs to ask the memory itself
    value: Tensor  # B K CV h w
    summary: Tensor | None  # B K ...: object-level memory, where a network has one; summaries of frames are added up

    @property
    def objects(self) -> int:
        """K."""
        return self.value.shape[1]

    def of(self, objects: slice | list[int]) -> "MemoryFrame":
        """The same frame with some of its objects."""
        summary = None if self.summary is None else self.summary[:, objects]
        return self._replace(value=self.value[:, objects], summary=summary)

    def joined(self, others: "Sequence[MemoryFrame]") -> "MemoryFrame":
        """The same frame with the objects of others after its own."""
        frames = [self, *others]
        summaries = [frame.summary for frame in frames if frame.summary is not None]
        value = torch.cat([frame.value for frame in frames], 1)
        return self._replace(value=value, summary=torch.cat(summaries, 1) if summaries else None)


class TokenFrame(NamedTuple):
    """One frame as a network keeps it that reads its memory itself, see `Network.reads_frames`.

    shared: tensors [B, ...] of the image. own: tensors [B, K, ...] of every object, at least one. What they mean is the
    network's business: tokens, maps, pointers.
    """

    shared: tuple[Tensor, ...]
    own: tuple[Tensor, ...]

    @property
    def objects(self) -> int:
        """K."""
        return self.own[0].shape[1]

    @property
    def summary(self) -> None:
        """What is summed over frames: nothing; the frames themselves are there."""
        return None

    def of(self, objects: slice | list[int]) -> "TokenFrame":
        """The same frame with some of its objects."""
        return TokenFrame(self.shared, tuple(tensor[:, objects] for tensor in self.own))

    def joined(self, others: "Sequence[TokenFrame]") -> "TokenFrame":
        """The same frame with the objects of others after its own."""
        parts = zip(self.own, *(other.own for other in others), strict=True)
        return TokenFrame(self.shared, tuple(torch.cat(tensors, 1) for tensors in parts))


class Memory(Protocol):
    """Where memory frames go and where readouts come from; how much is kept and read is the memory's business."""

    def add(self, frame: Any) -> None:
        """Append one frame: what `Network.memorise` returned."""

    @property
    def frames(self) -> Sequence[TokenFrame]:
        """What is kept, oldest first, for a network that reads it itself: every frame has all objects asked for."""

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        """Read with the query key [B, CK, h, w] (and selection, same shape): one value per object [B, K, CV, h, w]."""

    @property
    def summary(self) -> Tensor | None:
        """The sum of all summaries added so far, [B, K, ...]; None if the frames have none."""


class ParameterGroup(NamedTuple):
    """Parameters that are optimised alike."""

    parameters: list[nn.Parameter]
    rate: float = 1.0  # times the recipe's learning rate
    decay: float = 1.0  # times the recipe's weight decay


class Network(nn.Module, ABC):
    """The base of every network; a network adds nothing to this that training or inference would have to know.

    features: what depends on the image alone, a NamedTuple of tensors, batch first, of the network's own kind.
    """

    # A state travels from frame to frame, so that a backward pass needs two steps to fill it.
    recurrent: bool = False
    # Height and width of an image must be multiples of this.
    stride: int = 16
    # In training, when not every earlier frame is read: whether the first one always is.
    reads_first_frame: bool = True
    # At inference, whether the state also moves on by decoding a frame that is then memorised with a deep update.
    updates_memory_frames: bool = True
    # At inference, what is added to an image to reach `stride` is black, not the mean colour.
    black_border: bool = False
    # `memorise` returns a `TokenFrame`, and `decode` reads `memory.frames`, instead of asking the memory with a key.
    reads_frames: bool = False
    # Convolutions of single-object weights that lack the channel of the other objects, which comes last.
    others_channels: tuple[str, ...] = ()
    # Entries of official weights that may be absent or left over, as prefixes: they serve training alone.
    optional_weights: tuple[str, ...] = ()

    @abstractmethod
    def encode(self, image: Tensor) -> tuple[Any, ...]:
        """Features of images [B, 3, H, W] (RGB, ImageNet-normalised); H and W are multiples of `stride`."""

    @abstractmethod
    def initial_state(self, features: Any, objects: int) -> State:
        """State before the first frame, for `objects` objects."""

    @abstractmethod
    def memorise(self, features: Any, masks: Tensor, state: State, *, deep: bool = True) -> tuple[Any, State]:
        """Turn a frame and its masks [B, K, H, W] in [0, 1] into a `MemoryFrame`, or a `TokenFrame` for a network that
        reads frames itself; does not touch any memory.

        `deep`: let the state take up what was memorised; without a state it means nothing.
        """

    @abstractmethod
    def decode(
        self,
        features: Any,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        """Read the memory and decode every object.

        previous: masks [B, K, H, W] in [0, 1] of the frame before. present: see `segment`. update: let the state take
        up what was decoded.
        """

    def combine(self, logits: Tensor, present: Tensor | None = None) -> Tensor:
        """Weigh decoded objects [B, K, h', w'] against each other: float32 logits [B, K+1, H, W], background first."""
        return aggregate_logits(logits, present)

    def segment(
        self,
        features: Any,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Prediction, State]:
        """Predict the masks of a frame. `present` [B, K] in {0, 1} switches absent objects of a batch off."""
        decoded, state = self.decode(features, memory, state, previous, present, update=update)
        logits = self.combine(decoded.logits, present)
        return Prediction(logits, logits.softmax(1)[:, 1:], decoded.auxiliary), state

    def start_as_published(self, generator: torch.Generator) -> None:
        """Draw anew what the official program initialises otherwise than this class does; goes with ImageNet trunks."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """How the parameters are optimised: all alike, unless a network's recipe says otherwise.

        Backbones of timm follow, in groups of their own rates.
        """
        rates = backbone_rates(self)
        return [ParameterGroup([p for p in self.parameters() if p.requires_grad and p not in rates]), *by_rate(rates)]


def by_rate(rates: Mapping[nn.Parameter, float]) -> list[ParameterGroup]:
    """A group for each rate."""
    return [
        ParameterGroup([p for p, each in rates.items() if each == rate and p.requires_grad], rate)
        for rate in sorted(set(rates.values()))
    ]
