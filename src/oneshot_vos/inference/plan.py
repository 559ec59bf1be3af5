"""What happens to each frame of a video, decided before the first one is read."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from oneshot_vos.errors import UserError


@dataclass(frozen=True)
class InferenceSettings:
    """How a video is segmented.

    memory_every: a frame enters the memory when this many frames have passed since the last one that did.
    top_k: memory positions read per query position; None reads all of them (full softmax).
    max_frames: most frames the memory keeps; bounds memory use for any length of video.
    include_last: also read from the frame just before, which is kept for one frame only.
    short_side: images are resized so that their shorter side has this many pixels; None leaves them as they are.
    object_chunk: most objects that pass through the network at once; bounds memory use for any number of objects
        and does not change the masks. None takes all of them.
    """

    memory_every: int = 5
    top_k: int | None = 20
    max_frames: int = 40
    include_last: bool = False
    short_side: int | None = None
    object_chunk: int | None = None

    def __post_init__(self) -> None:
        for name in ("memory_every", "top_k", "max_frames", "short_side", "object_chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"inference setting {name} is {value}; expected a whole number of at least 1")


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


def plan_frames(
    length: int,
    annotated: Collection[int],
    settings: InferenceSettings,
    *,
    required: Collection[int] | None = None,
    recurrent: bool = False,
) -> list[Step]:
    """The frames to compute, in time order; frames that nothing depends on are left out.

    `annotated`: indices of the frames whose masks are given. `required`: indices of the frames whose masks are
    wanted, None for all. `recurrent`: the network's state has to see every frame, so none may be left out.

    Permanent are the annotated frames and every frame that comes `memory_every` frames after the last permanent one.
    Nothing is planned after the last required frame, and that frame does not enter the memory.
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
    last_memory = first
    for t in range(first, last + 1):
        memorise = Memorise.NO
        if t < last and (t in given or t - last_memory >= settings.memory_every):
            memorise, last_memory = Memorise.PERMANENT, t
        elif t < last and settings.include_last:
            memorise = Memorise.TEMPORARY
        step = Step(t, annotated=t in given, output=t in wanted, memorise=memorise)
        if step.output or memorise is not Memorise.NO or recurrent:
            steps.append(step)
    return steps
