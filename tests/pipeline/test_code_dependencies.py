"""Every stage of dvc.yaml names the code that it runs: what its module imports, directly or through others."""

import ast
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src"
PACKAGE = SOURCE / "oneshot_vos"
STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def imported_files(source: Path) -> set[Path]:
    """Files of the package that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = set()
    for name in names:
        module = SOURCE.joinpath(*name.split("."))
        parents = [parent / "__init__.py" for parent in (module, *module.parents) if parent.is_relative_to(PACKAGE)]
        files |= {file for file in [module.with_suffix(".py"), *parents] if file.is_file()}
    return files


def used_files(stage: str) -> set[Path]:
    """Everything that the module of a stage reaches, but the schema of the parameters, the modules beside the folders,
    and empty packages. What a parameter says is a dependency by itself."""
    found: set[Path] = set()
    waiting = {PACKAGE / "stages" / f"{stage}.py"}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= imported_files(file) - found
    return {file for file in found if file.parent not in (PACKAGE, PACKAGE / "params") and has_code(file)}


def has_code(file: Path) -> bool:
    return len(ast.parse(file.read_text(encoding="utf-8")).body) > 1 or file.name != "__init__.py"


def declared_code(stage: str) -> list[Path]:
    definition = STAGES[stage]
    deps = definition.get("do", definition)["deps"]
    return [REPOSITORY / dep for dep in deps if dep.startswith("src/")]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_code_it_uses(stage: str) -> None:
    declared = declared_code(stage)
    missing = [
        file.relative_to(REPOSITORY).as_posix()
        for file in sorted(used_files(stage))
        if not any(file.is_relative_to(place) for place in declared)
    ]
    assert missing == []


@pytest.mark.parametrize("stage", STAGES)
def test_declared_code_exists(stage: str) -> None:
    assert all(place.exists() for place in declared_code(stage))


def test_scores_do_not_depend_on_how_networks_are_trained() -> None:
    for stage in ("evaluate", "tables"):
        for layer in ("networks", "supervision", "training"):
            assert not any(place.is_relative_to(PACKAGE / layer) for place in declared_code(stage))
