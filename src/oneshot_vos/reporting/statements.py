"""What Tables 3 and 4 compare, in numbers: scores, differences with their spread over seeds, and the paper's.

Nothing is judged here. A score below that of repeating the first mask is called so: such runs say little about each
other.
"""

from collections.abc import Mapping

from oneshot_vos.reporting.comparison import Table, is_one_shot
from oneshot_vos.reporting.experiments import Contrast, contrast
from oneshot_vos.reporting.results import Spread
from oneshot_vos.reporting.text import NOT_RUN, mean_and_spread

BELOW = "below repeating the first mask"


def statements(table: Table, name: str, baseline: float | None) -> list[str]:
    """One line of Markdown per network on set `name`; `baseline` is the J&F of repeating the first mask."""
    write = _pretraining if table.number == 3 else _strategies
    return [f"- {network}: {write(table, network, name, baseline)}" for network in table.networks]


def pretraining_gain(table: Table, network: str, name: str) -> Contrast | None:
    """J&F of two_step after static pretraining minus without it; None unless both have been scored."""
    after, without = (table.experiment(network, "two_step", init) for init in ("static", "backbone"))
    return contrast(after, without, name)


def scratch_scores(table: Table, network: str, name: str) -> dict[str, Spread | None]:
    """J&F of every one-shot strategy that the table has of this network, in its order; None where it is not run."""
    rows = [row for row in table.rows if row.network == network and is_one_shot(row.supervision)]
    return {row.supervision: table.experiment(network, row.supervision, "backbone").score(name, "JF") for row in rows}


def lead(table: Table, network: str, name: str, first: str, second: str) -> Contrast | None:
    """J&F of one strategy minus that of another, both from the backbone."""
    ours, other = (table.experiment(network, strategy, "backbone") for strategy in (first, second))
    return contrast(ours, other, name)


def _pretraining(table: Table, network: str, name: str, baseline: float | None) -> str:
    scores = {
        f"{word} pretraining": table.experiment(network, "two_step", init).score(name, "JF")
        for word, init in (("with", "static"), ("without", "backbone"))
    }
    gain = pretraining_gain(table, network, name)
    printed = [table.printed(network, "two_step", init) for init in ("static", "backbone")]
    paper = "" if printed[0] is None or printed[1] is None else f" The paper: {printed[0] - printed[1]:+.1f}."
    return f"{_listed(scores, baseline)}{_difference('with minus without', gain)}.{paper}"


def _strategies(table: Table, network: str, name: str, baseline: float | None) -> str:
    scores = scratch_scores(table, network, name)
    run = [strategy for strategy, score in scores.items() if score is not None]
    leads = "".join(
        _difference(f"{run[0]} minus {other}", lead(table, network, name, run[0], other)) for other in run[1:]
    )
    printed = {
        strategy: value for strategy in scores if (value := table.printed(network, strategy, "backbone")) is not None
    }
    paper = ", ".join(f"{strategy} {value:.1f}" for strategy, value in printed.items())
    return f"{_listed(scores, baseline)}{leads}." + (f" The paper: {paper}." if paper else "")


def _listed(scores: Mapping[str, Spread | None], baseline: float | None) -> str:
    if all(score is None for score in scores.values()):
        return NOT_RUN
    parts = []
    for what, score in scores.items():
        low = score is not None and baseline is not None and score.mean < baseline
        parts.append(f"{what} {mean_and_spread(score)}" + (f" ({BELOW}, {baseline:.1f})" if low else ""))
    return ", ".join(parts)


def _difference(what: str, difference: Contrast | None) -> str:
    """`; two_step minus t_step -1.3 ± 0.4 (3 seeds)`."""
    if difference is None:
        return ""
    count = len(difference.differences)
    basis = {0: "no seed in common", 1: "one seed"}.get(count, f"{count} seeds")
    spread = "" if difference.deviation is None else f" ± {difference.deviation:.1f}"
    return f"; {what} {difference.mean:+.1f}{spread} ({basis})"
