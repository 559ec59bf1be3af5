"""What the pipeline measured, read back from the files of its stages.

A number that no stage has written is `None` here and stays `None` up to the tables, where it reads "not run".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.davis_files import load_result
from oneshot_vos.files import read_json

MEASURES = ("JF", "J", "F")
COPY_FIRST = "copy_first"  # the baseline that repeats the first mask; named like a run below the metrics folder
EMPTY = "empty"  # the way of training with an empty reference mask
# The same measures as the evaluation names them.
_GLOBAL_NAMES = {"JF": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}


@dataclass(frozen=True)
class RunSpec:
    """One entry of the list of runs: what tells a trained network from the others."""

    name: str
    network: str
    strategy: str  # full | two_step | t_step | one_step | empty
    labels: str  # every | first
    init: str  # static | backbone
    seed: int

    @property
    def variant(self) -> tuple[str, str, str, str]:
        """Everything but the seed: runs of equal variant are repetitions of one experiment."""
        return (self.network, self.strategy, self.labels, self.init)

    @property
    def comparable(self) -> bool:
        """Whether scores may be set against other runs': not those of a network that gets no mask of any object.

        Trained with an empty reference, it is given an empty mask in scoring too, and all objects count as one.
        """
        return self.strategy != EMPTY


@dataclass(frozen=True)
class SetScores:
    """Global scores of one run on one set, in percent, over `sequences` sequences with `objects` objects in all."""

    scores: Mapping[str, float]  # by MEASURES
    sequences: int
    objects: int


@dataclass(frozen=True)
class TrainingRecord:
    """What the training stage noted in `run.json`; a field that it did not note is None."""

    hardware: str | None = None
    processes: int | None = None
    threads: int | None = None  # per process
    precision: str | None = None  # of the arithmetic: float32 or bfloat16
    torch: str | None = None
    iterations: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    command: str | None = None
    finished: str | None = None


@dataclass(frozen=True)
class RunResult:
    """A run with all that is known of it. A set that has not been scored is absent from `scores`."""

    spec: RunSpec
    scores: Mapping[str, SetScores] = field(default_factory=dict)
    training: TrainingRecord | None = None


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; the deviation of a single seed is not defined."""

    mean: float
    deviation: float | None


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation (n - 1) of `values`; None when there are none."""
    if not values:
        return None
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def parse_runs(runs: Mapping[str, Mapping[str, Any]]) -> tuple[RunSpec, ...]:
    """The list of runs of params.yaml, in its order."""
    known = [item.name for item in fields(RunSpec) if item.name != "name"]
    specs = []
    for name, entry in runs.items():
        missing = [key for key in known if key not in entry]
        if missing:
            raise UserError(f"run '{name}': {', '.join(missing)} missing; a run has {', '.join(known)}")
        specs.append(RunSpec(name=name, **{key: entry[key] for key in known}))
    return tuple(specs)


def read_results(runs: Sequence[RunSpec], metrics: Path, curves: Path, sets: Sequence[str]) -> tuple[RunResult, ...]:
    """Scores and training record of every run of the list; files of other runs in the folders are not looked at."""
    return tuple(
        RunResult(run, read_run_scores(metrics / run.name, sets), _read_training(curves / run.name / "run.json"))
        for run in runs
    )


def read_run_scores(folder: Path, sets: Sequence[str]) -> dict[str, SetScores]:
    """The scores `<folder>/<set>.json` of those of `sets` that have been evaluated."""
    return {name: _read_set(folder / f"{name}.json") for name in sets if (folder / f"{name}.json").exists()}


def _read_set(path: Path) -> SetScores:
    result = load_result(path)
    summary = result.summary
    for name in _GLOBAL_NAMES.values():
        if not (math.isfinite(summary[name]) and 0.0 <= summary[name] <= 1.0):
            raise UserError(
                f"{path}: {name} is {summary[name]}; expected a fraction from 0 to 1. Run the evaluate stage again"
            )
    return SetScores(
        scores={measure: 100.0 * summary[name] for measure, name in _GLOBAL_NAMES.items()},
        sequences=len(result.sequences),
        objects=sum(len(sequence.objects) for sequence in result.sequences),
    )


def read_pretrainings(runs: Sequence[RunSpec], curves: Path) -> dict[str, TrainingRecord]:
    """Records of the static pretrainings that the runs start from: `pretrain-<network>` to its record."""
    names = dict.fromkeys(f"pretrain-{run.network}" for run in runs if run.init == "static")
    records = {name: _read_training(curves / name / "run.json") for name in names}
    return {name: record for name, record in records.items() if record}


def _read_training(path: Path) -> TrainingRecord | None:
    if not path.exists():
        return None
    content = read_json(path, "the record of a training, written by the train stage")
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected one JSON object, found {type(content).__name__}")
    return TrainingRecord(**{item.name: content.get(item.name) for item in fields(TrainingRecord)})


def reproduce(run: str) -> str:
    """The command that makes the scores of a run from nothing, in the profile that params.yaml names."""
    return f"dvc repro evaluate@{run}"
