"""The Snakemake side by its own tools, and its cluster profile without a cluster."""

import re
from collections.abc import Callable
from typing import Any

Make = Callable[[str], Any]


def test_lint_finds_nothing(make_project: Make) -> None:
    assert "in a good condition" in make_project("project").run("snakemake", "--lint")


def test_format_is_the_usual_one(make_project: Make) -> None:
    make_project("project").run("snakefmt", "--check", "workflow")


def test_cluster_profile_asks_for_a_gpu_where_one_is_used(make_project: Make) -> None:
    text = make_project("project").run("snakemake", "--workflow-profile", "slurm", "--dry-run", "--nocolor")
    blocks = re.split(r"^(?=(?:local)?rule \w+:$)", text, flags=re.MULTILINE)
    jobs = {
        name: [block for block in blocks if block.startswith(f"rule {name}:")]
        for name in ("train", "pretrain", "infer", "evaluate")
    }
    assert all(jobs.values())
    for name in ("train", "pretrain", "infer"):
        assert all("slurm_partition=gpu" in block and "gpu=1" in block for block in jobs[name])
    assert all("slurm_partition=cpu" in block and "gpu=1" not in block for block in jobs["evaluate"])


def test_no_profile_keeps_incomplete_outputs(make_project: Make) -> None:
    root = make_project("project").root
    for profile in (root / "workflow/profiles").rglob("*.yaml"):
        settings = [line for line in profile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert not any(line.startswith("keep-incomplete") for line in settings)
        assert "rerun-incomplete: true" in settings
