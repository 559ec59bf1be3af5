"""Snakemake's rules are derived from dvc.yaml: what is derived is what DVC itself makes of the file."""

import sys
from collections.abc import Callable
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.serialize import load_yaml

Make = Callable[[str], Any]  # a fresh checkout and commands in it; see conftest.py


@pytest.fixture(scope="module", autouse=True)
def _workflow_on_the_path(repository: Path) -> Any:
    sys.path.insert(0, str(repository / "workflow"))
    yield
    sys.path.remove(str(repository / "workflow"))


@pytest.mark.parametrize("profile", ["mini", "paper"])  # made here, and read from elsewhere
def test_stages_are_those_of_dvc(make_project: Make, profile: str) -> None:
    from stages import Pipeline

    project = make_project("project")
    if profile != "mini":
        project.choose(profile)
    pipeline = Pipeline(project.root)
    derived = {
        f"{stage.name}@{item}" if item else stage.name: (
            stage.command(item),
            set(stage.declared(item)["deps"]),
            set(stage.outs(item)),
            stage.values(item),
        )
        for stage in pipeline.stages
        for item in stage.items
    }
    with Repo(str(project.root)) as repo:
        resolved = {stage.name: described(stage) for stage in repo.index.stages}
    assert derived == resolved
    assert len(derived) == 73


def described(stage: Any) -> tuple[str, set[str], set[str], dict[str, Any]]:
    files = {dep.def_path for dep in stage.deps if not hasattr(dep, "params")}
    values: dict[str, Any] = {}
    for dep in stage.deps:
        if hasattr(dep, "params"):
            content = read_as_dvc(dep.fs_path)
            values |= {f"{dep.def_path}:{place}": lookup(content, place) for place in dep.params}
    return " ".join(stage.cmd.split()), files, {out.def_path for out in stage.outs}, values


def test_a_start_that_a_run_makes_comes_after_it(make_project: Make) -> None:
    from stages import Pipeline

    project = make_project("project")
    made = "results/mini/train/xmem-two_step-static/weights.safetensors"
    project.edit_params("\nstarts: {}\n", f"\nstarts: {{mine: {{network: xmem, weights: {made}}}}}\n")
    start = next(stage for stage in Pipeline(project.root).stages if stage.name == "start")
    assert start.outs("mine") == ["results/mini/init/xmem/mine.safetensors"]
    with Repo(str(project.root)) as repo:
        resolved = {stage.name: stage for stage in repo.index.stages}
        assert " ".join(resolved["start@mine"].cmd.split()) == start.command("mine")
        needed = {stage.name for stage in repo.index.graph.successors(resolved["start@mine"])}
    assert needed == {"train@xmem-two_step-static"}


def test_starts_of_two_networks_are_jobs_of_snakemake(make_project: Make) -> None:
    project = make_project("project")
    made = "results/mini/train/stcn-full-static/weights.safetensors"
    shipped = "src/oneshot_vos/shipped/xmem-lite0.safetensors"
    starts = f"{{more: {{network: stcn, weights: {made}}}, given: {{network: xmem, weights: {shipped}}}}}"
    project.edit_params("\nstarts: {}\n", f"\nstarts: {starts}\n")
    run = "{network: stcn, strategy: two_step, labels: first, init: more, seed: 0}"
    project.edit_params("\nruns:\n", f"\nruns:\n  stcn-two_step-more: {run}\n")
    printed = project.run("snakemake", "--dry-run", "--nocolor", "--workflow-profile", "none")
    for network, name in (("stcn", "more"), ("xmem", "given")):
        assert f"output: results/mini/init/{network}/{name}.safetensors" in printed
        assert f"log: logs/mini/start/{network}/{name}.log" in printed
    target = "results/mini/train/stcn-two_step-more/snapshots"
    wanted = project.run("snakemake", target, "--dry-run", "--nocolor", "--quiet", "rules")
    counts = dict(line.split() for line in wanted.splitlines() if len(line.split()) == 2)
    assert (counts["start"], counts["train"]) == ("1", "2")  # the run whose weights it starts from, and itself


def test_a_rule_per_stage_with_its_items_as_a_wildcard(make_project: Make) -> None:
    from stages import Pipeline

    project = make_project("project")
    printed = project.run("snakemake", "--list-rules", "--workflow-profile", "none")
    pipeline = Pipeline(project.root)
    names = {stage.name for stage in pipeline.stages}
    assert {line.strip() for line in printed.splitlines()} >= names | {"all"}
    train = next(stage for stage in pipeline.stages if stage.name == "train")
    assert "results/mini/train/{item}/weights.safetensors" in train.patterns
    assert train.gpus("stcn-full-static") == 1  # as many as its training has processes
    on_cards = {stage.name for stage in pipeline.stages if max(map(stage.gpus, stage.items))}
    assert on_cards == {"pretrain", "train", "infer", "probe"}


def test_a_job_is_repeated_for_the_values_that_dvc_tracks(make_project: Make) -> None:
    """Another value of STCN's recipe concerns STCN's trainings; the derived values say so without running anything."""
    from stages import Pipeline

    project = make_project("project")
    before = values_of(Pipeline(project.root))
    recipe = project.root / "config/recipes/stcn.yaml"
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    content["train"]["deep_update"] = 0.5
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    after = values_of(Pipeline(project.root))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith("train@stcn-")}


def test_partitions_that_are_there_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages import refused_partitions

    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sinfo: no such program" in refused_partitions([("cpu", 60)])
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho cpu 1-00:30:00\necho gpu infinite\n", encoding="utf-8")
    (tmp_path / "sinfo").chmod(0o755)
    assert refused_partitions([("gpu", 9999), (None, 60), ("cpu", 1470)]) == ""
    assert "has no partition fast; expected one of cpu, gpu" in refused_partitions([("gpu", 60), ("fast", 60)])
    assert "partition cpu: a job of 1471 min; expected at most 1470. Edit runtime" in refused_partitions(
        [("cpu", 1471)]
    )


@cache
def read_as_dvc(path: str) -> Any:
    return load_yaml(path)


def lookup(content: Any, place: str) -> Any:
    return reduce(getitem, place.split("."), content)


def values_of(pipeline: Any) -> dict[str, Any]:
    return {f"{stage.name}@{item}": stage.values(item) for stage in pipeline.stages for item in stage.items}
