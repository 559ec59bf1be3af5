"""Tables 1 to 4 and the table of all runs: pivots of the long table of scores, the paper's numbers beside ours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot_vos.evaluation.youtube import MEASURES as YOUTUBE_MEASURES
from oneshot_vos.params import PAPER_LABELS
from oneshot_vos.reporting.published import MEASURES, PAPER_SETS, SWAPPED, paper_set, paper_table
from oneshot_vos.reporting.results import COPY_FIRST, EXPERIMENT, Results, select, spread, with_baseline
from oneshot_vos.reporting.text import NOT_RUN

BELOW = "below repeating the first mask"
PAPER_NETWORKS = ("stcn", "xmem", "cutie")
TITLES = {
    1: "full supervision and one-shot training, after static pretraining",
    2: "YouTube-VOS, full supervision and one-shot training, after static pretraining",
    3: "one-shot training with and without static pretraining",
    4: "strategies of one-shot training, without static pretraining",
}


@dataclass(frozen=True)
class Table:
    """Table `number` of the paper with our runs in it.

    rows: what tells rows apart, the paper's numbers, ours; see `_with_scores`. Systems that the paper only cites have
    an empty network. sets: the sets with scores of ours. paper_sets: the sets that the paper prints there. measures:
    the first is the one that is compared.
    """

    number: int
    rows: pd.DataFrame
    sets: tuple[str, ...]
    measures: tuple[str, ...]
    paper_sets: tuple[str, ...]

    def printed(self, network: str, strategy: str, init: str) -> float | None:
        """The paper's number of one row on the table's last set; None if the paper has no such row."""
        found = select(self.rows, network=network, strategy=strategy, init=init)
        value = found[f"paper_{self.paper_sets[-1]}_{self.measures[0]}"].dropna()
        return value.iloc[0] if len(value) else None

    @property
    def networks(self) -> list[str]:
        """The networks of the rows: those of the paper in the order of Table 1, then the others."""
        present = [network for network in self.rows["network"].unique() if network]
        return sorted(present, key=lambda name: PAPER_NETWORKS.index(name) if name in PAPER_NETWORKS else 99)


def paper_tables(results: Results) -> dict[int, Table]:
    """Tables 1 to 4."""
    return {number: _table(number, results) for number in TITLES}


def _table(number: int, results: Results) -> Table:
    youtube = number == 2
    printed = [name for name in PAPER_SETS if name.startswith("youtube") == youtube]
    sets = (*printed, *results.held_out) if youtube else results.sets
    measures = YOUTUBE_MEASURES if youtube else MEASURES
    rows = _rows(number, results)
    scored = results.scores[results.scores["set"].isin(sets)]
    if (scored["run"] == COPY_FIRST).any():
        rows = pd.concat([rows, pd.DataFrame([{"method": COPY_FIRST, **dict.fromkeys(EXPERIMENT, "")}])])
    rows = rows.assign(comparable=True).reset_index(drop=True)
    rows = _with_scores(_with_runs(rows, results, sets), results, sets, measures, EXPERIMENT)
    paper_sets = [name for name in printed if f"paper_{name}_{measures[0]}" in rows]
    return Table(number, rows, tuple(sets), measures, tuple(paper_sets))


def _rows(number: int, results: Results) -> pd.DataFrame:
    """The paper's rows of table `number`, then rows for runs that answer its question beyond the paper's.

    Such are other networks, other strategies in Table 4, and the strategy of Table 1 with other labels.
    """
    rows, runs = paper_table(number), results.runs
    others = [network for network in runs["network"].unique() if network not in PAPER_NETWORKS]
    chosen = {name: results.table1_strategy.get(name, "one_shot") for name in (*PAPER_NETWORKS, *others)}
    names = dict(zip(runs["strategy"], runs["labels"], strict=True))  # a strategy's name says with which labels
    columns = ["network", "strategy", "init"]
    if number == 4:
        wanted = select(runs, one_shot=True, init="backbone").drop_duplicates(["network", "strategy"])
        present = set(zip(rows["network"], rows["strategy"], strict=True))
        more = [row for row in wanted[columns].itertuples(index=False, name=None) if row[:2] not in present]
    else:
        inits = ("static", "backbone") if number == 3 else ("static",)
        kinds = {name: [chosen[name]] if number == 3 else ["full", chosen[name]] for name in others}
        more = [(name, strategy, init) for name in others for strategy in kinds[name] for init in inits]
        with_others = runs["one_shot"].astype(bool) & ~runs["labels"].isin(PAPER_LABELS) & runs["init"].isin(inits)
        wanted = runs[with_others & (runs["strategy"] == runs["network"].map(chosen) + "-" + runs["labels"])]
        more += dict.fromkeys(wanted[columns].itertuples(index=False, name=None))
    if number in (1, 2):
        one_shot = rows["network"].map(chosen)
        rows = rows.assign(strategy=one_shot.where(rows["supervision"] == "one_shot", "full"), init="static")
    added = pd.DataFrame(more, columns=columns)
    added["labels"] = added["strategy"].map(lambda name: "every" if name == "full" else names.get(name, "first"))
    added["method"] = [
        network if labels == "every" else f"{results.shots(labels)}-shot {network}"
        for network, labels in zip(added["network"], added["labels"], strict=True)
    ]
    labels = np.where(rows["strategy"] == "full", "every", "first")
    pseudo = _pseudo_rows(runs) if number == 1 else added[:0]
    return pd.concat([rows.assign(labels=labels), added, pseudo], ignore_index=True)


def _pseudo_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows for runs that learn from the labels that a one-shot network made, whose start is as that of the others."""
    pseudo = [strategy.partition("-")[0] == "pseudo" for strategy in runs["strategy"]]
    found = select(runs[np.array(pseudo, bool)], init="static").drop_duplicates(EXPERIMENT)
    return found.assign(method="1-shot + pseudo " + found["network"])[["method", *EXPERIMENT]]


def _with_runs(rows: pd.DataFrame, results: Results, sets: Sequence[str]) -> pd.DataFrame:
    """Add which runs make a row: labels_percent, seeds, runs, status, profile, command."""
    listed = with_baseline(results.runs).groupby(EXPERIMENT, sort=False)
    made = listed.agg(runs=("run", " ".join), command=("run", _commands), listed=("run", "size")).reset_index()
    pairs = results.scores[results.scores["set"].isin(sets)].drop_duplicates(["run", "set"])
    scored = pairs.groupby(EXPERIMENT, sort=False).agg(seeds=("seed", _seeds), scored=("run", "size")).reset_index()
    rows = rows.merge(made, how="left", on=EXPERIMENT).merge(scored, how="left", on=EXPERIMENT)
    cited = (rows["network"] == "") & (rows["method"] != COPY_FIRST)
    percent = rows["labels"].map(results.labels_percent)
    return rows.assign(
        cited=cited,
        labels_percent=percent.where(rows["scored"] > 0),
        status=_status(rows["scored"], rows["listed"] * len(sets)).mask(cited, "published only"),
        profile=results.profile,
    )


def _status(scored: pd.Series, expected: pd.Series) -> pd.Series:
    return pd.Series(np.select([scored >= expected, scored > 0], ["run", "partly run"], NOT_RUN), scored.index)


def _seeds(seeds: pd.Series, separator: str = " ") -> str:
    return separator.join(str(seed) for seed in seeds.dropna().unique())


def _commands(runs: Sequence[str]) -> str:
    return " && ".join("dvc repro baseline" if run == COPY_FIRST else f"dvc repro evaluate@{run}" for run in runs)


def _with_scores(
    rows: pd.DataFrame, results: Results, sets: Sequence[str], measures: Sequence[str], by: Sequence[str]
) -> pd.DataFrame:
    """Add our scores, those of runs that agree in `by` together.

    Per set: `<set>_<measure>` (mean) and `…_std`, `<set>_videos` and `<set>_source` where there is a score,
    `<set>_seeds` and how many they are, `<set>_n`, `<set>_of_full` (of the first measure, as a fraction of full
    supervision's), `<set>_note`, and `<set>_<measure>_minus_paper`, in percentage points, where both are over the whole
    set that the paper prints and the printed number is most likely not swapped.
    """
    keys = list(by)
    new: dict[str, pd.Series] = {}
    for name in sets:
        here = select(results.scores, set=name)
        for measure in measures:
            found = rows[keys].join(spread(select(here, measure=measure), keys), on=keys)
            new[f"{name}_{measure}"] = found["mean"].astype(float)
            new[f"{name}_{measure}_std"] = found["std"].astype(float)
            if measure == measures[0]:
                new[f"{name}_n"] = found["n"].astype("Int64")
        ours = new[f"{name}_{measures[0]}"]
        seeds = here.groupby(keys)["seed"].agg(_seeds, separator=", ").rename("found")
        new[f"{name}_seeds"] = rows[keys].join(seeds, on=keys)["found"]
        scored = new[f"{name}_seeds"].notna()
        new[f"{name}_source"] = pd.Series(here["source"].iloc[0] if len(here) else None, rows.index).where(scored)
        videos = here["videos"].iloc[0] if len(here) else None
        new[f"{name}_videos"] = pd.Series(videos, rows.index, dtype="Int64").where(scored)
        full = select(results.scores, set=name, measure=measures[0], strategy="full", init="static", labels="every")
        full_mean = spread(full, ["network"])["mean"].astype(float)
        new[f"{name}_of_full"] = (ours / rows["network"].map(full_mean[full_mean > 0])).where(rows["comparable"])
        below = rows["comparable"] & (ours < results.baseline(name, measures[0]))
        new[f"{name}_note"] = pd.Series("", rows.index).mask(below, BELOW)
        printed = paper_set(name)
        if printed is None or f"paper_{printed}_{measures[0]}" not in rows:
            continue
        partial = PAPER_SETS[printed].videos not in (None, videos)
        for measure in measures:
            minus = new[f"{name}_{measure}"] - rows[f"paper_{printed}_{measure}"]
            new[f"{name}_{measure}_minus_paper"] = minus.mask(swapped(rows, measure) | partial)
    return rows.assign(**new)


def swapped(rows: pd.DataFrame, measure: str) -> pd.Series:
    """Whether the printed number of each row is most likely in the wrong column."""
    if measure not in SWAPPED or "paper_note" not in rows:
        return pd.Series(False, rows.index)
    return rows["paper_note"].fillna("").str.contains("swapped")


def table_csv(table: Table) -> pd.DataFrame:
    """The columns of the CSV file: what tells rows apart, the paper's numbers, ours, what makes them."""
    rows = table.rows
    columns = ["method", "strategy", "init", *rows.filter(regex="^paper_"), "labels_percent"]
    for name in table.sets:
        columns += [f"{name}_{measure}{end}" for measure in table.measures for end in ("", "_std")]
        columns += [f"{name}_{each}" for each in ("n", "videos", "source", "of_full", "note")]
        minus = [f"{name}_{measure}_minus_paper" for measure in table.measures]
        columns += [column for column in minus if column in rows]
    return rows[[*columns, "seeds", "runs", "status", "profile", "command"]]


def runs_table(results: Results) -> pd.DataFrame:
    """Every run of the list, the baseline last, with its scores and the record of its training."""
    runs = _with_scores(with_baseline(results.runs), results, results.sets, MEASURES, ["run"])
    scored = sum(runs[f"{name}_{MEASURES[0]}"].notna().astype(int) for name in results.sets)
    runs = runs.assign(
        labels_percent=runs["labels"].map(results.labels_percent),
        comparable=np.where(runs["comparable"], "yes", "no"),
        status=_status(pd.Series(scored, runs.index), pd.Series(max(len(results.sets), 1), runs.index)),
        profile=results.profile,
        command=[_commands([run]) for run in runs["run"]],
    )
    records = results.trainings.rename(columns=lambda name: name if name == "run" else f"train_{name}")
    return runs.merge(records, how="left", on="run")


def runs_csv(results: Results) -> pd.DataFrame:
    """The columns of runs.csv."""
    runs = runs_table(results)
    columns = ["run", *EXPERIMENT, "seed", "labels_percent", "comparable", "status"]
    for name in results.sets:
        columns += [*(f"{name}_{measure}" for measure in MEASURES), f"{name}_of_full", f"{name}_note"]
    return runs[[*columns, "profile", "command", *runs.filter(regex="^train_")]]


def sequences_csv(results: Results) -> pd.DataFrame:
    """The columns of sequences.csv: J&F of each sequence, one column per run that has scores."""
    scores = results.sequences
    by_run = scores.pivot(index=["set", "sequence"], columns="run", values="JF")[scores["run"].unique()]
    return scores[["set", "sequence"]].drop_duplicates().merge(by_run.reset_index(), on=["set", "sequence"])
