"""A results folder as the stages write it, for tests of what is made from it."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult
from oneshot_vos.evaluation.score_files import save_result
from oneshot_vos.params import Run
from oneshot_vos.stages import tables

TABLE1_STRATEGY = {"stcn": "two_step", "xmem": "t_step", "cutie": "t_step", "other": "two_step"}


def run(network, strategy, init, seed=0):
    labels, given = "every" if strategy == "full" else "first", "empty" if strategy == "empty" else "first"
    return Run(network=network, strategy=strategy, labels=labels, init=init, seed=seed, given=given)


def named(*runs):
    """The list of runs of params.yaml."""
    return {each.key: each for each in runs}


RUNS = named(run("stcn", "full", "static"), run("stcn", "two_step", "static"), run("stcn", "one_step", "backbone"))


def matrix(seed=0):
    """The list of runs of the paper's whole matrix."""
    runs = []
    for network in ("stcn", "xmem", "cutie"):
        kinds = [("full", "static"), ("two_step", "static"), ("two_step", "backbone")]
        kinds += [("one_step", "backbone")] if network == "stcn" else [("t_step", "static"), ("t_step", "backbone")]
        kinds += [("empty", "backbone")] if network == "cutie" else []
        runs += [run(network, *kind, seed) for kind in kinds]
    return named(*runs)


def params_of(runs, sets, table1_strategy=TABLE1_STRATEGY, held_out=(), *, submits=False):
    """What tables ask of the parameters."""
    youtube = {"held-out": held_out, "valid": ["youtube18"] if submits else []}
    profile = SimpleNamespace(data=SimpleNamespace(davis_sets=sets, youtube_sets=youtube.get))
    return SimpleNamespace(runs=runs, profile_name="test", table1_strategy=table1_strategy, profile=profile)


class Project:
    """A results folder as the stages write it."""

    def __init__(self, root: Path):
        self.root = root
        self.out = root / "tables"

    def score(self, run, name, j, f, sequences=4, objects=None):
        """Scores as the evaluation writes them: every object has `j` and `f` in each of two frames."""
        ids = [1 + index // sequences for index in range(objects or sequences)]
        scored = [
            SequenceScores(
                f"video{video}",
                ("00001", "00002"),
                tuple(ObjectScores(ids[index], (j, j), (f, f)) for index in range(video, len(ids), sequences)),
            )
            for video in range(sequences)
        ]
        save_result(self.root / "metrics" / run / f"{name}.json", SetResult(tuple(scored), 0.008))

    def label(self, kind, labelled, annotated, per_video=1):
        sets = {"train": {"labelled": labelled, "annotated": annotated}}
        content = {"sets": sets, "per_video": None if kind == "every" else per_video}
        self._write(self.root / "labels" / kind / "label_ratio.json", content)

    def train(self, name, **record):
        self._write(self.root / "curves" / name / "run.json", record)

    def curve(self, run, iterations, scores, name="mini-val", videos=4):
        """Scores over training as the evaluate stage writes them: J&F, J and F are the same."""
        content = {"set": name, "videos": videos, "iterations": iterations}
        self._write(self.root / "metrics" / run / "curve.json", content | dict.fromkeys(("JF", "J", "F"), scores))

    def probe(self, run, *points):
        """What the probe stage writes: iteration, and J from predicted, true and empty references."""
        lines = ["iteration\tpredicted\ttrue\tempty", *("\t".join(map(str, point)) for point in points)]
        path = self.root / "probe" / f"{run}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    def write(self, sets, runs=RUNS, labels="labels", *, server_file=None, **options):
        folders = [self.root / part for part in ("metrics", labels, "curves", "probe")]
        tables.run(params_of(runs, sets, submits=server_file is not None, **options), *folders, server_file, self.out)

    def rows(self, number):
        """Rows of a table by method, strategy and initial weights."""
        return {(row["method"], row["strategy"], row["init"]): row for row in self.csv(f"table{number}.csv")}

    def csv(self, name):
        with (self.out / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    def json(self, name):
        return json.loads((self.out / name).read_text())

    def text(self, name):
        """The text of a file, without the blanks that align its columns."""
        return re.sub(" +", " ", (self.out / name).read_text())

    def line(self, name, start):
        """The first line of a file that begins so."""
        return next(line for line in self.text(name).splitlines() if line.startswith(start))

    @staticmethod
    def _write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
