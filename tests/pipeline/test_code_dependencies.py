"""Every stage of dvc.yaml names the code that it runs, and no other: what its module reaches by import."""

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src"
PACKAGE = SOURCE / "oneshot_vos"
sys.path.insert(0, str(REPOSITORY / "workflow"))
from stages import Pipeline  # noqa: E402


def with_every_stage() -> Pipeline:
    """The pipeline with an item for the stages that have none as shipped."""
    yaml = YAML(typ="safe", pure=True)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        content = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
        content["pseudo"] = {"made": {"network": "stcn", "run": "stcn-two_step-static"}}
        content["starts"] = {"mine": {"network": "xmem", "weights": "mine.safetensors"}}
        yaml.dump(content, root / "params.yaml")
        shutil.copyfile(REPOSITORY / "dvc.yaml", root / "dvc.yaml")
        return Pipeline(root)


PIPELINE = with_every_stage()
STAGES = {stage.name: stage for stage in PIPELINE.stages}
JOBS = [(stage.name, item) for stage in PIPELINE.stages for item in stage.items]
# What every stage stands on: values and their checks, messages, files, names. They can change a result only through a
# value of params.yaml or config/, which DVC tracks; tests/params holds the values of every profile.
FOUNDATION = {
    *(
        PACKAGE / f"{name}.py"
        for name in ("errors", "files", "registry", "strict_yaml", "inference_settings", "interrupts", "__init__")
    ),
    *(PACKAGE / "params").glob("*.py"),
    PACKAGE / "networks/__init__.py",
    PACKAGE / "networks/spec.py",
}
STRATEGIES = PACKAGE / "supervision/__init__.py"  # names them, and what each asks of a run
PLACE = re.compile(r"oneshot_vos(?:\.\w+)+:\w+")  # `module:name`, imported when it is asked for


@cache
def imported_files(source: Path, *, named: bool) -> set[Path]:
    """Files of the package that a file imports, wherever in it; with `named`, also those of its `module:name`."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif named and isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACE.fullmatch(node.value):
            names.add(node.value.partition(":")[0])
    return {file for name in names for file in files_of(name)}


def files_of(module: str) -> Iterator[Path]:
    place = SOURCE.joinpath(*module.split("."))
    parents = [parent / "__init__.py" for parent in (place, *place.parents) if parent.is_relative_to(PACKAGE)]
    yield from (file for file in (place.with_suffix(".py"), *parents) if file.is_file() and has_code(file))


@cache
def has_code(file: Path) -> bool:
    return len(ast.parse(file.read_text(encoding="utf-8")).body) > 1 or file.name != "__init__.py"


@cache
def reached(stage: str, network: str | None) -> set[Path]:
    """Everything that a stage's module reaches, the foundation apart; of networks, the one that the job is for."""
    found: set[Path] = set()
    waiting = {PACKAGE / "stages" / f"{stage}.py"}
    if network:
        waiting |= {PACKAGE / "networks" / network / "spec.py"}
    while waiting:
        file = waiting.pop()
        found.add(file)
        # Tables read of a strategy what it asks of a run; only a training loads it.
        named = file != STRATEGIES or stage in ("pretrain", "train")
        waiting |= {each for each in imported_files(file, named=named) if each not in FOUNDATION} - found
    return found


def network_of(stage: str, item: str) -> str | None:
    """The network of a job of the stages that run one."""
    if stage in ("init", "pretrain"):
        return item
    if stage in ("start", "pseudo"):
        return PIPELINE.scope[{"start": "starts"}.get(stage, stage)][item]["network"]
    return PIPELINE.scope["runs"][item]["network"] if stage in ("train", "infer", "probe") else None


def declared(stage: str, item: str) -> list[Path]:
    return [REPOSITORY / dep for dep in STAGES[stage].declared(item)["deps"] if dep.startswith("src/")]


def names(files: set[Path]) -> list[str]:
    return sorted(file.relative_to(PACKAGE).as_posix() for file in files)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_code_it_reaches_and_nothing_else(stage: str) -> None:
    for item in STAGES[stage].items:
        used, places = reached(stage, network_of(stage, item)), declared(stage, item)
        assert names({file for file in used if not any(map(file.is_relative_to, places))}) == [], item
        assert [place for place in places if not any(file.is_relative_to(place) for file in used)] == [], item
        assert all(place.exists() for place in places)


# Modules of declared folders that serve commands beside the pipeline alone: segment, suggest, import-videos, score, …
BESIDE_THE_PIPELINE = {
    "evaluation/cross_check.py",
    "inference/ranking.py",
    "inference/tracker.py",
    "reporting/overlay_video.py",
    "reporting/own_results.py",
    "reporting/page/own.py",
    "sets/coco.py",
    "sets/labelme.py",
    "sets/mask_inputs.py",
    "sets/own.py",
}


def test_every_module_of_a_declared_folder_is_reached_by_some_job() -> None:
    """A folder is what one kind of stage needs: no module in it that no stage uses, but those that are named."""
    used = set[Path]().union(*(reached(stage, network_of(stage, item)) for stage, item in JOBS))
    places = {place for stage, item in JOBS for place in declared(stage, item)}
    files = {file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])}
    assert names({file for file in files if has_code(file)} - used - FOUNDATION) == sorted(BESIDE_THE_PIPELINE)


@pytest.mark.parametrize("network", PIPELINE.scope["networks"])
def test_a_change_of_one_network_concerns_its_own_jobs_alone(network: str) -> None:
    folder = PACKAGE / "networks" / network
    concerned = {(stage, item) for stage, item in JOBS if any(p.is_relative_to(folder) for p in declared(stage, item))}
    assert concerned == {(stage, item) for stage, item in JOBS if network_of(stage, item) == network}


@pytest.mark.parametrize("place", ["fetch", "cli.py", "commands", "params", "errors.py"])
def test_what_no_result_hangs_on_is_no_dependency(place: str) -> None:
    changed = PACKAGE / place
    for stage, item in JOBS:
        assert not any(each == changed or each in changed.parents for each in declared(stage, item))


def test_scores_do_not_depend_on_how_networks_are_trained() -> None:
    for stage, item in JOBS:
        if stage in ("evaluate", "tables"):
            for layer in ("networks", "supervision", "training", "clips"):
                places = [place for place in declared(stage, item) if place != STRATEGIES]
                assert not any(place.is_relative_to(PACKAGE / layer) for place in places)
