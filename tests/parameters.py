"""The parameter files as one document, to change and to write elsewhere."""

import shutil
from pathlib import Path
from typing import Any

import yaml

KINDS = ("profiles", "recipes")


def read_document(repository: Path, top: str = "params.yaml") -> dict[str, Any]:
    """What the top file holds, and `profiles` and `recipes` by name."""
    document: dict[str, Any] = yaml.safe_load((repository / top).read_text(encoding="utf-8"))
    for kind in KINDS:
        files = sorted((repository / "config" / kind).glob("*.yaml"))
        document[kind] = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return document


def write_document(path: Path, document: dict[Any, Any]) -> Path:
    """Write the top file `path`, and `config` beside it."""
    for kind in KINDS:
        target = path.parent / "config" / kind
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name, content in document.get(kind, {}).items():
            (target / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    top = {key: value for key, value in document.items() if key not in KINDS}
    path.write_text(yaml.safe_dump(top, sort_keys=False), encoding="utf-8")
    return path
