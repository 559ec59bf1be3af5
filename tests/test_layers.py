"""The order of the layers, read from the sources: a lower layer never imports a higher one."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src/oneshot_vos"
# From the bottom up. Modules of one rank know nothing of each other, the inside of a layer apart.
RANKS = {
    "errors": 0,
    "files": 1,
    "linked": 2,
    "interrupts": 1,
    "registry": 1,
    "shipped": 1,  # the weights in the package: a place and a number
    "strict_yaml": 2,
    "registries": 2,  # names and facts of networks and strategies, without the things themselves
    "inference_settings": 2,  # what inference may be told, without inference
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
    "adaptation": 10,
    "reporting": 10,
    "stages": 11,
    "labelling": 12,
    "commands": 13,
    "cli": 14,
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str | None:
    """`oneshot_vos.videos.video` -> `videos`; None for anything outside the package and for its root."""
    parts = module.split(".")
    if parts[0] != "oneshot_vos" or len(parts) < 2:
        return None
    names_and_facts = parts[1:] in (["networks"], ["supervision"]) or (parts[1] == "networks" and parts[-1] == "spec")
    return "registries" if names_and_facts else parts[1]


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


def layer_of_source(source: Path) -> str | None:
    return layer_of(
        ".".join(["oneshot_vos", *source.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    )


def imports(node: ast.stmt) -> str:
    """The module that a statement at the top of a file imports from; what only type checkers read does not count."""
    return (node.module or "") if isinstance(node, ast.ImportFrom) else ""


def test_imports_go_down_only() -> None:
    for source in SOURCES:
        own = layer_of_source(source)
        if own is not None:
            higher = [layer for layer in imported_layers(source) - {own} if RANKS[layer] >= RANKS[own]]
            assert not higher, f"{source}: {own} must not import {higher}"


def test_the_public_face_imports_nothing() -> None:
    """It has names from everywhere, which are looked up when they are used."""
    body = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    assert not [node for node in body if "oneshot_vos" in imports(node)]


def test_every_part_of_the_package_has_a_rank() -> None:
    parts = {layer_of_source(source) for source in SOURCES} - {None}
    assert parts == set(RANKS)


def test_supervision_and_training_name_no_network() -> None:
    for layer in ("supervision", "training"):
        for source in (PACKAGE / layer).glob("*.py"):
            tree = ast.parse(source.read_text(encoding="utf-8"))
            names = {node.id.lower() for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not names & {"stcn", "xmem", "cutie"}, source
