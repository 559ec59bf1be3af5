"""What can be chosen for `segment` and `segment-all`. Imported for the help of every command: without torch."""

from dataclasses import dataclass, replace
from typing import Literal

from oneshot_vos.inference_settings import InferenceSettings, settings_of
from oneshot_vos.networks import NETWORKS

Form = Literal["palette", "binary", "per-object", "rgba", "coco", "matte-video"]
PALETTE: Form = "palette"  # the form that is always there


@dataclass(frozen=True)
class Options:
    """Choices for the masks of a video and for the files beside them; None: as the network wants it.

    probabilities: also an 8-bit image per object and frame; form: also the masks in another form. short_side: pixels
    that a longer shorter side is reduced to, 0: never. object_chunk: most objects at once. scene_cuts: forget the
    last moments where a scene ends. confidence: also how far each mask can be trusted, in twice the time.
    """

    probabilities: bool = False
    overlay: bool = True
    gif: bool = False
    contact_sheet: bool = False
    short_side: int | None = None
    memory_every: int | None = None
    max_frames: int | None = None
    overwrite: bool = False
    form: Form = PALETTE
    device: str | None = None
    object_chunk: int | None = None
    scene_cuts: bool = True
    confidence: bool = False

    def settings(self, network: str, size: tuple[int, int], usual: int) -> InferenceSettings:
        """Inference settings for a video of this height and width; `usual`: the shorter side that the network wants."""
        settings = settings_of(NETWORKS[network].inference)
        chosen = {key: getattr(self, key) for key in ("memory_every", "max_frames", "object_chunk")}
        changes = {key: value for key, value in chosen.items() if value is not None}
        if self.max_frames is not None:
            changes["long_term"] = None
        shorter = min(size)
        short_side = usual if self.short_side is None else min(self.short_side or shorter, shorter)
        return replace(settings, **changes, short_side=None if short_side == shorter else short_side)
