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
RUNS = ("stcn-full-static", "xmem-two_step-static", "cutie-t_step-backbone", "cutie-empty-backbone")


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '([^']+)':", output, re.MULTILINE))


def contents(root: Path, pattern: str) -> dict[str, str]:
    """Checksums of files, by their path in the checkout; marks that Snakemake leaves do not count."""
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.glob(pattern))
        if file.is_file() and not file.name.startswith(".")
    }


def results(root: Path) -> dict[str, str]:
    """Everything that must not depend on the engine: weights, masks and scores."""
    kinds = ["**/*.safetensors", "masks/**/*.zip", "metrics/*/*", "figures/*", "tables/curves.*"]
    patterns = [f"results/smoke/{kind}" for kind in kinds]
    return {path: checksum for pattern in patterns for path, checksum in contents(root, pattern).items()}


def test_both_engines_build_everything_and_hand_over(make_project: Make) -> None:
    project = make_project("dvc")
    project.choose("smoke")
    project.keep_runs(*RUNS)

    first = stages_run(project.run("dvc", "repro"))
    assert {"data", "labels@first", "init@stcn", "pretrain@stcn", "tables"} <= first
    assert stages_run(project.run("dvc", "repro")) == set()
    built = results(project.root)
    trained = {Path(path).parent.name for path in built if path.endswith("weights.safetensors")}
    assert all((project.root / f"results/smoke/train/{run}/snapshots").iterdir() for run in RUNS)
    assert trained == set(load_params(project.root / "params.yaml").runs) == set(RUNS)
    tables = project.root / "results/smoke/tables"
    before = json.loads((tables / "summary.json").read_text(encoding="utf-8"))
    assert (tables / "table1.csv").read_text(encoding="utf-8")

    # Other scoring repeats no training, there and back.
    text = (project.root / "params.yaml").read_text(encoding="utf-8")
    changed = text.replace("evaluate: {tolerance: 0.008, processes: 1}", "evaluate: {tolerance: 0.1, processes: 1}")
    assert changed != text
    (project.root / "params.yaml").write_text(changed, encoding="utf-8")
    again = stages_run(project.run("dvc", "repro"))
    assert {stage.partition("@")[0] for stage in again} == {"evaluate", "baseline", "tables"}
    assert project.run("python", "workflow/scripts/stale.py") == ""
    assert json.loads((tables / "summary.json").read_text(encoding="utf-8")) != before
    (project.root / "params.yaml").write_text(text, encoding="utf-8")
    stale = project.run("python", "workflow/scripts/stale.py").split()
    assert "results/smoke/metrics/copy_first" in stale
    assert not any("train" in path for path in stale)
    assert stages_run(project.run("dvc", "repro")) == again
    assert json.loads((tables / "summary.json").read_text(encoding="utf-8")) == before
    assert results(project.root) == built

    # Another profile takes the place of this one in dvc.lock; back again, weights and masks come from the cache.
    project.edit_params("\nprofile: smoke\n", "\nprofile: mini\n")
    project.run("dvc", "repro", "--single-item", "init@stcn")
    project.edit_params("\nprofile: mini\n", "\nprofile: smoke\n")
    assert stages_run(project.run("dvc", "repro")) == set()

    # Snakemake, elsewhere and from nothing, builds the same and hands over to DVC.
    other = make_project("snakemake")
    other.choose("smoke")
    other.keep_runs(*RUNS)
    other.run("snakemake", "--cores", "2")
    assert results(other.root) == built
    assert "Nothing to be done" in other.run("snakemake", "--cores", "2", "--dry-run")
    other.run("dvc", "commit", "--force", "--quiet")
    assert json.loads(other.run("dvc", "status", "--json")) == {}
    assert stages_run(other.run("dvc", "repro")) == set()

    # And back: what DVC made is done for Snakemake once it has been told.
    project.run("snakemake", "--touch", "--cores", "1")
    assert "Nothing to be done" in project.run("snakemake", "--cores", "1", "--dry-run")
    assert json.loads(project.run("dvc", "status", "--json")) == {}
