"""What Tables 1, 3 and 4 compare, in numbers: scores, differences with their spread over seeds, and the paper's.

Nothing is judged here. A score below that of repeating the first mask is called so: such runs say little about each
other.
"""

import math
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from oneshot_vos.reporting.comparison import BELOW, Table
from oneshot_vos.reporting.results import Results, deviation, select
from oneshot_vos.reporting.text import NOT_RUN, mean_and_spread, number


class Contrast(NamedTuple):
    """One experiment's J&F minus another's, in percentage points; NaN where it is not known.

    Runs of equal seed are compared with each other: they draw the same clips. Where the two share no seed, `seeds` is 0
    and `mean` is the difference of their means.
    """

    mean: float
    deviation: float
    seeds: int


def by_seed(results: Results, network: str, strategy: str, init: str, name: str) -> "pd.Series[float]":
    """J&F on set `name` of the runs of one experiment, in percent, by seed."""
    wanted = {"network": network, "strategy": strategy, "init": init, "set": name, "measure": "JF"}
    return select(results.scores, **wanted).set_index("seed")["value"]


def contrast(first: "pd.Series[float]", second: "pd.Series[float]") -> Contrast | None:
    """The first scores minus the second ones; None unless there are both."""
    if first.empty or second.empty:
        return None
    differences = (first - second).dropna()
    if differences.empty:
        return Contrast(fmean(first) - fmean(second), math.nan, 0)
    return Contrast(fmean(differences), deviation(differences), len(differences))


def one_shot_rows(table1: Table) -> dict[str, str]:
    """The strategy that stands for one-shot training in Table 1, by network."""
    rows = table1.rows[(table1.rows["network"] != "") & (table1.rows["labels"] == "first")]
    return dict(zip(rows["network"], rows["strategy"], strict=True))


def ratios(results: Results, table1: Table) -> Iterator[tuple[str, str, str, float, float]]:
    """Network, set, strategy, one-shot J&F over full J&F, and its deviation, of the rows of Table 1 that have both."""
    for network, strategy in one_shot_rows(table1).items():
        for name in table1.sets:
            ours = by_seed(results, network, strategy, "static", name)
            found = quotient(ours, by_seed(results, network, "full", "static", name))
            if found:
                yield network, name, strategy, *found


def quotient(first: "pd.Series[float]", second: "pd.Series[float]") -> tuple[float, float] | None:
    """The ratio of the means, and the deviation of the ratios of equal seeds; None unless there are both."""
    if not (len(first) and len(second) and fmean(second) > 0):
        return None
    return fmean(first) / fmean(second), deviation((first / second[second > 0]).dropna())


def gain(results: Results, table3: Table, network: str, name: str) -> Contrast | None:
    """J&F after static pretraining minus without it, of the strategy of Table 3."""
    strategy = _strategies(table3, network)[0]
    static, backbone = (by_seed(results, network, strategy, init, name) for init in ("static", "backbone"))
    return contrast(static, backbone)


def leads(results: Results, table4: Table, network: str, name: str, first: str) -> dict[str, Contrast]:
    """J&F of strategy `first`, from the backbone, minus that of each other one of Table 4, by the other's name.

    A strategy by name, not the best one: the sign of a number should not depend on who leads.
    """
    others = [strategy for strategy in _strategies(table4, network) if strategy != first]
    scores = {other: by_seed(results, network, other, "backbone", name) for other in (first, *others)}
    found = {other: contrast(scores[first], scores[other]) for other in others}
    return {other: difference for other, difference in found.items() if difference}


def statements(results: Results, table: Table, name: str) -> list[str]:
    """One line of Markdown per network of Table 3 or 4 on set `name`."""
    write = _pretraining if table.number == 3 else _strategy_line
    return [f"- {network}: {write(results, table, network, name)}" for network in table.networks]


def _strategies(table: Table, network: str) -> list[str]:
    return list(select(table.rows, network=network)["strategy"].unique())


def _pretraining(results: Results, table: Table, network: str, name: str) -> str:
    strategy = _strategies(table, network)[0]
    words = {"static": "with pretraining", "backbone": "without pretraining"}
    scores = {word: by_seed(results, network, strategy, init, name) for init, word in words.items()}
    printed = [table.printed(network, strategy, init) for init in words]
    paper = "" if printed[0] is None or printed[1] is None else f" The paper: {printed[0] - printed[1]:+.1f}."
    difference = gain(results, table, network, name)
    share = _share("without / with", *reversed(scores.values()))
    listed = _listed(scores, results.baseline(name, "JF"))
    return f"{listed}{_difference('with minus without', difference)}{share}.{paper}"


def _strategy_line(results: Results, table: Table, network: str, name: str) -> str:
    strategies = _strategies(table, network)
    scores = {strategy: by_seed(results, network, strategy, "backbone", name) for strategy in strategies}
    printed = {strategy: table.printed(network, strategy, "backbone") for strategy in strategies}
    paper = ", ".join(f"{strategy} {value:.1f}" for strategy, value in printed.items() if value is not None)
    first = next((strategy for strategy, values in scores.items() if len(values)), "")
    differences = "".join(
        _difference(f"{first} minus {other}", difference)
        for other, difference in leads(results, table, network, name, first).items()
    )
    full = by_seed(results, network, "full", "backbone", name)
    shares = "".join(_share(f"{each} / full, both without pretraining,", scores[each], full) for each in scores)
    listed = _listed(scores, results.baseline(name, "JF"))
    return f"{listed}{differences}{shares}." + (f" The paper: {paper}." if paper else "")


def _share(what: str, first: "pd.Series[float]", second: "pd.Series[float]") -> str:
    """`; without / with 0.950 ± 0.012`, over the seeds that both have, if there are any."""
    common = first.index.intersection(second.index)
    found = quotient(first[common], second[common]) if len(common) else quotient(first, second)
    return f"; {what} {mean_and_spread(*found, form='.3f')}" if found else ""


def _listed(scores: Mapping[str, "pd.Series[float]"], baseline: float) -> str:
    if all(values.empty for values in scores.values()):
        return NOT_RUN
    parts = []
    for what, values in scores.items():
        mean = fmean(values) if len(values) else math.nan
        low = f" ({BELOW}, {baseline:.1f})" if mean < baseline else ""
        parts.append(f"{what} {mean_and_spread(mean, deviation(values))}{low}")
    return ", ".join(parts)


def _difference(what: str, difference: Contrast | None) -> str:
    """`; two_step minus t_step -1.3 ± 0.4 (3 seeds)`."""
    if difference is None:
        return ""
    basis = {0: "no seed in common", 1: "one seed"}.get(difference.seeds, f"{difference.seeds} seeds")
    spread = number(difference.deviation)
    return f"; {what} {difference.mean:+.1f}{f' ± {spread}' if spread else ''} ({basis})"
