"""What our numbers say on the questions of Tables 3 and 4, and whether the paper's numbers say the same.

Every word that is written here follows from scores: nothing is said of a network whose runs are missing, and a
difference smaller than its own spread over seeds decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oneshot_vos.reporting.comparison import ONE_SHOT, Table
from oneshot_vos.reporting.experiments import Contrast, contrast
from oneshot_vos.reporting.results import Spread
from oneshot_vos.reporting.text import NOT_RUN, mean_and_spread

# agrees, disagrees: in direction. undecided: a difference of 0.0 or below its spread over seeds.
# not in the paper: it prints nothing to compare with. not run: ours is missing.
Verdict = Literal["agrees", "disagrees", "undecided", "not in the paper", "not run"]


@dataclass(frozen=True)
class PretrainingFinding:
    """Table 3 for one network on one set: J&F after static pretraining, without it, and the difference."""

    network: str
    pretrained: Spread | None
    scratch: Spread | None
    gain: Contrast | None
    printed: float | None  # the paper's difference on DAVIS 2017 val

    @property
    def verdict(self) -> Verdict:
        if self.gain is None:
            return "not run"
        if self.printed is None:
            return "not in the paper"
        if self.gain.sign == 0 or not self.gain.clear:
            return "undecided"
        return "agrees" if self.gain.sign == _sign(self.printed) else "disagrees"

    def sentence(self) -> str:
        """One line of Markdown without its bullet."""
        scores = f"{mean_and_spread(self.pretrained)} with pretraining, {mean_and_spread(self.scratch)} without"
        if self.pretrained is None and self.scratch is None:
            return f"{self.network}: {NOT_RUN}."
        if self.gain is None:
            return f"{self.network}: {scores}. No statement."
        effect = {1: "helps", -1: "hurts", 0: "makes no difference,"}[self.gain.sign]
        paper = "" if self.printed is None else f" The paper: {self.printed:+.1f}."
        return f"{self.network}: {scores}: pretraining {effect} {_amount(self.gain)}.{paper} {_VERDICTS[self.verdict]}"

    def entry(self) -> dict[str, Any]:
        """The finding as plain values for JSON."""
        return {
            "network": self.network,
            "pretrained": _rounded(self.pretrained),
            "scratch": _rounded(self.scratch),
            "pretrained_minus_scratch": _contrast_entry(self.gain),
            "paper": self.printed,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class StepsFinding:
    """Table 4 for one network on one set: J&F per way back, and by how much the best is ahead of each other one."""

    network: str
    scores: Mapping[str, Spread]  # only what has been run
    missing: tuple[str, ...]  # rows of the table without a score
    best: str | None  # None where fewer than two have been run
    ahead: Mapping[str, Contrast]  # the best minus each of the others
    printed_best: str | None  # the paper's best of the ways back that both have; None where they share fewer than two
    best_shared: str | None  # ours among the same

    @property
    def verdict(self) -> Verdict:
        if self.best is None:
            return "not run"
        if self.printed_best is None:
            return "not in the paper"
        if any(lead.sign <= 0 or not lead.clear for lead in self.ahead.values()):
            return "undecided"
        return "agrees" if self.best_shared == self.printed_best else "disagrees"

    def sentence(self) -> str:
        """One line of Markdown without its bullet."""
        missing = f" ({', '.join(self.missing)}: {NOT_RUN})" if self.missing else ""
        if not self.scores:
            return f"{self.network}: {NOT_RUN}."
        if self.best is None:
            only = ", ".join(f"{name} {mean_and_spread(score)}" for name, score in self.scores.items())
            return f"{self.network}: {only}{missing}. No statement."
        leads = ", ".join(f"ahead of {name} {_amount(lead)}" for name, lead in self.ahead.items())
        start = f"{self.network}: {self.best} is best ({mean_and_spread(self.scores[self.best])}), {leads}{missing}."
        paper = "" if self.printed_best is None else f" The paper: {self.printed_best}."
        return f"{start}{paper} {_VERDICTS[self.verdict]}"

    def entry(self) -> dict[str, Any]:
        """The finding as plain values for JSON."""
        return {
            "network": self.network,
            "scores": {name: _rounded(score) for name, score in self.scores.items()},
            "best": self.best,
            "best_minus": {name: _contrast_entry(lead) for name, lead in self.ahead.items()},
            "paper_best": self.printed_best,
            "verdict": self.verdict,
        }


Finding = PretrainingFinding | StepsFinding


def pretraining_findings(table: Table, name: str) -> tuple[PretrainingFinding, ...]:
    """Table 3 on set `name`, one finding per network."""
    found = []
    for network in table.networks:
        after, without = (table.experiment(network, "two_step", init) for init in ("static", "backbone"))
        printed = [table.printed(network, "two_step", init) for init in ("static", "backbone")]
        found.append(
            PretrainingFinding(
                network,
                after.score(name, "JF"),
                without.score(name, "JF"),
                contrast(after, without, name),
                None if printed[0] is None or printed[1] is None else round(printed[0] - printed[1], 1),
            )
        )
    return tuple(found)


def steps_findings(table: Table, name: str) -> tuple[StepsFinding, ...]:
    """Table 4 on set `name`, one finding per network."""
    return tuple(_steps_finding(table, network, name) for network in table.networks)


def _steps_finding(table: Table, network: str, name: str) -> StepsFinding:
    present = {row.supervision for row in table.rows if row.network == network}
    runs = {strategy: table.experiment(network, strategy, "backbone") for strategy in ONE_SHOT if strategy in present}
    scores = {
        strategy: score for strategy, experiment in runs.items() if (score := experiment.score(name, "JF")) is not None
    }
    printed = {
        strategy: value for strategy in scores if (value := table.printed(network, strategy, "backbone")) is not None
    }
    shared = len(printed) > 1
    best = _best({strategy: score.mean for strategy, score in scores.items()}) if len(scores) > 1 else None
    leads = {strategy: contrast(runs[best], runs[strategy], name) for strategy in scores if best and strategy != best}
    return StepsFinding(
        network,
        scores,
        tuple(strategy for strategy in runs if strategy not in scores),
        best,
        {strategy: lead for strategy, lead in leads.items() if lead},
        _best(printed) if shared else None,
        _best({strategy: scores[strategy].mean for strategy in printed}) if shared else None,
    )


def findings(table: Table, name: str) -> tuple[Finding, ...]:
    """What `table` (3 or 4) says on set `name`."""
    return pretraining_findings(table, name) if table.number == 3 else steps_findings(table, name)


def conclusion(table: Table, found: Sequence[Finding]) -> str:
    """One sentence over all networks: how many go the paper's way."""
    question = "whether static pretraining helps" if table.number == 3 else "which strategy is best from scratch"
    by_verdict: dict[str, list[str]] = {}
    for finding in found:
        by_verdict.setdefault(finding.verdict, []).append(finding.network)
    compared = sum(len(by_verdict.get(verdict, [])) for verdict in ("agrees", "disagrees", "undecided"))
    if not compared:
        return f"No network can be compared with the paper yet on {question}."
    agreeing = by_verdict.pop("agrees", [])
    parts = [f"{len(agreeing)} of {compared} networks compared" + (f" ({', '.join(agreeing)})" if agreeing else "")]
    parts += [f"{verdict}: {', '.join(networks)}" for verdict, networks in by_verdict.items()]
    return f"On {question}, ours goes the paper's way for {'; '.join(parts)}."


_VERDICTS: Mapping[Verdict, str] = {
    "agrees": "As in the paper.",
    "disagrees": "Not as in the paper.",
    "undecided": "Undecided: no more than the spread over seeds, or nothing.",
    "not in the paper": "The paper has nothing to compare with.",
    "not run": "",
}


def _amount(difference: Contrast) -> str:
    """`by 4.3 (one seed)`, or `by 4.3 ± 1.2 (paired over 3 seeds, 3 of them this way)`."""
    count = len(difference.differences)
    text = f"by {mean_and_spread(Spread(abs(difference.mean), difference.deviation))}"
    basis = {0: "no seed in common", 1: "one seed"}
    return f"{text} ({basis.get(count, f'paired over {count} seeds, {difference.same_sign} of them this way')})"


def _best(scores: Mapping[str, float]) -> str:
    """The name of the highest score; the first of equals."""
    return max(scores, key=lambda name: scores[name])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _rounded(value: Spread | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    return {"mean": round(value.mean, 2), "std": None if value.deviation is None else round(value.deviation, 2)}


def _contrast_entry(value: Contrast | None) -> dict[str, Any] | None:
    if value is None:
        return None
    spread = _rounded(Spread(value.mean, value.deviation)) or {}
    return {**spread, "by_seed": [round(difference, 2) for difference in value.differences]}
