"""The commands that the pipeline runs, one per stage: thin, in its order.

Every path is an argument, so that the pipeline's files alone decide what lies where. A stage is imported when its
command runs: help and wrong parameters answer at once, without torch. So a run or another thing that a command names
is looked up before that, which raises `UserError` with the nearest name if there is none.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneshot_vos.commands import without_collecting
from oneshot_vos.linked import refuse_links

if TYPE_CHECKING:
    from oneshot_vos.params import Params

ProfileName = Annotated[str | None, typer.Option("--profile", help="Profile; default: the one that --params names.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameters.")]
ModelName = Annotated[str, typer.Option("--network", help="Network, one of `networks` in the parameters.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Trained network, one of `runs` in the parameters.")]
SetsFolder = Annotated[Path, typer.Option("--sets", help="Folder with the index <set>.json of every set.")]
WeightsFile = Annotated[Path, typer.Option("--weights", help="Weights to start from.")]
CurvesOut = Annotated[Path, typer.Option("--curves", help="Folder for the training curves.")]
FolderOut = Annotated[Path, typer.Option("--out", help="Folder for what the command makes.")]
WeightsOut = Annotated[Path, typer.Option("--out", help="File for the weights.")]

DEFAULT_PARAMS = Path("params.yaml")


def load_params(path: Path, profile: str | None) -> "Params":
    """The parameters, read only by the commands that want them: help should not wait for their schema."""
    with without_collecting():
        from oneshot_vos import params

        chosen = params.load_params(path, profile)
    if "DVC_STAGE" in os.environ:  # DVC runs this command, and would throw away what it makes
        refuse_links(chosen.profile_name)
    return chosen


def data(out: FolderOut, profile: ProfileName = None, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Make or find the sets of the profile, check every file and write one index per set."""
    chosen = load_params(params, profile)
    with without_collecting():
        from oneshot_vos.stages import data as stage
    stage.run(chosen, out)


def labels(
    kind: Annotated[str, typer.Option(help="Which masks training gets, one of `labels` in the parameters.")],
    sets: SetsFolder,
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Hand masks to training, and count them."""
    chosen = load_params(params, profile)
    chosen.labels[kind]
    with without_collecting():
        from oneshot_vos.stages import labels as stage
    stage.run(chosen, kind, sets, out)


def init(network: ModelName, out: WeightsOut, profile: ProfileName = None, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Make the weights that a new network starts from."""
    chosen = load_params(params, profile)
    chosen.require_network(network)
    with without_collecting():
        from oneshot_vos.stages import init as stage
    stage.run(chosen, network, out)


def pretrain(
    network: ModelName,
    weights: WeightsFile,
    sets: SetsFolder,
    out: WeightsOut,
    curves: CurvesOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train on videos made from single images."""
    chosen = load_params(params, profile)
    chosen.require_network(network)
    with without_collecting():
        from oneshot_vos.stages import pretrain as stage
    stage.run(chosen, network, weights, sets, out, curves)


def start(
    name: Annotated[str, typer.Argument(help="Starting weights, one of `starts` in the parameters.")],
    weights: WeightsFile,
    out: WeightsOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Take over weights that runs start from."""
    chosen = load_params(params, profile)
    chosen.starts[name]
    with without_collecting():
        from oneshot_vos.stages import start as stage
    stage.run(chosen, name, weights, out)


def train(
    run: RunName,
    weights: WeightsFile,
    labels: Annotated[Path, typer.Option(help="Folder that the command `labels` wrote.")],
    out: WeightsOut,
    snapshots: Annotated[Path, typer.Option(help="Folder for the weights on the way.")],
    curves: CurvesOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train a network on videos, with full or one-shot supervision."""
    chosen = load_params(params, profile)
    chosen.runs[run]
    with without_collecting():
        from oneshot_vos.stages import train as stage
    stage.run(chosen, run, weights, labels, out, snapshots, curves)


def pseudo(
    name: Annotated[str, typer.Argument(help="Labels to make, one of `pseudo` in the parameters.")],
    weights: Annotated[Path, typer.Option(help="Weights of the network that makes them.")],
    labels: Annotated[Path, typer.Option(help="Folder that the command `labels` wrote, with one mask per video.")],
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Label every frame of the training videos with a trained network."""
    chosen = load_params(params, profile)
    chosen.pseudo[name]
    with without_collecting():
        from oneshot_vos.stages import pseudo as stage
    stage.run(chosen, name, weights, labels, out)


def infer(
    run: RunName,
    weights: WeightsFile,
    snapshots: Annotated[Path, typer.Option(help="Folder with the weights on the way.")],
    sets: SetsFolder,
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Segment the evaluation sets with a trained network: one archive of masks per set."""
    chosen = load_params(params, profile)
    chosen.runs[run]
    if not weights.exists():  # it may be the name of official weights
        from oneshot_vos.fetch.weights import find_weights

        weights = find_weights(weights)
    with without_collecting():
        from oneshot_vos.stages import infer as stage
    stage.run(chosen, run, weights, snapshots, sets, out)


def probe(
    run: RunName,
    weights: WeightsFile,
    snapshots: Annotated[Path, typer.Option(help="Folder with the weights on the way.")],
    sets: SetsFolder,
    out: Annotated[Path, typer.Option(help="File for the table.")],
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Ask how much a network looks at its references, over the course of its training."""
    chosen = load_params(params, profile)
    chosen.runs[run]
    with without_collecting():
        from oneshot_vos.stages import probe as stage
    stage.run(chosen, run, weights, snapshots, sets, out)


def baseline(
    sets: SetsFolder,
    masks: Annotated[Path, typer.Option(help="Folder for the masks.")],
    metrics: Annotated[Path, typer.Option(help="Folder for the scores.")],
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Repeat the first mask over every video, and score that."""
    chosen = load_params(params, profile)
    with without_collecting():
        from oneshot_vos.stages import baseline as stage
    stage.run(chosen, sets, masks, metrics)


def evaluate(
    run: RunName,
    masks: Annotated[Path, typer.Option(help="Folder that the command `infer` wrote.")],
    sets: SetsFolder,
    out: FolderOut,
    summary: Annotated[Path, typer.Option(help="File for the scores of the sets, for `dvc metrics`.")],
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Score the masks of a run: J and F per frame, object, sequence and set."""
    chosen = load_params(params, profile)
    chosen.runs[run]
    with without_collecting():
        from oneshot_vos.stages import evaluate as stage
    stage.run(chosen, run, masks, sets, out, summary)


def tables(
    metrics: Annotated[Path, typer.Option(help="Folder with the scores of all runs.")],
    labels: Annotated[Path, typer.Option(help="Folder above what `labels` wrote for each kind.")],
    curves: Annotated[Path, typer.Option(help="Folder with the training curves of all runs.")],
    probes: Annotated[Path, typer.Option(help="Folder with what `probe` wrote for all runs.")],
    server_scores: Annotated[Path, typer.Option(help="Scores that the YouTube-VOS server gave.")],
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write the comparison tables and the summary of all scores."""
    chosen = load_params(params, profile)
    with without_collecting():
        from oneshot_vos.stages import tables as stage
    stage.run(chosen, metrics, labels, curves, probes, server_scores, out)


def figures(
    masks: Annotated[Path, typer.Option(help="Folder with the masks of all runs.")],
    sets: SetsFolder,
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Draw the paper's figures from the masks of the runs."""
    chosen = load_params(params, profile)
    with without_collecting():
        from oneshot_vos.stages import figures as stage
    stage.run(chosen, masks, sets, out)


def report(
    metrics: Annotated[Path, typer.Option(help="Folder with the scores of all runs.")],
    masks: Annotated[Path, typer.Option(help="Folder with the masks of all runs.")],
    labels: Annotated[Path, typer.Option(help="Folder above what `labels` wrote for each kind.")],
    curves: Annotated[Path, typer.Option(help="Folder with the training curves of all runs.")],
    probes: Annotated[Path, typer.Option(help="Folder with what `probe` wrote for all runs.")],
    sets: SetsFolder,
    server_scores: Annotated[Path, typer.Option(help="Scores that the YouTube-VOS server gave.")],
    out: FolderOut,
    profile: ProfileName = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write the page to look at: tables, curves, sequences with their masks, hardware and commands."""
    chosen = load_params(params, profile)
    with without_collecting():
        from oneshot_vos.stages import report as stage
    stage.run(chosen, metrics, masks, labels, curves, probes, sets, server_scores, out)


COMMANDS = (
    *(data, labels, init, start, pseudo, pretrain, train),
    *(infer, probe, baseline, evaluate, tables, figures, report),
)
