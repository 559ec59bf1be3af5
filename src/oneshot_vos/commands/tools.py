"""Commands beside the pipeline: data sets, parameters, scores, and archives for servers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from oneshot_vos.commands.pipeline import DEFAULT_PARAMS, ParamsFile, ProfileName
from oneshot_vos.errors import UserError


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder state/<profile>/<run> of a training, or the file in it.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the weights; default: <run>-<iteration>.safetensors.")
    ] = None,
) -> None:
    """Write the weights of a training that was stopped, as its end would."""
    from oneshot_vos.stages import export as stage

    stage.run(checkpoint, out)


def score(
    truth: Annotated[Path, typer.Argument(metavar="GROUND_TRUTH", help="True masks: a folder or zip of videos.")],
    masks: Annotated[Path, typer.Argument(metavar="MASKS", help="Masks to score: a folder or zip of the same videos.")],
    csv: Annotated[Path | None, typer.Option(help="Also a CSV file of all numbers.")] = None,
    all_frames: Annotated[bool, typer.Option("--all-frames", help="Score the first and the last frame, too.")] = False,
    single_object: Annotated[bool, typer.Option("--single-object", help="All ids are one object.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core.")] = None,
) -> None:
    """Score masks as DAVIS does, J and F per sequence and object, the worst sequences first."""
    from oneshot_vos.stages import score as stage

    typer.echo(stage.run(truth, masks, csv, all_frames=all_frames, single_object=single_object, processes=processes))


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


def resize_youtube(
    source: Annotated[Path, typer.Argument(help="Package of YouTube-VOS.")] = Path("data/paper/raw/YouTube2018/train"),
    out: Annotated[Path | None, typer.Option(help="Folder for the copy; default: SOURCE with `_480p`.")] = None,
    quality: Annotated[int, typer.Option(help="JPEG quality; 75 is that of the official copy.")] = 75,
    processes: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
) -> None:
    """Copy YouTube-VOS with a shorter side of 480 pixels, which training reads; rerun to resume."""
    from oneshot_vos.stages import resize_youtube as stage

    stage.run(source, out, quality=quality, processes=processes)


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
    if outcome.differences:
        raise typer.Exit(1)
