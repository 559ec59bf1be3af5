"""The command `oneshot-vos`: the stages of the pipeline, and what stands beside it.

What a command needs is imported when it runs: help answers at once, without torch.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from oneshot_vos import pipeline_commands
from oneshot_vos.command_groups import GroupedHelp
from oneshot_vos.errors import UserError, refusal
from oneshot_vos.pipeline_commands import DEFAULT_PARAMS, FolderOut, ParamsFile, ProfileName


class _Plain(logging.Handler):
    """Prints messages as they are; asks for standard output each time, since tests replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record))


def _plain_warning(message: Warning | str, *_place: Any, **_line: Any) -> str:
    """A warning for a person: what it says, not where in the code it was said."""
    return f"warning: {message}\n"


@contextmanager
def _messages_printed() -> Iterator[None]:
    """Print what the library logs at INFO and above, and warnings as plain lines, for the time of the block."""
    logger, handler = logging.getLogger("oneshot_vos"), _Plain()
    level, form = logger.level, warnings.formatwarning
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.formatwarning = _plain_warning
    try:
        yield
    finally:
        warnings.formatwarning = form
        logger.removeHandler(handler)
        logger.setLevel(level)


def _at_home(word: str) -> str:
    option, sign, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{sign}{Path(value).expanduser()}" if value.startswith("~/") else word


class _Commands(GroupedHelp):
    """Ends every command in an orderly way: 0 done, 2 something for the user to mend, 130 interrupted."""

    def get_help_option(self, ctx: Any) -> Any:
        """With a default: for a value of None, typer would import pydantic, half of the time that help takes."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """With the home directory in the place of `~`, which a shell leaves in `--out=~/results` and in quotes."""
        return super().parse_args(ctx, [_at_home(word) for word in args])

    def invoke(self, ctx: Any) -> Any:
        try:
            with _messages_printed():
                return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error
        except OSError as error:
            told = refusal(error)
            if told is None:
                raise
            typer.echo(f"error: {told}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted; rerun to resume", err=True)
            raise typer.Exit(130) from interrupt


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # importing Rich takes as long as all the rest of `--help`
    help="Train video object segmentation networks from one labelled frame per video.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from oneshot_vos import __version__  # looks through what is installed

        typer.echo(f"oneshot-vos {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """What may stand before a command; `help` of the app describes it."""


TrainedWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Trained weights, official ones (.pth), or their name, as cutie-base-mega; default: those that ship.",
    ),
]
AnyModel = Annotated[str | None, typer.Option("--network", help="Network; default: as the weights tell.")]
WithProbabilities = Annotated[bool, typer.Option("--probabilities", help="Also one 8-bit image per object and frame.")]
WithOverlay = Annotated[bool, typer.Option("--overlay/--no-overlay", help="A video with the masks over the frames.")]
WithGif = Annotated[bool, typer.Option("--gif", help="The same as a small GIF, overlay.gif.")]
WithSheet = Annotated[bool, typer.Option("--contact-sheet", help="Frames of the whole video on contact-sheet.jpg.")]
ShortSide = Annotated[
    int | None,
    typer.Option(
        min=0, help="Pixels that a longer shorter side is reduced to; 0: never; default: 480, 384 without --weights."
    ),
]
MemoryEvery = Annotated[int | None, typer.Option(min=1, help="Every n-th frame is memorised; default: 5.")]
MaxFrames = Annotated[int | None, typer.Option(min=2, help="Most frames in memory; default: as the network wants it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of another job in the folder.")]
Form = Annotated[
    Literal["palette", "binary", "per-object", "rgba", "coco", "matte-video"],
    typer.Option("--format", help="Also the masks in this form; those with a palette are always there."),
]
ObjectChunk = Annotated[int | None, typer.Option(min=1, help="Most objects at once: bounds memory; default: all.")]
SceneCuts = Annotated[
    bool,
    typer.Option("--scene-cuts/--no-scene-cuts", help="Forget the last moments where a scene certainly ends; logged."),
]
WithConfidence = Annotated[
    bool,
    typer.Option("--confidence", help="Also how far each mask can be trusted: confidence.csv; takes twice the time."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; default: a GPU if there is one.")]


def named(weights: Path | None) -> Path | None:
    """The file that `--weights` is or names."""
    from oneshot_vos.fetch.weights import find_weights

    return find_weights(weights) if weights else None


for command in pipeline_commands.COMMANDS:
    app.command()(command)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder state/<profile>/<run> of a training, or the file in it.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the weights; default: <run>-<iteration>.safetensors.")
    ] = None,
) -> None:
    """Write the weights of a training that was stopped, as its end would."""
    from oneshot_vos.stages import export as stage

    stage.run(checkpoint, out)


@app.command()
def score(
    truth: Annotated[Path, typer.Argument(metavar="GROUND_TRUTH", help="True masks: a folder or zip of videos.")],
    masks: Annotated[Path, typer.Argument(help="Masks to score: a folder or zip of the same videos.")],
    csv: Annotated[Path | None, typer.Option(help="Also a CSV file of all numbers.")] = None,
    all_frames: Annotated[bool, typer.Option("--all-frames", help="Score the first and the last frame, too.")] = False,
    single_object: Annotated[bool, typer.Option("--single-object", help="All ids are one object.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core.")] = None,
) -> None:
    """Score masks as DAVIS does, J and F per sequence and object, the worst sequences first."""
    from oneshot_vos.stages import score as stage

    typer.echo(stage.run(truth, masks, csv, all_frames=all_frames, single_object=single_object, processes=processes))


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="A run, a folder of its metrics, or a CSV of `score`.")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="Another one.")],
    set_name: Annotated[str | None, typer.Option("--set", help="The set; default: every one that both have.")] = None,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Set the scores of two runs side by side, per sequence, the largest loss first."""
    from oneshot_vos.stages import compare as stage

    typer.echo(stage.run(first, second, params, profile, set_name))


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMES]...", help="Data sets or groups, such as `paper` or `davis2017`."),
    ] = None,
    root: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("data/paper/raw"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show sources, sizes, licences; write nothing.")] = False,
    archive: Annotated[list[str] | None, typer.Option(help="NAME=PATH: an archive that you have already.")] = None,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep what was downloaded.")] = False,
) -> None:
    """Download the public data sets into the folders that the profile `paper` reads; rerun to resume."""
    from oneshot_vos.stages import fetch as stage

    archives = stage.parse_archives(archive or [])
    if dry_run:
        typer.echo(stage.report(names or [], root, archives))
    else:
        stage.run(names or [], root, archives, keep=keep_archives)


@app.command()
def resize_youtube(
    source: Annotated[Path, typer.Argument(help="Package of YouTube-VOS.")] = Path("data/paper/raw/YouTube2018/train"),
    out: Annotated[Path | None, typer.Option(help="Folder for the copy; default: SOURCE with `_480p`.")] = None,
    quality: Annotated[int, typer.Option(help="JPEG quality; 75 is that of the official copy.")] = 75,
    processes: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
) -> None:
    """Copy YouTube-VOS with a shorter side of 480 pixels, which training reads; rerun to resume."""
    from oneshot_vos.stages import resize_youtube as stage

    stage.run(source, out, quality=quality, processes=processes)


@app.command()
def segment(
    video: Annotated[Path, typer.Argument(help="Folder of frames, or a video file.")],
    mask: Annotated[
        list[str],
        typer.Option(help="Mask named like its frame, FRAME=PATH, or a folder of masks; may be given several times."),
    ],
    weights: TrainedWeights = None,
    network: AnyModel = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the masks; default: segmented/<video>.")] = None,
    probabilities: WithProbabilities = False,
    overlay: WithOverlay = True,
    gif: WithGif = False,
    contact_sheet: WithSheet = False,
    short_side: ShortSide = None,
    memory_every: MemoryEvery = None,
    max_frames: MaxFrames = None,
    overwrite: Overwrite = False,
    form: Form = "palette",
    device: Device = None,
    object_chunk: ObjectChunk = None,
    scene_cuts: SceneCuts = True,
    confidence: WithConfidence = False,
) -> None:
    """Segment a video in both time directions from the masks of some frames; rerun to resume."""
    from oneshot_vos.stages import segment as stage

    options = stage.Options(
        *(memory_every, max_frames, short_side, probabilities, overlay, overwrite, form, device),
        *(object_chunk, scene_cuts, confidence, gif, contact_sheet),
    )
    stage.run(video, mask, named(weights), network, out, options, typer.echo)


@app.command()
def segment_all(
    folder: Annotated[Path, typer.Argument(help="Videos, such as `import-videos` makes them.")],
    out: FolderOut,
    images: Annotated[str, typer.Option(help="Sub-folder of the frames.")] = "JPEGImages",
    annotations: Annotated[str, typer.Option(help="Sub-folder of the masks.")] = "Annotations",
    weights: TrainedWeights = None,
    network: AnyModel = None,
    probabilities: WithProbabilities = False,
    overlay: WithOverlay = True,
    gif: WithGif = False,
    contact_sheet: WithSheet = False,
    short_side: ShortSide = None,
    memory_every: MemoryEvery = None,
    max_frames: MaxFrames = None,
    overwrite: Overwrite = False,
    form: Form = "palette",
    device: Device = None,
    object_chunk: ObjectChunk = None,
    scene_cuts: SceneCuts = True,
    confidence: WithConfidence = False,
    first_only: Annotated[bool, typer.Option("--first-only", help="From the first mask of each video alone.")] = False,
) -> None:
    """Do what `segment` does for every video of a folder, from all masks that it has."""
    from oneshot_vos.stages import segment as stage

    options = stage.Options(
        *(memory_every, max_frames, short_side, probabilities, overlay, overwrite, form, device),
        *(object_chunk, scene_cuts, confidence, gif, contact_sheet),
    )
    stage.run_all(
        *(folder, images, annotations, named(weights), network, out, options, typer.echo), first_only=first_only
    )


@app.command()
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


@app.command()
def suggest(
    folder: Annotated[Path, typer.Argument(help="Results of `segment-all --confidence` or `segment --confidence`.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many frames.")] = 10,
) -> None:
    """Say which frames most deserve a further mask, and why."""
    from oneshot_vos.stages.confidence import suggest as stage

    for line in stage(folder, number):
        typer.echo(line)


@app.command()
def report_videos(
    folder: Annotated[Path, typer.Argument(help="What `adapt` or `segment-all` was given as --out.")],
) -> None:
    """Write FOLDER/report/index.html: every video with its masks, where they are least certain, what to label next."""
    from oneshot_vos.reporting.page.own import write_own_report

    write_own_report(folder)


@app.command()
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
    labelling.run(path, labelling.Choices(masks, suggested, weights, network, device, port), browser=browser)


@app.command()
def import_videos(
    source: Annotated[Path, typer.Argument(help="Folder with `videos` and `masks`: see docs/own-videos.md.")],
    out: Annotated[Path, typer.Argument(help="Folder for frames and masks, as training reads them.")],
    quality: Annotated[int, typer.Option(help="JPEG quality of frames from video files.", min=1, max=100)] = 95,
) -> None:
    """Copy own videos, folders of frames or video files, and their masks into the layout of a data set."""
    from oneshot_vos.sets.own import import_videos as copy

    for video in copy(source, out, quality=quality):
        state = " (was there already)" if video.kept else ""
        typer.echo(f"{video.name}: {video.frames} frames, {video.masks} mask(s){state}")


@app.command()
def check_params(
    show: Annotated[
        str | None, typer.Option("--show", metavar="RUN", help="Print the values of a run, and where each comes from.")
    ] = None,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Check the parameters and do nothing else."""
    from oneshot_vos.params import load_profiles, require_none, show_run

    profiles = load_profiles(params, profile)
    chosen = next(iter(profiles.values()))
    if show is not None:
        typer.echo("\n".join(show_run(chosen, show)))
        return
    from oneshot_vos.stages.check_params import find_wrong_choices

    require_none(params, find_wrong_choices(profiles.values()))
    typer.echo(f"{params}: in order; profile {chosen.profile_name}, {len(chosen.runs)} runs")


@app.command()
def check_data(
    folder: Annotated[Path, typer.Argument(help="Videos in the layout of DAVIS, or image–mask pairs.")],
    images: Annotated[
        str | None, typer.Option(help="Sub-folder of the frames; default: JPEGImages/480p, or JPEGImages without it.")
    ] = None,
    annotations: Annotated[str | None, typer.Option(help="Sub-folder of the masks; default: likewise.")] = None,
    list_file: Annotated[str | None, typer.Option("--list", help="File below FOLDER with video names.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="FOLDER holds image–mask pairs.")] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Decode every frame in full.")] = False,
) -> None:
    """Check every file of a data set and list all findings; nothing is written."""
    from oneshot_vos.sets.check import check_folder, check_pairs
    from oneshot_vos.sets.pairs import read_pairs

    if pairs:
        report = check_pairs(read_pairs(folder), thorough=thorough)
    else:
        inner = "/480p" if (folder / "JPEGImages/480p").is_dir() else ""
        images, annotations = images or f"JPEGImages{inner}", annotations or f"Annotations{inner}"
        report = check_folder(folder, images=images, annotations=annotations, list_file=list_file, thorough=thorough)
    for problem in report.warnings:
        typer.echo(f"warning: {problem.item}: {problem.message}")
    report.raise_for_errors()
    counts = report.to_json()["counts"]
    typer.echo(f"{folder}: in order; " + ", ".join(f"{number} {what}" for what, number in counts.items()))


@app.command()
def check_server_zip(
    archive: Annotated[Path, typer.Argument(help="Archive for a benchmark's server, from here or from elsewhere.")],
    index: Annotated[Path, typer.Option(help="Index of the set, as the command `data` writes it.")],
) -> None:
    """Check an archive against all that the server of YouTube-VOS, DAVIS, MOSE or LVOS expects."""
    from oneshot_vos.evaluation.server_zip import check_server_zip as check
    from oneshot_vos.videos.objects_index import read_youtube_index

    chosen = read_youtube_index(index)
    if chosen is None:
        raise UserError(f"{index}: holds no set that a server scores; expected the index of one, as `data` writes it")
    check(archive, chosen)
    frames = sum(len(each.required) for each in chosen.videos)
    typer.echo(f"{archive}: in order; {len(chosen.videos)} videos, {frames} masks")


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="Videos in the layout of DAVIS, with the masks of the package.")],
    masks: Annotated[Path, typer.Argument(help="Masks to hand in: what `segment-all` wrote, a folder or a zip.")],
    server: Annotated[Literal["davis", "mose", "lvos"], typer.Option(help="Whose server.")],
    out: Annotated[Path, typer.Option("--out", help="File for the archive.")],
    images: Annotated[str, typer.Option(help="Sub-folder of the frames.")] = "JPEGImages",
    annotations: Annotated[str, typer.Option(help="Sub-folder of the masks.")] = "Annotations",
    list_file: Annotated[str | None, typer.Option("--list", help="File below FOLDER with video names.")] = None,
) -> None:
    """Pack masks for the server of DAVIS test-dev, MOSE or LVOS, and check all that it expects."""
    from oneshot_vos.stages import pack as stage

    stage.run(folder, images, annotations, list_file, masks, server, out)


@app.command()
def cross_check(
    index: Annotated[Path, typer.Option(help="Index of the set, as the command `data` writes it.")],
    masks: Annotated[Path, typer.Option(help="Masks of the set: a zip of the command `infer`, or a folder.")],
) -> None:
    """Score masks with this project and with the official package, and compare every number bit by bit."""
    from oneshot_vos.evaluation.cross_check import cross_check as compare
    from oneshot_vos.evaluation.davis import evaluate_set
    from oneshot_vos.videos.index import read_index

    videos = read_index(index)
    outcome = compare(videos, masks, evaluate_set(videos, masks))
    for difference in outcome.differences:
        typer.echo(difference)
    typer.echo(f"{outcome.compared} numbers compared, {len(outcome.differences)} differ")
    if not outcome.equal:
        raise typer.Exit(1)
