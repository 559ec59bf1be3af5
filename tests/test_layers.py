"""The order of the layers, read from the sources: a lower layer never imports a higher one."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src/oneshot_vos"
# From the bottom up. Modules of one rank know nothing of each other, the inside of a layer apart.
RANKS = {
    "errors": 0,
    "files": 1,
    "registry": 1,
    "strict_yaml": 2,
    "catalogue": 2,
    "params": 3,
    "videos": 4,
    "sets": 5,
    "clips": 5,
    "fetch": 5,
    "networks": 5,
    "supervision": 6,
    "training": 7,
    "inference": 8,
    "evaluation": 9,
    "reporting": 10,
    "stages": 11,
    "cli": 12,
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str | None:
    """`oneshot_vos.videos.video` -> `videos`; None for anything outside the package and for its root."""
    parts = module.split(".")
    return parts[1] if parts[0] == "oneshot_vos" and len(parts) > 1 else None


def imported_layers(source: Path) -> set[str]:
    layers = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            layers |= {layer_of(name.name) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative import"
            module = node.module or ""
            names = [f"{module}.{name.name}" for name in node.names] if module == "oneshot_vos" else [module]
            layers |= {layer_of(name) for name in names}
    return {layer for layer in layers if layer in RANKS}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(source: Path) -> None:
    own = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        assert imported_layers(source) == set()
        return
    for layer in imported_layers(source) - {own}:
        assert RANKS[layer] < RANKS[own], f"{source}: {own} must not import {layer}"


def test_every_part_of_the_package_has_a_rank() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES} - {"__init__"}
    assert parts == set(RANKS)


def test_supervision_and_training_name_no_network() -> None:
    for layer in ("supervision", "training"):
        for source in (PACKAGE / layer).glob("*.py"):
            tree = ast.parse(source.read_text(encoding="utf-8"))
            names = {node.id.lower() for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not names & {"stcn", "xmem", "cutie"}, source
