"""One training from its initial weights to its outputs: what `train` and `pretrain` share."""

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot_vos import __version__
from oneshot_vos.files import fingerprint, replacing_folder, sha256_of, write_json
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.precision import choose_training_precision
from oneshot_vos.networks.common.weights import load_weights, save_weights
from oneshot_vos.params import Training
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.allocator import keep_freed_memory
from oneshot_vos.training.batches import EndlessClips
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.training.curves import write_curves
from oneshot_vos.training.distributed import World, joined_world
from oneshot_vos.training.loop import Finished, fit


@dataclass(frozen=True)
class Snapshots:
    """Weights that are kept on the way: after each of `points` equal parts of a training, but the last."""

    folder: Path
    points: int

    def iterations(self, total: int) -> list[int]:
        """After which iterations."""
        return sorted({total * part // self.points for part in range(1, self.points)} - {0})


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

    def fingerprint(self, weights: Path, data_files: Sequence[Path]) -> str:
        """What decides whether a checkpoint still fits: the job, its initial weights and its data."""
        own = dict(self.strategy_settings)
        return fingerprint(
            {
                "model": self.network,
                "settings": dict(self.settings),
                "supervision": {"name": self.strategy, **own} if own else self.strategy,
                "recipe": self.recipe.model_dump(),
                "seed": self.seed,
                "weights": sha256_of(weights),
                "data": {path.name: sha256_of(path) for path in data_files},
            }
        )

    def build(self, weights: Path) -> Strategy:
        """The strategy around the network with these weights."""
        recipe = self.recipe
        network = build_network(self.network, self.settings)
        load_weights(weights, network)
        options = RolloutOptions(recipe.memory_frames, recipe.deep_update, recipe.handover)
        loss = build_loss(self.network, recipe.loss)
        return build_strategy(self.strategy, self.strategy_settings, network, loss, options)


@dataclass(frozen=True)
class Outputs:
    """Where a training leaves its weights, its curves and, if asked for, weights on the way."""

    weights: Path
    curves: Path
    snapshots: Snapshots | None = None


def train_network(
    job: Job, weights: Path, dataset: EndlessClips, data_files: Sequence[Path], state: Path, outputs: Outputs
) -> None:
    """Do `job`, starting from `weights`, and write `outputs`; rerun to resume from the folder `state`.

    `data_files` are what the data set was read from (an index, say): with other ones, a checkpoint in `state` is not
    used.
    """
    keep_freed_memory()
    strategy = job.build(weights)
    folder = StateFolder(state, job.fingerprint(weights, data_files))
    kept = outputs.snapshots.iterations(job.recipe.iterations) if outputs.snapshots else []
    with joined_world() as world, folder.locked() if world.leads else nullcontext():
        finished = fit(
            strategy, dataset, job.recipe, seed=job.seed, state=folder, world=world, title=job.name, snapshots=kept
        )
        if not world.leads:
            return
        if outputs.snapshots:
            _copy_snapshots(folder, kept, outputs.snapshots.folder)
        _write_outputs(job, strategy.network, finished, world, outputs)
        folder.discard()


def _copy_snapshots(state: StateFolder, iterations: list[int], target: Path) -> None:
    with replacing_folder(target) as folder:
        for iteration in iterations:
            shutil.copyfile(state.snapshot(iteration), folder / state.snapshot(iteration).name)


def _write_outputs(job: Job, network: nn.Module, finished: Finished, world: World, outputs: Outputs) -> None:
    recipe = job.recipe
    metadata = {
        "model": job.network,
        "settings": dict(job.settings),
        "run": job.name,
        "iterations": recipe.iterations,
    }
    save_weights(outputs.weights, network, metadata)
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
