"""Commands for one's own videos: segment, adapt, label, and see what came of it."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from oneshot_vos.commands.pipeline import FolderOut
from oneshot_vos.errors import UserError
from oneshot_vos.stages.segment_options import Device, Options

TrainedWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Trained weights, official ones (.pth), or their name, as cutie-base-mega; default: those that ship.",
    ),
]
AnyModel = Annotated[str | None, typer.Option("--network", help="Network; default: as the weights tell.")]


def named(weights: Path | None) -> Path | None:
    """The file that `--weights` is or names."""
    from oneshot_vos.fetch.weights import find_weights

    return find_weights(weights) if weights else None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every field of `Options`, in the place of its argument `options`."""
    fields = inspect.signature(Options).parameters
    own = {name: each for name, each in inspect.signature(command).parameters.items() if name != "options"}

    @wraps(command)
    def with_fields(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in fields}
        command(**given, options=Options(**chosen))

    every = {**own, **fields}
    # What typer reads; as keywords, those that have to be given may stand behind others.
    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in every.values()]
    vars(with_fields)["__signature__"] = inspect.Signature(keywords)
    with_fields.__annotations__ = {name: each.annotation for name, each in every.items()}
    return with_fields


@with_options
def segment(
    video: Annotated[Path, typer.Argument(help="Folder of frames, or a video file.")],
    mask: Annotated[
        list[str],
        typer.Option(help="Mask named like its frame, FRAME=PATH, or a folder of masks; may be given several times."),
    ],
    weights: TrainedWeights = None,
    network: AnyModel = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the masks; default: segmented/<video>.")] = None,
    *,
    options: Options,
) -> None:
    """Segment a video in both time directions from the masks of some frames; rerun to resume."""
    from oneshot_vos.stages import segment as stage

    stage.run(video, mask, named(weights), network, out, options)


@with_options
def segment_all(
    folder: Annotated[Path, typer.Argument(help="Videos, such as `import-videos` makes them.")],
    out: FolderOut,
    images: Annotated[str, typer.Option(help="Sub-folder of the frames.")] = "JPEGImages",
    annotations: Annotated[str, typer.Option(help="Sub-folder of the masks.")] = "Annotations",
    weights: TrainedWeights = None,
    network: AnyModel = None,
    first_only: Annotated[bool, typer.Option("--first-only", help="From the first mask of each video alone.")] = False,
    *,
    options: Options,
) -> None:
    """Do what `segment` does for every video of a folder, from all masks that it has."""
    from oneshot_vos.stages import segment as stage

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
