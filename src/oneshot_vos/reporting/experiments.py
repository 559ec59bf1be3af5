"""Runs that repeat one experiment with other seeds, taken together; and which experiments make up Table 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oneshot_vos.errors import UserError
from oneshot_vos.reporting.published import PublishedRow, published_set, published_table
from oneshot_vos.reporting.results import RunResult, RunSpec, Spread, spread

# The backward pass behind the paper's one-shot rows. It is not said outright: STCN's row equals Table 3's two-step
# row, those of XMem and Cutie do not, and section 3.4 calls T-step the best after pretraining.
TABLE1_BACKWARD: Mapping[str, str] = {"stcn": "two_step", "xmem": "t_step", "cutie": "t_step"}
_FALLBACK_BACKWARD = "two_step"  # of a network that is not in the paper: works for every network


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


@dataclass(frozen=True)
class Table1Row:
    """A row of Table 1: the printed numbers and ours, never mixed. Systems that the paper cites have `ours` None."""

    method: str
    model: str | None
    supervision: str  # full, or the backward pass of one-shot training
    published: PublishedRow | None
    ours: Experiment | None

    def difference(self, name: str, measure: str) -> float | None:
        """Ours minus the paper's in percentage points; None unless both are over the whole published set."""
        counterpart = published_set(name)
        if counterpart is None or self.published is None or self.ours is None:
            return None
        score, sizes = self.ours.score(name, measure), self.ours.sizes(name)
        printed = self.printed(counterpart.name, measure)
        if score is None or sizes is None or printed is None or sizes[0] != counterpart.sequences:
            return None
        return score.mean - printed

    def printed(self, name: str, measure: str) -> float | None:
        """The paper's number for its set `name` (davis16, davis17), in percent."""
        return self.published.scores.get(name, {}).get(measure) if self.published else None


def experiments(results: Sequence[RunResult]) -> dict[tuple[str, str, str, str], Experiment]:
    """Results by variant, in the order in which the variants first appear in the list of runs."""
    grouped: dict[tuple[str, str, str, str], list[RunResult]] = {}
    for result in results:
        grouped.setdefault(result.spec.variant, []).append(result)
    return {variant: Experiment(tuple(runs)) for variant, runs in grouped.items()}


def table1(results: Sequence[RunResult], backward: Mapping[str, str]) -> tuple[Table1Row, ...]:
    """The rows of Table 1: the paper's in its order, then networks of the list that the paper does not have.

    Ours are the runs after static pretraining, as in the paper: full supervision with every label, and one-shot with
    the backward pass `backward[model]`.
    """
    grouped = experiments(results)
    chosen = {**TABLE1_BACKWARD, **backward}
    rows = []
    for printed in published_table(1):
        if printed.model is None:
            rows.append(Table1Row(printed.method, None, "full", printed, None))
            continue
        supervision = "full" if printed.supervision == "full" else chosen[printed.model]
        ours = _pretrained(grouped, printed.model, supervision)
        rows.append(Table1Row(printed.method, printed.model, supervision, printed, ours))
    for model in dict.fromkeys(result.spec.model for result in results):
        if model not in TABLE1_BACKWARD:
            for method, supervision in ((model, "full"), (f"1-shot {model}", chosen.get(model, _FALLBACK_BACKWARD))):
                rows.append(Table1Row(method, model, supervision, None, _pretrained(grouped, model, supervision)))
    return tuple(rows)


def _pretrained(grouped: Mapping[tuple[str, str, str, str], Experiment], model: str, supervision: str) -> Experiment:
    labels = "every" if supervision == "full" else "first"
    return grouped.get((model, supervision, labels, "static"), Experiment(()))


def full_supervision(rows: Sequence[Table1Row], model: str) -> Experiment:
    """The experiment that the other runs of `model` are measured against: its fully supervised row of Table 1."""
    return next(
        (row.ours for row in rows if row.model == model and row.supervision == "full" and row.ours), Experiment(())
    )


def ratio_to_full(spec: RunSpec, score: float, name: str, rows: Sequence[Table1Row]) -> float | None:
    """J&F of a run on set `name` (percent) as a fraction of the mean of full supervision; None if that has no score."""
    full = full_supervision(rows, spec.model).score(name, "JF")
    return score / full.mean if full and full.mean > 0 else None


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
