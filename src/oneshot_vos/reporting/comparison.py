"""Tables 1, 3 and 4 of the paper: which of our runs stands beside which printed row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from oneshot_vos.reporting.experiments import Experiment, experiments
from oneshot_vos.reporting.published import (
    DAVIS17,
    PUBLISHED_SETS,
    PublishedRow,
    PublishedSet,
    published_set,
    published_table,
)
from oneshot_vos.reporting.results import RunResult
from oneshot_vos.supervision import STRATEGIES

# The strategy behind the paper's one-shot rows. It is not said outright: STCN's row equals Table 3's two-step
# row, those of XMem and Cutie do not, and section 3.4 calls T-step the best after pretraining.
TABLE1_STRATEGY: Mapping[str, str] = {"stcn": "two_step", "xmem": "t_step", "cutie": "t_step"}
_FALLBACK_STRATEGY = "two_step"  # of a network that is not in the paper: works for every network


def is_one_shot(strategy: str) -> bool:
    """Whether a row's strategy, a name or that of a variant (`two_step-long`), is one-shot training."""
    name = strategy.partition("-")[0]
    return name in STRATEGIES and STRATEGIES[name].one_shot


@dataclass(frozen=True)
class TableRow:
    """A row of a table: the printed numbers and ours, never mixed. Systems that the paper cites have `ours` None."""

    method: str
    network: str | None
    supervision: str  # full, or the strategy of one-shot training
    init: str  # static | backbone: what training started from
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


@dataclass(frozen=True)
class Table:
    """Table `number` of the paper with our runs in it; `published_sets` are those that the paper prints there."""

    number: int
    title: str
    rows: tuple[TableRow, ...]
    published_sets: tuple[PublishedSet, ...]

    def sizes(self, name: str) -> tuple[int, int] | None:
        """Sequences and objects that our scores on set `name` are over; None if there are none."""
        sizes = [row.ours.sizes(name) for row in self.rows if row.ours]
        return next((size for size in sizes if size), None)

    def experiment(self, network: str, strategy: str, init: str) -> Experiment:
        """Our runs of one row; an empty experiment if there is no such row."""
        found = (row for row in self.rows if (row.network, row.supervision, row.init) == (network, strategy, init))
        row = next(found, None)
        return row.ours if row and row.ours else Experiment(())

    def printed(self, network: str, strategy: str, init: str) -> float | None:
        """The paper's J&F of one row on the table's last set; None if the paper has no such row."""
        for row in self.rows:
            if (row.network, row.supervision, row.init) == (network, strategy, init):
                return row.printed(self.published_sets[-1].name, "JF")
        return None

    def corresponds(self, name: str) -> bool:
        """Whether set `name` is one that the paper prints in this table."""
        return published_set(name) in self.published_sets

    @property
    def networks(self) -> list[str]:
        """The networks of the rows: those of the paper in the order of Table 1, then the others."""
        present = dict.fromkeys(row.network for row in self.rows if row.network)
        return sorted(
            present, key=lambda network: list(TABLE1_STRATEGY).index(network) if network in TABLE1_STRATEGY else 99
        )


def table1(results: Sequence[RunResult], strategy: Mapping[str, str]) -> Table:
    """Table 1: the paper's rows in its order, then networks of the list that the paper does not have.

    Ours are the runs after static pretraining, as in the paper: full supervision with every label, and one-shot with
    the strategy `strategy[network]`.
    """
    grouped = experiments(results)
    chosen = {**TABLE1_STRATEGY, **strategy}
    rows = []
    for printed in published_table(1):
        if printed.network is None:
            rows.append(TableRow(printed.method, None, "full", "static", printed, None))
            continue
        supervision = "full" if printed.supervision == "full" else chosen[printed.network]
        ours = _find(grouped, printed.network, supervision, "static")
        rows.append(TableRow(printed.method, printed.network, supervision, "static", printed, ours))
    for network in dict.fromkeys(result.spec.network for result in results):
        if network not in TABLE1_STRATEGY:
            for method, supervision in (
                (network, "full"),
                (f"1-shot {network}", chosen.get(network, _FALLBACK_STRATEGY)),
            ):
                ours = _find(grouped, network, supervision, "static")
                rows.append(TableRow(method, network, supervision, "static", None, ours))
    return Table(1, "full supervision and one-shot training", tuple(rows), PUBLISHED_SETS)


def table3(results: Sequence[RunResult]) -> Table:
    """Table 3: one-shot training with two steps back, after static pretraining and without it."""
    title = "one-shot training with and without static pretraining (two_step)"
    return Table(
        3, title, _ablation(3, results, lambda strategy: strategy == "two_step", ("static", "backbone")), (DAVIS17,)
    )


def table4(results: Sequence[RunResult]) -> Table:
    """Table 4: the ways back of one-shot training, all from the backbone alone."""
    title = "strategies of one-shot training, without static pretraining"
    return Table(4, title, _ablation(4, results, is_one_shot, ("backbone",)), (DAVIS17,))


def _ablation(
    number: int, results: Sequence[RunResult], wanted: Callable[[str], bool], init: Sequence[str]
) -> tuple[TableRow, ...]:
    """The paper's rows of table `number`, then runs of the list that answer its question beyond the paper's."""
    grouped = experiments(results)
    rows = []
    for printed in published_table(number):
        key = (printed.network or "", printed.strategy or "", printed.init or "")
        rows.append(TableRow(printed.method, *key, printed, _find(grouped, *key)))
    present = {(row.network, row.supervision, row.init) for row in rows}
    for network, supervision, _, start in grouped:
        key = (network, supervision, start)
        if key not in present and wanted(supervision) and start in init:
            rows.append(TableRow(f"1-shot {network}", *key, None, _find(grouped, *key)))
    return tuple(rows)


def _find(
    grouped: Mapping[tuple[str, str, str, str], Experiment], network: str, supervision: str, init: str
) -> Experiment:
    labels = "every" if supervision == "full" else "first"
    return grouped.get((network, supervision, labels, init), Experiment(()))
