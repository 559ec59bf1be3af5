"""The profile `smoke` from end to end under both engines, and the hand-over between them."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneshot_vos.params import load_params

Make = Callable[[str], Any]

pytestmark = pytest.mark.slow

# Every network, a state and none, both kinds of supervision, with and without pretraining, with masks and without.
PROFILE = "config/profiles/smoke.yaml"
RUNS = ("stcn-full-static", "xmem-t_step-backbone", "cutie-empty-backbone")


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '([^']+)':", output, re.MULTILINE))


def rules_run(output: str) -> set[str]:
    """Rules of the jobs that `make repro` says it has finished."""
    return set(re.findall(r"^\[ *\d+/\d+\] ([a-z_]+)", output, re.MULTILINE))


def make_repro(project: Any, *options: str) -> str:
    """What `make repro` does when everything is installed, with what it printed. DVC must be left nothing to run."""
    printed: str = project.run("repro", "--cores", "2", "--resources", "gpu=2", *options)
    assert stages_run(printed) == set()
    return printed


def contents(root: Path, pattern: str) -> dict[str, str]:
    """Checksums of files, by their path in the checkout; marks that Snakemake leaves do not count."""
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.glob(pattern))
        if file.is_file() and not file.name.startswith(".")
    }


def results(root: Path) -> dict[str, str]:
    """Everything that must not depend on the engine: weights, masks and scores."""
    kinds = ["**/*.safetensors", "masks/**/*.zip", "metrics/*/*", "probe/*", "figures/*", "report/plots/*"]
    kinds += ["tables/curves.*", "tables/takeoff.*"]
    patterns = [f"results/smoke/{kind}" for kind in kinds]
    return {path: checksum for pattern in patterns for path, checksum in contents(root, pattern).items()}


def test_both_engines_build_everything_and_hand_over(make_project: Make) -> None:
    project = make_project("dvc")
    project.choose("smoke")
    project.keep_runs(*RUNS)

    first = stages_run(project.run("dvc", "repro"))
    assert {"data", "labels@first", "init@stcn", "pretrain@stcn", "tables"} <= first
    built = results(project.root)
    trained = {Path(path).parent.name for path in built if path.endswith("weights.safetensors")}
    assert all((project.root / f"results/smoke/train/{run}/snapshots").iterdir() for run in RUNS)
    assert trained == set(load_params(project.root / "params.yaml").runs) == set(RUNS)
    assert (project.root / "results/smoke/tables/table1.csv").read_text(encoding="utf-8")

    # Other scoring repeats no training; what the scores are for follows in the graph.
    tolerance = "evaluate: {tolerance: 0.008, processes: 1}", "evaluate: {tolerance: 0.1, processes: 1}"
    project.edit_params(*tolerance, PROFILE)
    stale = json.loads(project.run("dvc", "status", "--json"))
    assert {stage.partition("@")[0] for stage in stale} == {"evaluate", "baseline"}
    project.edit_params(*reversed(tolerance), PROFILE)

    # Another profile takes the place of this one in dvc.lock; back again, weights and masks come from the cache.
    project.edit_params("\nprofile: smoke\n", "\nprofile: mini\n")
    project.run("dvc", "repro", "--single-item", "init@stcn")
    project.edit_params("\nprofile: mini\n", "\nprofile: smoke\n")
    assert stages_run(project.run("dvc", "repro")) == set()

    # And back: what DVC made is done for Snakemake once it has been told.
    project.run("snakemake", "--touch", "--cores", "1")
    assert "Nothing to be done" in project.run("snakemake", "--cores", "1", "--dry-run")
    assert json.loads(project.run("dvc", "status", "--json")) == {}

    # Both in turn, elsewhere and from nothing: Snakemake builds the same and hands over to DVC.
    other = make_project("both")
    other.choose("smoke")
    other.keep_runs(*RUNS)
    assert {"data", "train", "tables"} <= rules_run(make_repro(other))
    assert results(other.root) == built
    assert json.loads(other.run("dvc", "status", "--json")) == {}
    assert "Nothing to be done" in other.run("snakemake", "--cores", "2", "--dry-run")
    assert rules_run(make_repro(other)) == set()


def test_make_repro_repeats_what_a_change_concerns_and_nothing_else(make_project: Make) -> None:
    project = make_project("partly")
    project.choose("smoke")
    project.keep_runs("stcn-full-static", "stcn-two_step-static")
    project.edit_params("\nnetworks: [stcn, xmem, cutie]\n", "\nnetworks: [stcn]\n")
    scoring = {"evaluate", "baseline", "tables", "figures", "report"}  # figures show the masks of the baseline, too

    # A start that ends early is gone on with.
    with pytest.raises(AssertionError, match="does not exist"):
        make_repro(project, "--until", "infer")
    assert rules_run(make_repro(project)) == {"probe", *scoring}
    built = results(project.root)

    tolerance = "evaluate: {tolerance: 0.008, processes: 1}", "evaluate: {tolerance: 0.1, processes: 1}"
    project.edit_params(*tolerance, PROFILE)
    # Snakemake goes by times, DVC by contents; these say that everything is out of date, and it is not.
    for file in project.root.glob("results/smoke/init/*/*.safetensors"):
        file.touch()
    assert rules_run(make_repro(project)) == scoring
    assert results(project.root) != built

    # Trainings are made again; going back to the former values, they are not.
    points = "curve: {points: 2, set: mini-val, videos: 1}", "curve: {points: 1, set: mini-val, videos: 1}"
    project.edit_params(*points, PROFILE)
    assert rules_run(make_repro(project)) == {"train", "infer", "probe", *scoring} - {"baseline"}
    project.edit_params(*reversed(points), PROFILE)
    project.edit_params(*reversed(tolerance), PROFILE)
    printed = make_repro(project)
    assert "train@stcn-full-static: restored from DVC's cache" in printed
    assert rules_run(printed) <= scoring
    assert results(project.root) == built
    assert rules_run(make_repro(project)) == set()
