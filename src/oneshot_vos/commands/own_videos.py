"""Commands for one's own videos: segment, adapt, label, and see what came of it."""

from pathlib import Path
from typing import Annotated

import typer

from oneshot_vos.commands.pipeline import FolderOut
from oneshot_vos.errors import UserError
from oneshot_vos.stages.segment_options import PALETTE, Form, Options

TrainedWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Trained weights, official ones (.pth), or their name, as cutie-base-mega; default: those that ship.",
    ),
]
AnyModel = Annotated[str | None, typer.Option("--network", help="Network; default: as the weights tell.")]

Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; default: a GPU if there is one.")]

# What `segment` and `segment-all` have in common: the fields of `Options`.
Probabilities = Annotated[bool, typer.Option("--probabilities", help="Also one 8-bit image per object and frame.")]
Overlay = Annotated[bool, typer.Option("--overlay/--no-overlay", help="A video with the masks over the frames.")]
Gif = Annotated[bool, typer.Option("--gif", help="The same as a small GIF, overlay.gif.")]
ContactSheet = Annotated[bool, typer.Option("--contact-sheet", help="Frames of the whole video on contact-sheet.jpg.")]
ShortSide = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Pixels that a longer shorter side is reduced to; 0: never; default: 480, and without --weights 384, to "
        "which small videos are enlarged.",
    ),
]
MemoryEvery = Annotated[int | None, typer.Option(min=1, help="Every n-th frame is memorised; default: 5.")]
MaxFrames = Annotated[int | None, typer.Option(min=2, help="Most frames in memory; default: as the network wants it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of another job in the folder.")]
MaskForm = Annotated[
    Form, typer.Option("--format", help="Also the masks in this form; those with a palette are always there.")
]
ObjectChunk = Annotated[int | None, typer.Option(min=1, help="Most objects at once: bounds memory; default: all.")]
SceneCuts = Annotated[
    bool,
    typer.Option("--scene-cuts/--no-scene-cuts", help="Forget the last moments where a scene certainly ends; logged."),
]
Confidence = Annotated[
    bool,
    typer.Option("--confidence", help="Also how far each mask can be trusted: confidence.csv; takes twice the time."),
]


def named(weights: Path | None) -> Path | None:
    """The file that `--weights` is or names."""
    from oneshot_vos.fetch.weights import find_weights

    return find_weights(weights) if weights else None


def segment(
    video: Annotated[Path, typer.Argument(help="Folder of frames, or a video file.")],
    mask: Annotated[
        list[str],
        typer.Option(help="Mask named like its frame, FRAME=PATH, or a folder of masks; may be given several times."),
    ],
    weights: TrainedWeights = None,
    network: AnyModel = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the masks; default: segmented/<video>.")] = None,
    probabilities: Probabilities = False,
    overlay: Overlay = True,
    gif: Gif = False,
    contact_sheet: ContactSheet = False,
    short_side: ShortSide = None,
    memory_every: MemoryEvery = None,
    max_frames: MaxFrames = None,
    overwrite: Overwrite = False,
    form: MaskForm = PALETTE,
    device: Device = None,
    object_chunk: ObjectChunk = None,
    scene_cuts: SceneCuts = True,
    confidence: Confidence = False,
) -> None:
    """Segment a video in both time directions from the masks of some frames; rerun to resume."""
    from oneshot_vos.stages import segment as stage

    options = Options(
        probabilities=probabilities,
        overlay=overlay,
        gif=gif,
        contact_sheet=contact_sheet,
        short_side=short_side,
        memory_every=memory_every,
        max_frames=max_frames,
        overwrite=overwrite,
        form=form,
        device=device,
        object_chunk=object_chunk,
        scene_cuts=scene_cuts,
        confidence=confidence,
    )
    stage.run(video, mask, named(weights), network, out, options)


def segment_all(
    folder: Annotated[Path, typer.Argument(help="Videos, such as `import-videos` makes them.")],
    out: FolderOut,
    images: Annotated[str, typer.Option(help="Sub-folder of the frames.")] = "JPEGImages",
    annotations: Annotated[str, typer.Option(help="Sub-folder of the masks.")] = "Annotations",
    weights: TrainedWeights = None,
    network: AnyModel = None,
    probabilities: Probabilities = False,
    overlay: Overlay = True,
    gif: Gif = False,
    contact_sheet: ContactSheet = False,
    short_side: ShortSide = None,
    memory_every: MemoryEvery = None,
    max_frames: MaxFrames = None,
    overwrite: Overwrite = False,
    form: MaskForm = PALETTE,
    device: Device = None,
    object_chunk: ObjectChunk = None,
    scene_cuts: SceneCuts = True,
    confidence: Confidence = False,
    first_only: Annotated[bool, typer.Option("--first-only", help="From the first mask of each video alone.")] = False,
) -> None:
    """Do what `segment` does for every video of a folder, from all masks that it has."""
    from oneshot_vos.stages import segment as stage

    options = Options(
        probabilities=probabilities,
        overlay=overlay,
        gif=gif,
        contact_sheet=contact_sheet,
        short_side=short_side,
        memory_every=memory_every,
        max_frames=max_frames,
        overwrite=overwrite,
        form=form,
        device=device,
        object_chunk=object_chunk,
        scene_cuts=scene_cuts,
        confidence=confidence,
    )
    stage.run_all(folder, images, annotations, named(weights), network, out, options, first_only=first_only)


def adapt(
    recordings: Annotated[Path, typer.Argument(help="Folder with `videos` and `masks`: see docs/own-videos.md.")],
    out: Annotated[Path | None, typer.Option(help="Folder for all results; default: adapted/<recordings>.")] = None,
    weights: TrainedWeights = None,
    network: AnyModel = None,
    budget: Annotated[str, typer.Option(help="Time for all of it: 90s, 20m, 1.5h.")] = "20m",
    iterations: Annotated[
        int | None, typer.Option(min=0, help="Of the training, whatever the budget; 0: segment without training.")
    ] = None,
    device: Device = None,
) -> None:
    """Adapt a network to videos with a mask each, and segment every frame of them; rerun to resume."""
    from oneshot_vos.stages import adapt as stage

    stage.run(recordings, out, named(weights), network, budget, device, iterations)


def suggest(
    folder: Annotated[Path, typer.Argument(help="Results of `segment-all --confidence` or `segment --confidence`.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many frames.")] = 10,
) -> None:
    """Say which frames most deserve a further mask, and why."""
    from oneshot_vos.stages.confidence import suggest as stage

    for line in stage(folder, number):
        typer.echo(line)


def report_videos(
    folder: Annotated[Path, typer.Argument(help="What `adapt` or `segment-all` was given as --out.")],
) -> None:
    """Write FOLDER/report/index.html: every video with its masks, where they are least certain, what to label next."""
    from oneshot_vos.reporting.page.own import write_own_report

    write_own_report(folder)


def label(
    path: Annotated[
        Path, typer.Argument(metavar="VIDEO|RECORDINGS", help="A video, or a folder with `videos`: docs/label.md.")
    ],
    masks: Annotated[
        Path | None, typer.Option(help="Folder for the masks of a single video; default: <video>-masks beside it.")
    ] = None,
    weights: TrainedWeights = None,
    network: AnyModel = None,
    device: Device = None,
    suggested: Annotated[
        Path | None, typer.Option(help="The file next.csv of frames that deserve a mask: they are marked.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Draw masks, and correct those of a network, in a page that this machine alone can open."""
    try:
        from oneshot_vos.labelling import run as labelling
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise UserError(
            f"label: needs the package {package}, which is not installed; run pip install 'oneshot-vos[label]'"
        ) from error
    chosen = labelling.Choices(
        masks=masks, suggested=suggested, weights=named(weights), network=network, device=device, port=port
    )
    labelling.run(path, chosen, browser=browser)


def import_videos(
    source: Annotated[Path, typer.Argument(help="Folder with `videos` and `masks`: see docs/own-videos.md.")],
    out: Annotated[Path, typer.Argument(help="Folder for frames and masks, as training reads them.")],
    quality: Annotated[int, typer.Option(help="JPEG quality of frames from video files.", min=1, max=100)] = 95,
) -> None:
    """Copy own videos, folders of frames or video files, and their masks into the layout of a data set."""
    from oneshot_vos.sets.own import import_videos as copy
    from oneshot_vos.sets.own import other_videos

    names = []
    for video in copy(source, out, quality=quality):
        state = " (was there already)" if video.kept else ""
        typer.echo(f"{video.name}: {video.frames} frames, {video.masks} mask(s){state}")
        names.append(video.name)
    for name in other_videos(out, names):
        typer.echo(f"{out}: has '{name}' as well, which {source} has not. Take it away if it is not wanted", err=True)
