"""What can be chosen for `segment` and `segment-all`. Imported for the help of every command: without torch."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import typer

from oneshot_vos.inference_settings import InferenceSettings, settings_of
from oneshot_vos.networks import NETWORKS

Form = Literal["palette", "binary", "per-object", "rgba", "coco", "matte-video"]
PALETTE: Form = "palette"  # the form that is always there


Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; default: a GPU if there is one.")]


@dataclass(frozen=True)
class Options:
    """Choices for the masks of a video and for the files beside them; None: as the network wants it."""

    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also one 8-bit image per object and frame.")
    ] = False
    overlay: Annotated[bool, typer.Option("--overlay/--no-overlay", help="A video with the masks over the frames.")] = (
        True
    )
    gif: Annotated[bool, typer.Option("--gif", help="The same as a small GIF, overlay.gif.")] = False
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Frames of the whole video on contact-sheet.jpg.")
    ] = False
    short_side: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pixels that a longer shorter side is reduced to; 0: never; default: 480, and without --weights 384, "
            "to which small videos are enlarged.",
        ),
    ] = None
    memory_every: Annotated[int | None, typer.Option(min=1, help="Every n-th frame is memorised; default: 5.")] = None
    max_frames: Annotated[
        int | None, typer.Option(min=2, help="Most frames in memory; default: as the network wants it.")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of another job in the folder.")
    ] = False
    form: Annotated[
        Form, typer.Option("--format", help="Also the masks in this form; those with a palette are always there.")
    ] = PALETTE
    device: Device = None
    object_chunk: Annotated[
        int | None, typer.Option(min=1, help="Most objects at once: bounds memory; default: all.")
    ] = None
    scene_cuts: Annotated[
        bool,
        typer.Option(
            "--scene-cuts/--no-scene-cuts", help="Forget the last moments where a scene certainly ends; logged."
        ),
    ] = True
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence", help="Also how far each mask can be trusted: confidence.csv; takes twice the time."
        ),
    ] = False

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
