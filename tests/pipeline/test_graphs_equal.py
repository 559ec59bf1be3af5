"""dvc.yaml and workflow/ declare one graph: the same jobs, commands, inputs, outputs and tracked values."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

Make = Callable[[str], Any]  # a fresh checkout and commands in it; see conftest.py


@dataclass(frozen=True)
class Job:
    """One stage of DVC, or one job of Snakemake."""

    name: str
    command: str
    inputs: frozenset[str]
    outputs: frozenset[str]


def dvc_jobs(root: Path) -> set[Job]:
    with Repo(str(root)) as repo:
        stages = repo.index.stages
        outputs = {out.def_path for stage in stages for out in stage.outs}
        return {
            Job(
                stage.name.partition("@")[0],
                " ".join(stage.cmd.split()),
                frozenset(
                    path
                    for dep in stage.deps
                    if not hasattr(dep, "params")
                    for path in expand(root, dep.def_path, outputs)
                ),
                frozenset(out.def_path for out in stage.outs),
            )
            for stage in stages
        }


def expand(root: Path, path: str, outputs: set[str]) -> set[str]:
    """A folder of sources stands for its files, a folder above outputs of other stages for these outputs."""
    if path.startswith("src/") and (root / path).is_dir():
        files = (file for file in (root / path).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        return {file.relative_to(root).as_posix() for file in files}
    below = {out for out in outputs if PurePosixPath(path) in PurePosixPath(out).parents}
    return below if below and path not in outputs else {path}


def snakemake_jobs(project: Any) -> set[Job]:
    text = project.run(
        *("snakemake", "--dry-run", "--forceall", "--printshellcmds", "--nocolor"),
        *("--cores", "1", "--workflow-profile", "none"),
    )
    jobs = set()
    for block in re.split(r"^(?=(?:local)?rule \w+:$)", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"(?:local)?rule (\w+):", block)
        assert name is not None
        if name[1] == "all":
            continue
        command = re.search(r"^Shell command: (.*?)(?=\n\n|\n\[|\nJob stats:)", block, re.MULTILINE | re.DOTALL)
        assert command is not None, block
        plain = re.sub(r" > logs/\S+ 2>&1$", "", " ".join(command[1].split()))
        jobs.add(Job(name[1], plain, field(block, "input"), field(block, "output")))
    return jobs


def field(block: str, name: str) -> frozenset[str]:
    line = re.search(rf"^    {name}: (.*)$", block, re.MULTILINE)
    return frozenset(line[1].split(", ")) if line else frozenset()


@pytest.mark.parametrize("profile", ["mini", "paper"])
def test_both_engines_see_the_same_jobs(make_project: Make, profile: str) -> None:
    project = make_project("project")
    if profile != "mini":
        project.choose(profile)
    by_dvc, by_snakemake = dvc_jobs(project.root), snakemake_jobs(project)
    assert {job.outputs: job for job in by_dvc} == {job.outputs: job for job in by_snakemake}
    assert len(by_dvc) > 10
    assert all(f"--profile {profile} " in job.command for job in by_dvc)


def test_a_difference_is_noticed(make_project: Make) -> None:
    project = make_project("project")
    rules = project.root / "workflow/rules/train.smk"
    rules.write_text(rules.read_text(encoding="utf-8").replace('code("networks", ', "code("), encoding="utf-8")
    different = dvc_jobs(project.root) ^ snakemake_jobs(project)
    assert {job.name for job in different} == {"init"}


def test_stages_have_the_names_of_their_runs(make_project: Make) -> None:
    """`foreach` over a mapping names stages by its keys; commands in the documents rely on it."""
    with Repo(str(make_project("project").root)) as repo:
        names = {stage.name for stage in repo.index.stages}
    assert {"train@stcn-full-static", "infer@stcn-two_step-static", "labels@first", "init@stcn", "tables"} <= names
    assert len(names) <= 100  # the cost of DVC grows with the square


def test_going_back_to_former_values_costs_no_training(make_project: Make) -> None:
    """DVC keeps a run only if each output is cached, or is a plot or a metric."""
    with Repo(str(make_project("project").root)) as repo:
        for stage in repo.index.stages:
            if stage.name.partition("@")[0] in {"data", "labels", "init", "pretrain", "train", "infer"}:
                assert all(out.use_cache or out.is_plot or out.is_metric for out in stage.outs), stage.name


CHANGES: dict[str, object] = {
    "profiles.mini.data.generate.seed": 7,
    "profiles.mini.data.train.mini-train.copies": 7,
    "profiles.mini.data.pretrain.mini-static.copies": 7,
    "profiles.mini.data.evaluate": ["mini-val", "mini-train"],
    "profiles.mini.networks.stcn.key_dim": 7,
    "profiles.mini.init.backbone": "imagenet",
    "profiles.mini.pretrain.stcn.iterations": 7,
    "profiles.mini.train.stcn.optimiser.learning_rate": 0.5,
    "profiles.mini.infer.xmem.top_k": 7,
    "profiles.mini.curve.points": 7,
    "profiles.mini.train.cutie.iterations": 7,
    "profiles.mini.figures.figure7.frames": 7,
    "table1_strategy.xmem": "two_step",
    "profiles.mini.evaluate.tolerance": 0.5,
    "runs.stcn-full-static.seed": 9,
    "profiles.paper.train.stcn.iterations": 7,
}


@pytest.mark.slow
def test_both_engines_track_the_same_values(make_project: Make) -> None:
    project = make_project("project")
    owners = {}
    with Repo(str(project.root)) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                owners[out.def_path] = stage.name
    for out in owners:
        place = project.root / out
        file = place if place.suffix in {".safetensors", ".json", ".csv", ".md", ".png"} else place / "placeholder"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(out, encoding="utf-8")
    project.run("dvc", "commit", "--force", "--quiet")
    project.run("snakemake", "--touch", "--forceall", "--cores", "1", "--workflow-profile", "none")
    assert json.loads(project.run("dvc", "status", "--json")) == {}

    params = project.root / "params.yaml"
    document = yaml.safe_load(params.read_text(encoding="utf-8"))
    for place, value in CHANGES.items():
        params.write_text(yaml.safe_dump(changed(document, place, value), sort_keys=False), encoding="utf-8")
        blamed = blamed_by_dvc(json.loads(project.run("dvc", "status", "--json")))
        summary = project.run("snakemake", "--summary", "--cores", "1", "--workflow-profile", "none")
        rows = [line.split("\t") for line in summary.splitlines() if line.startswith(("data/", "results/"))]
        assert {row[0] for row in rows} == set(owners)
        assert {owners[row[0]] for row in rows if "params changed" in row} == blamed, place
        assert bool(blamed) == (not place.startswith("profiles.paper")), place


def changed(document: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """A copy of the document with another value at a dotted path."""
    copy = deepcopy(document)
    *parents, last = place.split(".")
    inner = copy
    for part in parents:
        inner = inner[part]
    assert inner[last] != value
    inner[last] = value
    return copy


def blamed_by_dvc(status: dict[str, list[Any]]) -> set[str]:
    """Stages whose tracked values changed."""
    return {
        stage
        for stage, findings in status.items()
        for finding in findings
        if isinstance(finding, dict) and "params.yaml" in finding.get("changed deps", {})
    }
