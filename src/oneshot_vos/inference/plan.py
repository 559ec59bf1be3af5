"""What happens to each frame of a video, decided before the first one is read."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from oneshot_vos.inference_settings import InferenceSettings


class Memorise(Enum):
    """Whether a frame enters the memory."""

    NO = "no"
    TEMPORARY = "temporary"  # read by the next frame, then dropped
    PERMANENT = "permanent"  # stays until the memory is full


@dataclass(frozen=True)
class Step:
    """What to do with a frame, by its number `index`."""

    index: int
    annotated: bool = False  # masks are given for this frame
    tracked: bool = True  # False before the first annotation: there is nothing to compute
    output: bool = True
    memorise: Memorise = Memorise.NO
    update: bool = False  # decoding moves a recurrent state on
    deep: bool = False  # memorising does


def plan_frames(
    order: range,
    annotated: Collection[int],
    settings: InferenceSettings,
    *,
    required: Collection[int] | None = None,
    recurrent: bool = False,
    updates_memory_frames: bool = True,
) -> list[Step]:
    """The frames to compute, of those that are gone through in this order; what nothing depends on is left out.

    `annotated`: numbers of the frames whose masks are given, as far as they are on the way. `required`: numbers of the
    frames whose masks are wanted, None for all. `recurrent`: the network's state has to see every frame, so none may be
    left out. `updates_memory_frames`: decoding moves a state on also where a deep update does, see `Network`.

    Permanent are the annotated frames and every frame that comes `memory_every` frames after the last permanent one.
    Nothing is planned after the last required frame; that frame neither enters the memory nor moves a state on.
    """
    wanted = set(order if required is None else required)
    outside = sorted(wanted.difference(order))
    if outside:
        raise ValueError(f"frames {outside} are wanted, but outside of those that are gone through, {order}")
    last = max((order.index(t) for t in wanted), default=-1)
    begun, steps = False, []
    rhythm = Rhythm(settings, updates_memory_frames=updates_memory_frames)
    for place, t in enumerate(order[: last + 1]):
        begun = begun or t in annotated
        if begun:
            step = rhythm.step(t, annotated=t in annotated, last=place == last, output=t in wanted)
            if step.output or step.memorise is not Memorise.NO or recurrent:
                steps.append(step)
        elif t in wanted:
            steps.append(Step(t, tracked=False))
    return steps


class Rhythm:
    """Which frames are memorised and move a state on, decided frame by frame from the first annotated one on."""

    def __init__(self, settings: InferenceSettings, *, updates_memory_frames: bool = True) -> None:
        self._settings = settings
        self._updates_memory_frames = updates_memory_frames
        self._offsets = _update_offsets(settings)
        self._since_memory: int | None = None  # how many frames ago one was memorised for good
        self._since_deep = 0  # and one that moved the state on

    def step(self, t: int, *, annotated: bool, last: bool = False, output: bool = True) -> Step:
        """What to do with the next frame, `t`; nothing is kept of the `last` one. The first one is annotated."""
        settings = self._settings
        if self._since_memory is None:
            self._since_memory, self._since_deep = 0, settings.deep_update_every or 0
        else:
            self._since_memory, self._since_deep = self._since_memory + 1, self._since_deep + 1
        memorise, deep, offset = Memorise.NO, False, self._since_memory
        if not last and (annotated or offset >= settings.memory_every):
            memorise, self._since_memory = Memorise.PERMANENT, 0
            # An update that falls due on another frame waits for the next one that is memorised.
            deep = settings.deep_update_every is None or self._since_deep >= settings.deep_update_every
            self._since_deep = 0 if deep else self._since_deep
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
