"""How a video is segmented: the settings of inference and what they may be.

They stand below the parameter files, which hold a complete set of them, and below inference, which obeys them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from oneshot_vos.errors import UserError


def _least(least: int, default: int | None) -> Any:
    """A field that is a whole number of at least `least`; the parameter files hold to it as well."""
    return field(default=default, metadata={"least": least})


def _check_least(settings: Any, prefix: str = "") -> None:
    for each in fields(settings):
        value, least = getattr(settings, each.name), each.metadata.get("least")
        if least is not None and value is not None and value < least:
            raise UserError(
                f"inference setting {prefix}{each.name} is {value}; expected a whole number of at least {least}"
            )


@dataclass(frozen=True)
class LongTerm:
    """A memory of bounded size for videos of any length: what is read often outlives its frames.

    max_frames: when the working memory holds this many frames, most of them are condensed into long-term memory.
    min_frames: frames that stay in working memory then: the first one of an object, which stays for good, and the
        newest. Both numbers count the first one.
    prototypes: positions that become of the condensed frames.
    max_elements: most positions in long-term memory, of each group of objects that were introduced together.
    buffer: positions that are freed beyond need when long-term memory is full, so that it is not full again at once.
    """

    max_frames: int = _least(2, 10)
    min_frames: int = _least(2, 5)
    prototypes: int = _least(1, 128)
    max_elements: int = _least(1, 10_000)
    buffer: int = _least(0, 0)

    def __post_init__(self) -> None:
        _check_least(self, "long_term.")
        if self.max_frames <= self.min_frames:
            raise UserError(
                f"inference setting long_term.max_frames is {self.max_frames}; expected more than min_frames, "
                f"{self.min_frames}, or there is nothing to condense"
            )
        if self.max_elements < self.prototypes + self.buffer:
            raise UserError(
                f"inference setting long_term.max_elements is {self.max_elements}; expected room for prototypes and "
                f"buffer, {self.prototypes} + {self.buffer}"
            )


@dataclass(frozen=True)
class InferenceSettings:
    """How a video is segmented.

    memory_every: a frame enters the memory when this many frames have passed since the last one that did.
    top_k: memory positions read per query position; None reads all of them (full softmax).
    max_frames: most frames the memory keeps; bounds memory use for any length of video. None keeps all. With
        `long_term`, its own bounds hold instead.
    include_last: also read from the frame just before, which is kept for one frame only.
    short_side: images are resized so that their shorter side has this many pixels; None leaves them as they are.
    object_chunk: most objects that pass through the network at once; bounds memory use for any number of objects.
        None takes all of them. It changes no mask, unless a network's objects look at each other while they are
        decoded, as Cutie's do.
    deep_update_every: a recurrent state takes up a memorised frame when this many frames have passed since the last
        one that it took up; None: every memorised frame.
    stagger_updates: how many of `memory_every` frames, evenly spaced, move a recurrent state on as they are decoded;
        None: every frame.
    long_term: condense old frames instead of dropping them.
    internal_size: images whose shorter side is longer are segmented at this size, and the probabilities resized back.
    flip: also segment the mirrored video and average the probabilities.
    """

    memory_every: int = _least(1, 5)
    top_k: int | None = _least(1, 20)
    max_frames: int | None = _least(1, 40)
    include_last: bool = False
    short_side: int | None = _least(16, None)
    object_chunk: int | None = _least(1, None)
    deep_update_every: int | None = _least(1, None)
    stagger_updates: int | None = _least(1, None)
    long_term: LongTerm | None = None
    internal_size: int | None = _least(16, None)
    flip: bool = False

    def __post_init__(self) -> None:
        _check_least(self)
        if self.long_term is not None and (self.top_k is None or self.include_last):
            other, remedy = ("top_k null", "set top_k") if self.top_k is None else ("include_last", "leave one out")
            raise UserError(
                f"inference settings long_term and {other} exclude each other: long-term memory counts which memorised "
                f"positions are among the best; {remedy}"
            )


def settings_of(values: Mapping[str, Any]) -> InferenceSettings:
    """Inference settings of plain values, such as those of a file or of a network's spec."""
    kept = values.get("long_term")
    return InferenceSettings(**{**values, "long_term": LongTerm(**kept) if kept is not None else None})
