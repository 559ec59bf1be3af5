"""The Snakemake side by its own tools, and its cluster profile without a cluster."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[[str], Any]


def test_lint_finds_nothing(make_project: Make) -> None:
    assert "in a good condition" in make_project("project").run("snakemake", "--lint")


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


@pytest.mark.parametrize(
    ("partitions", "message"),
    [("debug long", "SLURM has no partition cpu, gpu; expected one of debug, long"), ("", "sinfo: controller is down")],
)
def test_partitions_that_do_not_exist_are_refused_before_the_first_job(
    make_project: Make, tmp_path: Path, partitions: str, message: str
) -> None:
    project = make_project("project")
    project.choose("smoke")
    answer = f"printf '%s\\n' {partitions}" if partitions else "echo controller is down >&2; exit 1"
    programs = {"sinfo": answer, "squeue": "exit 0", "sbatch": f"touch {tmp_path}/sent; exit 1"}
    (tmp_path / "bin").mkdir()
    for name, line in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    project.environment["PATH"] = f"{tmp_path}/bin{os.pathsep}{project.environment['PATH']}"
    with pytest.raises(AssertionError, match=message) as caught:
        project.run("snakemake", "--workflow-profile", "slurm")
    assert "profile.v9+.yaml" in str(caught.value) or not partitions
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "sent").exists()


def test_no_profile_keeps_incomplete_outputs(repository: Path) -> None:
    for profile in (repository / "workflow/profiles").rglob("*.yaml"):
        settings = [line for line in profile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert not any(line.startswith("keep-incomplete") for line in settings)
        assert "rerun-incomplete: true" in settings
