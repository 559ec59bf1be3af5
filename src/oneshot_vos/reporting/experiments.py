"""Runs that repeat one experiment with other seeds, taken together, and two such experiments set against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.results import RunResult, Spread, spread


@dataclass(frozen=True)
class Experiment:
    """All runs of the list that differ in nothing but the seed. May be empty: an experiment that is not in the list."""

    runs: tuple[RunResult, ...]

    def score(self, name: str, measure: str) -> Spread | None:
        """Mean and spread over the seeds that have been scored on set `name`, in percent; None if none has been."""
        return spread([run.scores[name].scores[measure] for run in self.scored_on(name)])

    def scored_on(self, name: str) -> tuple[RunResult, ...]:
        """The runs that have been scored on set `name`."""
        return tuple(run for run in self.runs if name in run.scores)

    def sizes(self, name: str) -> tuple[int, int] | None:
        """Sequences and objects that the scores on set `name` are over; the seeds must agree."""
        sizes = {(run.scores[name].sequences, run.scores[name].objects) for run in self.scored_on(name)}
        if len(sizes) > 1:
            raise UserError(
                f"set '{name}': {' and '.join(run.spec.name for run in self.runs)} were scored on different numbers of "
                f"sequences or objects {sorted(sizes)}; their mean would mean nothing. Run their evaluate stages again"
            )
        return sizes.pop() if sizes else None

    @property
    def seeds(self) -> list[int]:
        """Seeds with a score on any set, in the order of the list of runs."""
        return [run.spec.seed for run in self.runs if run.scores]


def experiments(results: Sequence[RunResult]) -> dict[tuple[str, str, str, str], Experiment]:
    """Results by variant, in the order in which the variants first appear in the list of runs."""
    grouped: dict[tuple[str, str, str, str], list[RunResult]] = {}
    for result in results:
        grouped.setdefault(result.spec.variant, []).append(result)
    return {variant: Experiment(tuple(runs)) for variant, runs in grouped.items()}


def one_shot_ratio(one_shot: Experiment, full: Experiment, name: str) -> Spread | None:
    """One-shot J&F over full J&F on set `name`: the ratio of the means, and the spread of the ratios of equal seeds."""
    ours, reference = one_shot.score(name, "JF"), full.score(name, "JF")
    if ours is None or reference is None or reference.mean <= 0:
        return None
    by_seed = {run.spec.seed: run.scores[name].scores["JF"] for run in full.scored_on(name)}
    paired = spread(
        [
            run.scores[name].scores["JF"] / by_seed[run.spec.seed]
            for run in one_shot.scored_on(name)
            if by_seed.get(run.spec.seed, 0.0) > 0
        ]
    )
    return Spread(ours.mean / reference.mean, paired.deviation if paired else None)


@dataclass(frozen=True)
class Contrast:
    """One experiment's J&F minus another's, in percentage points.

    `differences` has one value per seed that both have been scored with; where they share none, it is empty and
    `mean` is the difference of their means.
    """

    mean: float
    deviation: float | None  # sample standard deviation of `differences`, from two seeds on
    differences: tuple[float, ...]

    @property
    def sign(self) -> int:
        """1, -1, or 0 for a difference that prints as 0.0."""
        return (self.mean >= 0.05) - (self.mean <= -0.05)

    @property
    def clear(self) -> bool:
        """Whether the difference is at least as large as its spread over seeds; a single seed has none."""
        return self.deviation is None or abs(self.mean) >= self.deviation

    @property
    def same_sign(self) -> int:
        """How many of `differences` point the way of the mean."""
        return sum(difference * self.mean > 0 for difference in self.differences)


def contrast(first: Experiment, second: Experiment, name: str) -> Contrast | None:
    """J&F of `first` minus that of `second` on set `name`; None unless both have been scored on it.

    Runs of equal seed are compared with each other: they draw the same clips. Raises `UserError` if the two were
    scored on different numbers of sequences or objects.
    """
    ours, other = first.score(name, "JF"), second.score(name, "JF")
    if ours is None or other is None:
        return None
    if first.sizes(name) != second.sizes(name):
        names = [experiment.scored_on(name)[0].spec.name for experiment in (first, second)]
        raise UserError(
            f"set '{name}': {names[0]} and {names[1]} were scored on different numbers of sequences or objects, "
            f"{first.sizes(name)} and {second.sizes(name)}; expected the same set. Run their evaluate stages again"
        )
    by_seed = {run.spec.seed: run.scores[name].scores["JF"] for run in second.scored_on(name)}
    differences = tuple(
        run.scores[name].scores["JF"] - by_seed[run.spec.seed]
        for run in first.scored_on(name)
        if run.spec.seed in by_seed
    )
    paired = spread(differences)
    if paired is None:
        return Contrast(ours.mean - other.mean, None, ())
    return Contrast(paired.mean, paired.deviation, differences)
