"""The files that set the project up: exact pins, two commands, and no way to lose trained weights."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = ["requirements.txt", "requirements-dev.txt"]


def pins(file: Path) -> dict[str, str]:
    """Name and version of every pinned package."""
    lines = re.findall(
        r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;]+)", file.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {canonicalize_name(name): version for name, version in lines}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_package_is_pinned_with_hashes(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    entries = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    assert len(entries) > 50
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_pins_record_no_download_address(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links", text)


def test_pins_lie_within_the_declared_ranges(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    user, developer = (pins(repository / name) for name in REQUIREMENTS)
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *extras["pipeline"], *extras["fetch"], *extras["label"]]
    declared = [(user, line) for line in [*needed, *project["build-system"]["requires"]]]
    declared += [(developer, line) for line in extras["dev"]]
    for pinned, line in declared:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), line


def test_developers_use_the_versions_of_users(repository: Path) -> None:
    user, developer = (pins(repository / name) for name in REQUIREMENTS)
    assert user.items() <= developer.items()


def test_one_version_of_torch(repository: Path) -> None:
    pinned = pins(repository / "requirements.txt")["torch"]
    for file, pattern in (
        ("workflow/Snakefile", r"pytorch/pytorch:([\d.]+)-"),
        ("Dockerfile", r"pytorch/pytorch:([\d.]+)-"),
        ("docs/paper-run.md", r"among them torch ([\d.]+\d)"),
    ):
        assert re.findall(pattern, (repository / file).read_text(encoding="utf-8")) == [pinned], file
    text = (repository / "docs/paper-run.md").read_text(encoding="utf-8")
    oldest = re.search(r"torch (\S+) is the oldest allowed", text)
    assert oldest is not None
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"torch>={oldest[1]}" in project["project"]["dependencies"]


def test_the_dockerfile_is_in_order(repository: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([program, "Dockerfile"], cwd=repository, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_an_image_holds_what_it_copies(repository: Path) -> None:
    copied = re.findall(r"^COPY (\S+) ", (repository / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert copied == ["requirements.txt", "."]
    ignored = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False).stdout
    needed = {name.split("/")[0] for name in listed.splitlines() if name.startswith(("src/", "config/", "workflow/"))}
    assert needed == {"src", "config", "workflow"}
    assert not needed & {line.strip("/") for line in ignored}


@pytest.mark.parametrize("target", ["repro", "test"])
def test_the_two_commands_set_up_what_they_need(repository: Path, tmp_path: Path, target: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", target],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    last = {"repro": ["workflow/scripts/repro.py"], "test": ["ruff check", "mypy", "pytest -n 2"]}[target]
    pins = {"repro": "requirements.txt", "test": "requirements-dev.txt"}[target]
    steps = ["-m venv", f"--require-hashes -r {pins}", "--no-deps", *last]
    assert plan.count("--require-hashes") == 1
    assert [plan.index(step) for step in steps] == sorted(plan.index(step) for step in steps)


def test_an_old_python_is_refused_with_a_remedy(repository: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", f"VENV={tmp_path / 'venv'}", "PYTHON=false", "venv"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "name a newer one: make PYTHON=" in done.stdout


def test_training_state_is_an_output_of_neither_engine(repository: Path) -> None:
    for place in ("dvc.yaml", "workflow/Snakefile", "workflow/stages.py"):
        assert "state/" not in (repository / place).read_text(encoding="utf-8")
    for place in (".gitignore", ".dvcignore"):
        assert "/state/" in (repository / place).read_text(encoding="utf-8").splitlines()
    assert ".snakemake_timestamp" in (repository / ".dvcignore").read_text(encoding="utf-8").splitlines()
