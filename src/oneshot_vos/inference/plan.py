"""What happens to each frame of a video, decided before the first one is read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
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


class Memorise(Enum):
    """Whether a frame enters the memory."""

    NO = "no"
    TEMPORARY = "temporary"  # read by the next frame, then dropped
    PERMANENT = "permanent"  # stays until the memory is full


@dataclass(frozen=True)
class Step:
    """What to do with frame `index`."""

    index: int
    annotated: bool = False  # masks are given for this frame
    tracked: bool = True  # False before the first annotation: there is nothing to compute
    output: bool = True
    memorise: Memorise = Memorise.NO
    update: bool = False  # decoding moves a recurrent state on
    deep: bool = False  # memorising does


def plan_frames(
    length: int,
    annotated: Collection[int],
    settings: InferenceSettings,
    *,
    required: Collection[int] | None = None,
    recurrent: bool = False,
    updates_memory_frames: bool = True,
) -> list[Step]:
    """The frames to compute, in time order; frames that nothing depends on are left out.

    `annotated`: indices of the frames whose masks are given. `required`: indices of the frames whose masks are
    wanted, None for all. `recurrent`: the network's state has to see every frame, so none may be left out.
    `updates_memory_frames`: decoding moves a state on also where a deep update does, see `Network`.

    Permanent are the annotated frames and every frame that comes `memory_every` frames after the last permanent one.
    Nothing is planned after the last required frame; that frame neither enters the memory nor moves a state on.
    """
    wanted = set(range(length)) if required is None else set(required)
    outside = sorted(t for t in wanted | set(annotated) if not 0 <= t < length)
    if outside:
        raise ValueError(f"frame indices {outside} are outside a video of {length} frames")
    if not wanted:
        return []
    last = max(wanted)
    given = {t for t in annotated if t <= last}
    first = min(given, default=last + 1)
    steps = [Step(t, tracked=False) for t in sorted(wanted) if t < first]
    rhythm = Rhythm(settings, updates_memory_frames=updates_memory_frames)
    for t in range(first, last + 1):
        step = rhythm.step(t, annotated=t in given, last=t == last, output=t in wanted)
        if step.output or step.memorise is not Memorise.NO or recurrent:
            steps.append(step)
    return steps


class Rhythm:
    """Which frames are memorised and move a state on, decided frame by frame from the first annotated one on."""

    def __init__(self, settings: InferenceSettings, *, updates_memory_frames: bool = True) -> None:
        self._settings = settings
        self._updates_memory_frames = updates_memory_frames
        self._offsets = _update_offsets(settings)
        self._last_memory: int | None = None
        self._last_deep = 0

    def step(self, t: int, *, annotated: bool, last: bool = False, output: bool = True) -> Step:
        """What to do with frame `t`; nothing is kept of the `last` one. The first call is for an annotated frame."""
        settings = self._settings
        if self._last_memory is None:
            self._last_memory, self._last_deep = t, t - (settings.deep_update_every or 0)
        memorise, deep, offset = Memorise.NO, False, t - self._last_memory
        if not last and (annotated or offset >= settings.memory_every):
            memorise, self._last_memory = Memorise.PERMANENT, t
            # An update that falls due on another frame waits for the next one that is memorised.
            deep = settings.deep_update_every is None or t - self._last_deep >= settings.deep_update_every
            self._last_deep = t if deep else self._last_deep
        elif not last and settings.include_last:
            memorise = Memorise.TEMPORARY
        # With deep updates of their own rhythm, a state gets both, as the official XMem does it.
        either = deep and settings.deep_update_every is None and not self._updates_memory_frames
        update = not last and offset in self._offsets and not either
        return Step(t, annotated, output=output, memorise=memorise, update=update, deep=deep)


def _update_offsets(settings: InferenceSettings) -> set[int]:
    """How many frames after the last memorised one decoding moves the state on."""
    every, updates = settings.memory_every, settings.stagger_updates
    if updates is None or updates >= every:
        return set(range(1, every + 1))
    apart = (every - 1) / max(1, updates - 1)
    return {round(1 + number * apart) for number in range(updates)}  # halves to the even number
