"""What the pipeline measured, read once from the files of its stages into one long table.

A score that no stage has written has no row; in the tables it reads "not run".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import SHORT_NAMES
from oneshot_vos.evaluation.score_files import load_result, load_youtube_result
from oneshot_vos.files import read_json, taken_apart
from oneshot_vos.params import PAPER_LABELS, Params, Run
from oneshot_vos.reporting.progress import read_curves, read_takeoff
from oneshot_vos.reporting.server_scores import read_server_scores
from oneshot_vos.supervision import STRATEGIES

COPY_FIRST = "copy_first"  # the baseline that repeats the first mask; named like a run below the metrics folder
EXPERIMENT = ["network", "strategy", "labels", "init"]  # runs that agree in these repeat one experiment
SERVER, LOCAL = "server", "local"
_RECORD = (
    *("hardware", "processes", "threads", "precision", "torch"),
    *("iterations", "seconds", "images_per_second", "command", "finished"),
)


@dataclass(frozen=True)
class Results:
    """Everything that the tables are written from.

    runs: one row per run of the list, in its order (`run_list`). scores: one row per run, set and measure, in percent:
    the columns of `runs`, then set, source (`local`, or `server` for entries of server_scores.yaml), measure, value
    (NaN: a group without objects), videos and over (what the score is over, in words). The baseline is run
    `copy_first`, with empty texts for what it is not. sequences: run, set, sequence, JF in percent. labels: kind, set,
    labelled and annotated masks, and how many a video has (`per_video`; 0: all). curves: run, iteration, JF, J, F, set,
    videos. takeoff: run, iteration, predicted, true, empty (`read_takeoff`). trainings: one row per training that left
    a record.
    """

    profile: str
    table1_strategy: Mapping[str, str]  # what stands for one-shot training in Table 1, per network
    sets: tuple[str, ...]  # scored as DAVIS is
    held_out: tuple[str, ...]  # of YouTube-VOS, with ground truth at hand
    submits: bool  # whether the profile segments a set that the YouTube-VOS server scores
    runs: pd.DataFrame
    scores: pd.DataFrame
    sequences: pd.DataFrame
    labels: pd.DataFrame
    curves: pd.DataFrame
    takeoff: pd.DataFrame
    trainings: pd.DataFrame
    server: pd.DataFrame  # run, set, date, source of the server's scores

    def labels_percent(self, kind: str) -> float:
        """Percent of the masks of all training sets together that `kind` of labels offers; NaN if not counted."""
        counts = self.labels[self.labels["kind"] == kind]
        return 100.0 * counts["labelled"].sum() / counts["annotated"].sum() if len(counts) else math.nan

    def shots(self, kind: str) -> int:
        """How many masks of a video `kind` of labels offers: 1 if that is not known, 0 for all."""
        counts = self.labels[self.labels["kind"] == kind]
        return int(counts["per_video"].iloc[0]) if len(counts) else 1

    def baseline(self, name: str, measure: str) -> float:
        """The score of repeating the first mask; NaN if there is none."""
        found = select(self.scores, run=COPY_FIRST, set=name, measure=measure)["value"]
        return found.iloc[0] if len(found) else math.nan


def select(table: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The rows whose columns have these values."""
    chosen = np.ones(len(table), bool)
    for column, value in wanted.items():
        chosen &= table[column].to_numpy() == value
    return table.loc[chosen]


def spread(scores: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, sample standard deviation (NaN for a single value) and number n of the scores that agree in `by`."""
    groups = scores.dropna(subset="value").groupby(list(by), sort=False)
    return groups.agg(mean=("value", fmean), std=("value", deviation), n=("value", "size"))


def deviation(values: Sequence[float] | pd.Series) -> float:
    """Sample standard deviation (n - 1); NaN for a single value, of which it is not defined."""
    return stdev(values) if len(values) > 1 else math.nan


def run_list(runs: Mapping[str, Run]) -> pd.DataFrame:
    """One row per run, in the order of the list: run, network, strategy, labels, init, seed, one_shot, comparable.

    `strategy` of a variant ends with its word. `one_shot`: trained as the paper's one-shot tables compare it.
    `comparable`: not a network that is shown no mask of any object; in its scores all objects count as one.
    """
    rows = [
        {
            "run": name,
            **run.described(name),
            "one_shot": STRATEGIES[run.strategy].one_shot,
            "comparable": run.given != "empty",
        }
        for name, run in runs.items()
    ]
    return pd.DataFrame(rows, columns=["run", *EXPERIMENT, "seed", "one_shot", "comparable"])


def with_baseline(runs: pd.DataFrame) -> pd.DataFrame:
    """The list of runs and the baseline that repeats the first mask."""
    baseline = {"run": COPY_FIRST, **dict.fromkeys(EXPERIMENT, ""), "one_shot": False, "comparable": True}
    return pd.concat([runs.astype(object), pd.DataFrame([baseline], dtype=object)], ignore_index=True)


def read_results(
    params: Params, metrics: Path, labels: Path, curves: Path, probes: Path, server_scores: Path
) -> Results:
    """Read what the stages wrote for the runs of the list; files of other runs in the folders are not looked at.

    Scores lie in `metrics/<run>/<set>.json`, those over training in `metrics/<run>/curve.json`, records of trainings in
    `curves/{<run>,pretrain-<network>}/run.json`, probes in `probes/<run>.tsv`, label counts in `label_ratio.json` of
    `labels` or its folders `first`, `every` and those that runs name. `server_scores` holds the server's scores; it is
    read if the server scores a set of the profile.
    """
    data, runs, listed = params.profile.data, list(params.runs), run_list(params.runs)
    held_out, submits = data.youtube_sets("held-out"), bool(data.youtube_sets("valid"))
    server = read_server_scores(server_scores, runs) if submits else []
    found = [{**entry, "source": SERVER} for entry in server]
    for run in (*runs, COPY_FIRST):
        for read, names in ((_read_davis, data.davis_sets), (_read_youtube, held_out)):
            paths = {name: metrics / run / f"{name}.json" for name in names}
            there = {name: read(path) for name, path in paths.items() if path.exists()}
            found += [{"run": run, "set": name, "source": LOCAL, **content} for name, content in there.items()]
    columns = ["run", "set", "source", "measure", "value", "videos", "over"]
    rows = [{**entry, "measure": key, "value": value} for entry in found for key, value in entry["scores"].items()]
    scores = with_baseline(listed).merge(pd.DataFrame(rows, columns=columns), on="run")
    single = [(entry["run"], entry["set"], *score) for entry in found for score in entry.get("sequences", ())]
    _require_equal_sizes(scores)
    return Results(
        params.profile_name,
        params.table1_strategy,
        data.davis_sets,
        held_out,
        submits,
        listed,
        scores.astype({"value": float}),
        pd.DataFrame(single, columns=["run", "set", "sequence", "JF"]),
        _read_labels(labels, [*PAPER_LABELS, *listed["labels"]]),
        read_curves(runs, metrics),
        read_takeoff(runs, probes),
        _read_trainings(listed, curves),
        pd.DataFrame(server, columns=["run", "set", "date", "origin"]),
    )


def _read_davis(path: Path) -> dict[str, Any]:
    result = load_result(path)
    summary = result.summary
    for name in SHORT_NAMES.values():
        if not (math.isfinite(summary[name]) and 0.0 <= summary[name] <= 1.0):
            raise UserError(
                f"{path}: {name} is {summary[name]}; expected a fraction from 0 to 1. Run the evaluate stage again"
            )
    videos, objects = len(result.sequences), sum(len(sequence.objects) for sequence in result.sequences)
    scores = {measure: 100.0 * summary[name] for measure, name in SHORT_NAMES.items()}
    single = [(each.name, 100.0 * each.summary.get(SHORT_NAMES["JF"], math.nan)) for each in result.sequences]
    over = f"{videos} sequences, {objects} objects"
    return {"scores": scores, "sequences": single, "videos": videos, "over": over}


def _read_youtube(path: Path) -> dict[str, Any]:
    result = load_youtube_result(path)
    scores = {name: math.nan if value is None else 100.0 * value for name, value in result.summary.items()}
    counts = result.counts
    over = (
        f"{counts['videos']} videos, {counts['objects_seen']} objects of seen and {counts['objects_unseen']} of "
        "unseen categories"
    )
    return {"scores": scores, "videos": counts["videos"], "over": over}


def _require_equal_sizes(scores: pd.DataFrame) -> None:
    """Runs that are set against each other must be scored on the same videos and objects."""
    compared = scores[scores["comparable"] & scores["over"].notna()]
    for name, group in compared.groupby("set"):
        different = group.drop_duplicates("over")
        if len(different) > 1:
            raise UserError(
                f"set '{name}': {' and '.join(different['run'])} were scored on different numbers of videos or objects "
                f"({'; '.join(different['over'])}); expected the same. Run their evaluate stages again"
            )


def _read_labels(folder: Path, kinds: Sequence[str]) -> pd.DataFrame:
    """`label_ratio.json` of the kinds of labels below `folder`, or of the one kind that `folder` itself is."""
    candidates = [folder, *(folder / kind for kind in dict.fromkeys(kinds))]
    paths = {path.name: path / "label_ratio.json" for path in candidates if (path / "label_ratio.json").exists()}
    if not paths:
        raise UserError(
            f"{folder}: no label_ratio.json in it or in its {' or '.join(PAPER_LABELS)}. Run the labels stage"
        )
    rows = [(kind, *count) for kind, path in paths.items() for count in _read_counts(path)]
    return pd.DataFrame(rows, columns=["kind", "set", "labelled", "annotated", "per_video"])


def _read_counts(path: Path) -> list[tuple[str, int, int, int]]:
    expected = "label counts: 'per_video', and 'sets' with 'labelled' and 'annotated' per training set"
    content = read_json(path, expected)
    with taken_apart(path, expected, "Run the labels stage again"):
        shots = int(content["per_video"] or 0)
        sets = content["sets"].items()
        counts = [(name, int(entry["labelled"]), int(entry["annotated"]), shots) for name, entry in sets]
    for name, labelled, annotated, _ in counts:
        if not 0 < labelled <= annotated:
            raise UserError(
                f"{path}: set '{name}' has {labelled} labelled of {annotated} annotated frames; expected at least one, "
                "and no more than there are. Run the labels stage again"
            )
    return counts


def _read_trainings(runs: pd.DataFrame, curves: Path) -> pd.DataFrame:
    """The records of the pretrainings that runs start from, then of the runs; what a record lacks is None."""
    pretrained = select(runs, init="static")["network"].unique()
    names = [*(f"pretrain-{network}" for network in pretrained), *runs["run"]]
    rows = []
    for name in names:
        path = curves / name / "run.json"
        if path.exists():
            expected = "the record of a training, written by the train stage"
            content = read_json(path, expected)
            with taken_apart(path, expected):
                rows.append({"run": name, **{key: content.get(key) for key in _RECORD}})
    return pd.DataFrame(rows, columns=["run", *_RECORD], dtype=object)
