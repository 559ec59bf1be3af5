"""What `pip install` of the wheel gives without any extra: the README's example runs, and no engine is needed."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

# Runs a script with only those packages importable that the wheel asks for; anything else looks not installed.
RUNNER = """
import importlib.abc, importlib.util, runpy, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
find_spec = importlib.util.find_spec  # whether a package is there, without importing it: torch asks so
importlib.util.find_spec = lambda name, package=None: (
    None if name.partition(".")[0] in HIDDEN else find_spec(name, package)
)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def required_by_the_core() -> set[str]:
    """Names of all distributions that the wheel brings along, directly or through others."""
    found: set[str] = set()
    waiting = ["oneshot-vos"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            wanted = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform or Python
            continue
        found.add(name)
        requirements = [Requirement(line) for line in wanted]
        waiting += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def hidden_packages() -> set[str]:
    """Importable names that belong only to distributions that the core does not ask for."""
    core = required_by_the_core()
    owners = packages_distributions().items()
    return {name for name, by in owners if not {owner.lower().replace("_", "-") for owner in by} & core}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A folder with the installed wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "src", "pyproject.toml", "README.md", "LICENSE"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for file in files:
        if (repository / file).is_file():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            (source / file).write_bytes((repository / file).read_bytes())
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # of Python alone, it is installed as it is packed
        archive.extractall(folder / "site")
    return folder / "site"


def run_script(installed: Path, folder: Path, code: str, *, hide: bool = True) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(code, encoding="utf-8")
    hidden = hidden_packages() if hide else set()
    (folder / "runner.py").write_text(f"HIDDEN = {sorted(hidden)!r}\n{RUNNER}", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "runner.py", "script.py"],
        cwd=folder,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_engines_are_no_part_of_the_core() -> None:
    assert {"dvc", "snakemake", "gdown", "pytest"} <= hidden_packages()
    assert not {"torch", "numpy", "typer", "ruamel", "av"} & hidden_packages()


NAMES = "import oneshot_vos\nfor name in oneshot_vos.__all__: assert getattr(oneshot_vos, name) is not None, name\n"


def test_the_example_of_the_readme_runs_from_the_wheel_and_all_names_are_there(
    installed: Path, tmp_path: Path, repository: Path
) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    example = re.search(r"## From Python\n.*?```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    (tmp_path / "video").mkdir()
    (tmp_path / "masks").mkdir()
    rng = np.random.default_rng(0)
    for t in range(4):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(tmp_path / f"video/{t:05}.jpg")
    ids = np.zeros((48, 64), np.uint8)
    ids[10:30, 20:40] = 7
    Image.fromarray(ids).save(tmp_path / "first.png")
    done = run_script(installed, tmp_path, example[1] + NAMES)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "masks").iterdir())
    assert [file.name for file in written] == [f"{t:05}.png" for t in range(4)]
    for file in written:
        mask = np.array(Image.open(file))
        assert mask.shape == (48, 64)
        assert set(np.unique(mask)) <= {0, 7}


def test_importing_the_package_loads_nothing_heavy(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, oneshot_vos\n"
        "print(oneshot_vos.list_networks())\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'cv2', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = run_script(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert "stcn" in done.stdout


def test_the_command_segments_without_the_pipeline(installed: Path, tmp_path: Path) -> None:
    """`oneshot-vos` starts, and a command of the pipeline's tables names the extra that it wants."""
    code = "import sys\nfrom oneshot_vos.cli import app\nsys.argv = ['oneshot-vos', 'segment', '--help']\napp()\n"
    done = run_script(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert "Folder of frames, or a video file" in done.stdout
