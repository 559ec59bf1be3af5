"""One training from its initial weights to its outputs: what `train` and `pretrain` share."""

import csv
import logging
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from oneshot_vos import __version__
from oneshot_vos.clips.batch import Clip
from oneshot_vos.files import replacing_folder, sha256_of, write_json
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.precision import choose_training_precision
from oneshot_vos.networks.common.weights import load_weights, save_weights
from oneshot_vos.params import Training
from oneshot_vos.params.schema import NEUTRAL
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.batches import keep_freed_memory
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.training.distributed import World, joined_world
from oneshot_vos.training.launch import Processes, company
from oneshot_vos.training.loop import Finished, fit

_log = logging.getLogger(__name__)
_CURVES = "plots/metrics/train"  # below the folder of a training's curves, as `dvc plots` reads them
_CHANNEL_SEED = 14159265  # of the published trainings; like all initial weights, shared by runs of every seed


# Values of a recipe that change no number, or by rounding alone.
_CHANGES_NO_RESULT = NEUTRAL | {"accumulation"}


@dataclass(frozen=True)
class Snapshots:
    """Weights that are kept in between: after each of `points` equal parts of a training, but the last.

    `figure6`: an iteration after which those for Figure 6 are kept too, in a folder of that name.
    """

    folder: Path
    points: int
    figure6: int | None = None

    def places(self, total: int) -> list[tuple[int, str]]:
        """After which iterations of `total` weights are kept, and in which folder below `folder`."""
        curve = sorted({total * part // self.points for part in range(1, self.points)} - {0})
        return [(part, "") for part in curve] + ([] if self.figure6 is None else [(self.figure6, "figure6")])

    def copy(self, state: StateFolder, total: int) -> None:
        """Write `folder` from what a training of `total` iterations has kept in its state.

        An iteration that was asked for when the training had passed it is left out, with a warning.
        """
        with replacing_folder(self.folder) as folder:
            for iteration, place in self.places(total):
                (folder / place).mkdir(exist_ok=True)
                file = state.snapshot(iteration)
                if file.is_file():
                    shutil.copyfile(file, folder / place / file.name)
                else:
                    warnings.warn(f"no weights were kept at iteration {iteration}: asked for too late", stacklevel=2)


@dataclass(frozen=True)
class Job:
    """A training: which network, taught by which strategy, after which recipe."""

    name: str
    network: str
    settings: Mapping[str, Any]  # keyword arguments of the network
    strategy: str
    strategy_settings: Mapping[str, Any]  # keyword arguments of the strategy
    recipe: Training
    seed: int
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by name, in order: copies and the like

    def made_from(self, weights: Path, data_files: Sequence[Path]) -> dict[str, Any]:
        """What decides whether a checkpoint still fits: the job, its initial weights and its data.

        Values that change no number but by rounding, such as `accumulation` and `log_every`, are no part of it.
        """
        recipe = {key: value for key, value in self.recipe.model_dump().items() if key not in _CHANGES_NO_RESULT}
        return {
            "network": self.network,
            "settings": dict(self.settings),
            "strategy": {"name": self.strategy, **self.strategy_settings},
            "recipe": recipe,
            "seed": self.seed,
            "weights": sha256_of(weights),
            "data": {path.name: sha256_of(path) for path in data_files},
            "sets": {name: {"place": place, **used} for place, (name, used) in enumerate(self.sets.items(), 1)},
        }

    def build(self, weights: Path) -> Strategy:
        """The strategy around the network with these weights."""
        recipe = self.recipe
        network = build_network(self.network, self.settings)
        # Draws the input channels that single-object weights lack, or that a single-object network has of its own.
        load_weights(weights, network, generator=torch.Generator().manual_seed(_CHANNEL_SEED))
        options = RolloutOptions(recipe.memory_frames, recipe.deep_update, recipe.handover)
        loss = build_loss(self.network, recipe.loss)
        return build_strategy(self.strategy, self.strategy_settings, network, loss, options)


@dataclass(frozen=True)
class Outputs:
    """Where a training leaves its weights, its curves and, if asked for, weights of iterations in between."""

    weights: Path
    curves: Path
    snapshots: Snapshots | None = None


def train_network(
    job: Job,
    weights: Path,
    dataset: Dataset[Clip],
    data_files: Sequence[Path],
    state: Path,
    outputs: Outputs,
    processes: Processes,
) -> None:
    """Do `job`, starting from `weights`, and write `outputs`; rerun to resume from the folder `state`.

    `data_files` are what the data set was read from (an index, say): with other ones, a checkpoint in `state` is not
    used. `processes`: how many train; see `launch.company`.
    """
    with company(processes, job.recipe.batch_size // job.recipe.accumulation) as here:
        if not here:
            return
        keep_freed_memory()
        strategy = job.build(weights)
        folder = StateFolder(state, job.made_from(weights, data_files))
        snapshots, total = outputs.snapshots, job.recipe.iterations
        kept = {iteration for iteration, _ in snapshots.places(total)} if snapshots else set()
        with joined_world() as world, folder.locked() if world.leads else nullcontext():
            finished = fit(
                strategy, dataset, job.recipe, seed=job.seed, state=folder, world=world, title=job.name, snapshots=kept
            )
            if not world.leads:
                return
            if snapshots:
                snapshots.copy(folder, total)
            _write_outputs(job, strategy.network, finished, world, outputs)
            folder.discard()


def _write_outputs(job: Job, network: nn.Module, finished: Finished, world: World, outputs: Outputs) -> None:
    recipe = job.recipe
    metadata = {"model": job.network, "settings": dict(job.settings), "run": job.name, "iterations": recipe.iterations}
    save_weights(outputs.weights, network, metadata)
    _log.info("%s: trained for %d iterations; weights in %s", job.name, recipe.iterations, outputs.weights)
    write_curves(outputs.curves, finished.curve)
    write_json(
        outputs.curves / "run.json",
        {
            "run": job.name,
            "command": "oneshot-vos " + " ".join(sys.argv[1:]),
            "iterations": recipe.iterations,
            "seconds": round(finished.seconds, 1),
            "images_per_second": round(recipe.iterations * recipe.batch_size * recipe.frames / finished.seconds, 2),
            "hardware": _hardware(world.device),
            "processes": world.size,
            "threads": torch.get_num_threads(),
            "precision": str(choose_training_precision(world.device, recipe.precision)).removeprefix("torch."),
            "torch": torch.__version__,
            "oneshot_vos": __version__,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def write_curves(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write `folder/plots/metrics/train/<name>.tsv`, tab-separated `step` and `<name>`, for every value of `rows`.

    A row is what was logged after one iteration, `row["iteration"]`. What was in `folder` before is replaced at once.
    """
    names = dict.fromkeys(name for row in rows for name in row if name != "iteration")
    with replacing_folder(folder) as temporary:
        (temporary / _CURVES).mkdir(parents=True)
        for name in names:
            with (temporary / _CURVES / f"{name}.tsv").open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
                writer.writerow(["step", name])
                writer.writerows([int(row["iteration"]), row[name]] for row in rows if name in row)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()} ({os.cpu_count()} cores)"


def _processor() -> str:
    """The processor's name as Linux gives it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
