"""Everything that the tables are written from, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot_vos.reporting.comparison import Table, table1, table3, table4
from oneshot_vos.reporting.experiments import Experiment, one_shot_ratio
from oneshot_vos.reporting.labels import LabelCounts, read_label_counts
from oneshot_vos.reporting.progress import Curve, read_curves
from oneshot_vos.reporting.results import (
    COPY_FIRST,
    RunResult,
    RunSpec,
    SetScores,
    Spread,
    TrainingRecord,
    parse_runs,
    read_pretrainings,
    read_results,
    read_run_scores,
)


@dataclass(frozen=True)
class Report:
    """Results of one profile: runs in the order of the list, and the tables of the paper that they go into."""

    profile: str
    sets: tuple[str, ...]
    runs: tuple[RunResult, ...]
    baseline: Mapping[str, SetScores]  # of repeating the first mask
    pretrainings: Mapping[str, TrainingRecord]
    labels: LabelCounts
    curves: Mapping[str, Curve]
    table1: Table
    table3: Table
    table4: Table

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        """The list of runs."""
        return tuple(run.spec for run in self.runs)

    def ratio_to_full(self, spec: RunSpec, score: float, name: str) -> float | None:
        """J&F of a run on set `name` (percent) as a fraction of the mean of full supervision in Table 1.

        None if that has no score, or if the run's scores are not comparable.
        """
        full = self.table1.experiment(spec.network, "full", "static").score(name, "JF")
        return score / full.mean if spec.comparable and full and full.mean > 0 else None

    def ratios(self) -> dict[str, dict[str, Spread]]:
        """One-shot J&F over full J&F per network and set of Table 1, where both have been run."""
        ratios: dict[str, dict[str, Spread]] = {}
        for row in self.table1.rows:
            if row.network is None or row.supervision == "full":
                continue
            full = self.table1.experiment(row.network, "full", "static")
            for name in self.sets:
                ratio = one_shot_ratio(row.ours or Experiment(()), full, name)
                if ratio:
                    ratios.setdefault(row.network, {})[name] = ratio
        return ratios


def collect(
    runs: Mapping[str, Mapping[str, Any]],
    metrics: Path,
    labels: Path,
    curves: Path,
    sets: Sequence[str],
    profile: str,
    table1_strategy: Mapping[str, str],
) -> Report:
    """Read what the stages wrote for the runs of the list; see `tables.write_tables` for the arguments."""
    specs = parse_runs(runs)
    results = read_results(specs, metrics, curves, sets)
    return Report(
        profile=profile,
        sets=tuple(sets),
        runs=results,
        baseline=read_run_scores(metrics / COPY_FIRST, sets),
        pretrainings=read_pretrainings(specs, curves),
        labels=read_label_counts(labels),
        curves=read_curves(specs, metrics),
        table1=table1(results, table1_strategy),
        table3=table3(results),
        table4=table4(results),
    )
