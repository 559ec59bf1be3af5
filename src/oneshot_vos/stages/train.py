"""Stage `train`, and what it shares with `pretrain`: from weights and labels to trained weights and their curves."""

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot_vos import __version__
from oneshot_vos.clips.dataset import ClipDataset, ClipSource
from oneshot_vos.clips.sampling import FULL_SAMPLERS, Curriculum, OneShotSampler
from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, replacing_folder, sha256_of, write_json
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.networks.common.weights import load_weights, save_weights
from oneshot_vos.params import Params, Training
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.training.allocator import keep_freed_memory
from oneshot_vos.training.batches import EndlessClips
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.training.distributed import World, joined_world
from oneshot_vos.training.loop import Finished, fit
from oneshot_vos.videos.index import read_index


def run(params: Params, run_key: str, weights: Path, labels: Path, out: Path, snapshots: Path, curves: Path) -> None:
    """Train the run `run_key` from `weights` on the videos and masks that `labels` names.

    Writes the trained weights `out`, the folder `snapshots` with the weights after each part of the training but the
    last (`<iteration>.safetensors`), and the folder `curves`.
    """
    profile, chosen = params.profile, params.run(run_key)
    recipe = profile.train[chosen.network]
    files = {name: labels / f"{name}.json" for name in profile.data.train}
    sources = [
        ClipSource(name, read_index(files[name]), source.copies, source.skip_divisor)
        for name, source in profile.data.train.items()
    ]
    if recipe.max_skip is None:
        raise UserError(f"profile '{params.profile_name}': train.{chosen.network}.max_skip is null; videos need values")
    dataset = ClipDataset(
        sources,
        FULL_SAMPLERS[recipe.sampler]() if chosen.labels == "every" else OneShotSampler(),
        CLIP_RECIPES[recipe.augmentation](recipe.crop, exact=recipe.transforms == "exact"),
        objects=recipe.objects,
        frames=recipe.frames,
        seed=chosen.seed,
        max_skip=Curriculum(recipe.max_skip.values, recipe.max_skip.at, recipe.iterations, recipe.batch_size),
    )
    for line in dataset.left_out:
        warnings.warn(f"left out of full supervision: {line}", stacklevel=2)
    train_network(
        network=chosen.network,
        settings=profile.networks[chosen.network],
        supervision=chosen.strategy,
        recipe=recipe,
        dataset=dataset,
        data_files=list(files.values()),
        weights=weights,
        seed=chosen.seed,
        name=run_key,
        state=Path("state") / params.profile_name / run_key,
        out=out,
        curves=curves,
        snapshots=Snapshots(snapshots, profile.curve.points),
    )


@dataclass(frozen=True)
class Snapshots:
    """Weights that are kept on the way: after each of `points` equal parts of a training, but the last."""

    folder: Path
    points: int

    def iterations(self, total: int) -> list[int]:
        """After which iterations."""
        return sorted({total * part // self.points for part in range(1, self.points)} - {0})


def train_network(
    *,
    network: str,
    settings: Mapping[str, Any],
    supervision: str,
    recipe: Training,
    dataset: EndlessClips,
    data_files: list[Path],
    weights: Path,
    seed: int,
    name: str,
    state: Path,
    out: Path,
    curves: Path,
    snapshots: Snapshots | None,
) -> None:
    """Train the network `network` (keyword arguments `settings`) from `weights` and write `out` and `curves`.

    `data_files` are what the data set was read from (an index, say); with the parameters and the initial weights they
    decide whether a checkpoint in `state` still fits.
    """
    key = fingerprint(
        {
            "model": network,
            "settings": dict(settings),
            "supervision": supervision,
            "recipe": recipe.model_dump(),
            "seed": seed,
            "weights": sha256_of(weights),
            "data": {path.name: sha256_of(path) for path in data_files},
        }
    )
    keep_freed_memory()
    built: Network[Any] = build_network(network, settings)
    load_weights(weights, built)
    loss = build_loss(network, recipe.loss)
    options = RolloutOptions(recipe.memory_frames, recipe.deep_update, recipe.handover)
    module = build_strategy(supervision, {}, built, loss, options)
    folder = StateFolder(state, key)
    kept = snapshots.iterations(recipe.iterations) if snapshots else []
    with joined_world() as world:
        if not world.leads:
            fit(module, dataset, recipe, seed=seed, state=folder, world=world, title=name, snapshots=kept)
            return
        with folder.locked():
            finished = fit(module, dataset, recipe, seed=seed, state=folder, world=world, title=name, snapshots=kept)
            if snapshots:
                _hand_over(folder, kept, snapshots.folder)
            _write_outputs(built, finished, recipe, world, network, settings, name, out, curves)
            folder.discard()


def _hand_over(state: StateFolder, iterations: list[int], target: Path) -> None:
    with replacing_folder(target) as folder:
        for iteration in iterations:
            shutil.copyfile(state.snapshot(iteration), folder / state.snapshot(iteration).name)


def _write_outputs(
    built: nn.Module,
    finished: Finished,
    recipe: Training,
    world: World,
    network: str,
    settings: Mapping[str, Any],
    name: str,
    out: Path,
    curves: Path,
) -> None:
    metadata = {"model": network, "settings": dict(settings), "run": name, "iterations": recipe.iterations}
    save_weights(out, built, metadata)
    if finished.curves is not None:
        finished.curves.finish(curves)
    write_json(
        curves / "run.json",
        {
            "run": name,
            "command": "oneshot-vos " + " ".join(sys.argv[1:]),
            "iterations": recipe.iterations,
            "seconds": round(finished.seconds, 1),
            "images_per_second": round(recipe.iterations * recipe.batch_size * recipe.frames / finished.seconds, 2),
            "hardware": _hardware(world.device),
            "processes": world.size,
            "threads": torch.get_num_threads(),
            "precision": str(choose_precision(world.device, recipe.precision)).removeprefix("torch."),
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
