"""The documents speak of files, keys and commands that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from oneshot_vos import params
from oneshot_vos.cli import app

DOCUMENTS = ["README.md", *(f"docs/{file.name}" for file in sorted((Path(__file__).parents[2] / "docs").glob("*.md")))]


def code_of(text: str) -> str:
    """Everything between backticks, inline and in blocks."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(repository, name):
    document = repository / name
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    made = [target for target in local if target.startswith("results/")]  # written by the pipeline
    missing = [target for target in local if target not in made and not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("name", DOCUMENTS)
def test_source_files_named_in_documents_exist(repository, name):
    code = code_of((repository / name).read_text(encoding="utf-8"))
    package = "(?:src/oneshot_vos/)?(?:networks|supervision|training|datasets|evaluation|inference|reporting)"
    files = re.findall(rf"(?<!tests/)\b({package}/[a-z_]+\.py)", code)
    missing = [file for file in files if not (repository / "src/oneshot_vos" / file.split("oneshot_vos/")[-1]).exists()]
    assert not missing


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_named_in_documents_exist(repository, name):
    known = {(command.name or command.callback.__name__).replace("_", "-") for command in app.registered_commands}
    named = re.findall(r"\boneshot-vos ([a-z][a-z-]*)", code_of((repository / name).read_text(encoding="utf-8")))
    assert set(named) <= known


def keys(network: type[BaseModel]) -> Iterator[str]:
    """Keys of one block of params.yaml, as they are written there."""
    for field, info in network.model_fields.items():
        yield info.alias or field


def test_every_parameter_is_described(repository):
    text = code_of((repository / "docs/parameters.md").read_text(encoding="utf-8"))
    words = set(re.findall(r"[a-z_][a-z_0-9]*", text))
    kinds = [item for item in vars(params).values() if isinstance(item, type) and item is not params.Params]
    blocks = [kind for kind in kinds if issubclass(kind, params.Strict)]
    assert len(blocks) > 10
    missing = {f"{block.__name__}.{key}" for block in blocks for key in keys(block) if key not in words}
    assert not missing


def test_the_citation_is_that_of_the_paper(repository):
    content = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    paper = content["preferred-citation"]
    assert paper["title"] == "One-shot Training for Video Object Segmentation"
    assert [author["family-names"] for author in paper["authors"]] == ["Chen", "Chan", "Zhang"]


def test_the_changelog_has_a_section_for_what_is_not_released(repository):
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")
