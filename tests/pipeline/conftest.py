"""A copy of the pipeline in a temporary folder, and both engines there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PARTS = [
    *("src", "workflow", "config", "dvc.yaml", "params.yaml", "server_scores.yaml", "pyproject.toml"),
    *(".dvcignore", ".gitignore", ".dvc/config", ".dvc/plots"),
]


@dataclass(frozen=True)
class Project:
    """A checkout without git, and commands in it."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command in the checkout and return what it printed; a failing command fails the test."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{self._logs()}"
        return done.stdout

    def edit_params(self, old: str, new: str, name: str = "params.yaml") -> None:
        """Replace the one place of `old` in a parameter file."""
        file = self.root / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def keep_runs(self, *names: str) -> None:
        """Leave only these runs in the list."""
        file = self.root / "params.yaml"
        text = file.read_text(encoding="utf-8")
        lines = re.findall(r"^  (\S+): \{network: .*\}\n", text, re.MULTILINE)
        assert set(names) <= set(lines)
        for name in set(lines) - set(names):
            text = re.sub(rf"^  {name}: \{{network: .*\}}\n", "", text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")

    def choose(self, profile: str) -> None:
        self.edit_params("\nprofile: mini\n", f"\nprofile: {profile}\n")

    def _logs(self) -> str:
        logs = sorted((self.root / "logs").rglob("*.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text(encoding='utf-8')[-2000:]}" for log in logs)


@pytest.fixture
def make_project(tmp_path: Path, repository: Path) -> Callable[[str], Project]:
    """Makes a fresh checkout of the pipeline under the given name."""

    def make(name: str) -> Project:
        root = tmp_path / name
        for part in PARTS:
            source, target = repository / part, root / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy2(source, target)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc-site"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }
        project = Project(root, environment)
        project.run("dvc", "config", "--local", "core.no_scm", "true")
        return project

    return make
