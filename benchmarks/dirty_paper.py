"""The whole pipeline under the profile `paper`, on fake sets as flawed as the real ones: with one process and with two.

    python benchmarks/dirty_paper.py [--folder /tmp/dirty] [--runs stcn-full-static …]

In a copy of the project, DAVIS, YouTube-VOS and the static sets are made as tiny trees in their public layouts, with
empty first masks, objects that vanish and return, masks that are missing, and odd sizes (`tests/sets/fake_trees.py`).
Networks and iterations are those of `smoke`, and optimiser and Cutie's loss have values that enlarge no rounding; all
else is the profile's. `dvc repro` alone then builds everything, from `data` to `tables` and `figures`: once with
`processes: 1`, once with `processes: 2` in another copy. Weights have to agree to 1e-5. Prints what happened as JSON,
and ends with 1 if anything failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.parameters import read_document, write_document  # noqa: E402
from tests.pipeline.conftest import PARTS  # noqa: E402
from tests.sets import fake_trees  # noqa: E402
from tests.stages.test_paper_profile import make_small  # noqa: E402

RUNS = ("stcn-full-static", "xmem-two_step-static", "cutie-two_step-backbone")
TOLERANCE = 1e-5


def make_copy(copy: Path, raw: Path, runs: list[str], processes: int) -> None:
    """The project at `copy`, with the profile `paper` in force and cut."""
    for part in PARTS:
        source, target = REPOSITORY / part, copy / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, target)
    document = read_document(REPOSITORY)
    profile = document["profiles"]["paper"]
    make_small(profile, document["profiles"]["smoke"])
    profile["data"]["root"] = str(raw)
    profile["processes"] = processes
    # Adam divides a gradient that should be 0, and is not for rounding, by itself, unless epsilon is larger.
    profile["training"]["optimiser"] = {"learning_rate": 0.001, "epsilon": 1e-4}
    profile["training"]["schedule"] = {"name": "multistep", "milestones": [3], "factor": 0.1, "warmup": 9}
    profile["train"]["cutie"].pop("optimiser")
    # Of points that rounding alone tells apart in certainty, either may be chosen: tests/training/test_equality.py.
    profile["train"]["cutie"]["loss"]["importance"] = 0.0
    document["profile"] = "paper"
    document["runs"] = {key: document["runs"][key] for key in runs}
    write_document(copy / "params.yaml", document)


def build(copy: Path, folder: Path) -> tuple[str, float]:
    """Run `dvc repro` in a copy: what it printed if it failed, and the seconds."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(copy / "src"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    start = time.perf_counter()
    for command in (("config", "--local", "core.no_scm", "true"), ("repro",)):
        with (copy / "dvc.log").open("w", encoding="utf-8") as log:
            done = subprocess.run(
                ["dvc", *command], cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode:
            return (copy / "dvc.log").read_text(encoding="utf-8")[-3000:], time.perf_counter() - start
    return "", time.perf_counter() - start


def difference(one: Path, other: Path) -> float:
    """The largest difference of any weight of two files."""
    weights, others = load_file(one), load_file(other)
    assert weights.keys() == others.keys(), f"{one} and {other} have other names"
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)


def compare(copies: list[Path]) -> dict[str, Any]:
    """Differences of all weights, by their path, and the files that only one copy has."""
    made = [{path.relative_to(copy).as_posix() for path in (copy / "results").rglob("*.*")} for copy in copies]
    weights = sorted(name for name in made[0] & made[1] if name.endswith(".safetensors"))
    return {
        "weights": {name: difference(copies[0] / name, copies[1] / name) for name in weights},
        "in_one_alone": sorted(made[0] ^ made[1]),
        "tables": sorted(name for name in made[0] & made[1] if "/tables/" in name or "/figures/" in name),
    }


def measure(folder: Path, runs: list[str]) -> dict[str, Any]:
    """Everything, in a new folder."""
    fake_trees.make_raw(folder / "raw")
    copies = [folder / f"processes-{count}" for count in (1, 2)]
    report: dict[str, Any] = {"runs": runs, "seconds": {}, "failed": {}}
    for count, copy in enumerate(copies, 1):
        make_copy(copy, folder / "raw", runs, count)
        failure, seconds = build(copy, folder)
        report["seconds"][count] = round(seconds, 1)
        if failure:
            report["failed"][count] = failure
    if not report["failed"]:
        report |= compare(copies)
        found = [name for name in report["weights"] if "/train/" in name and name.endswith("/weights.safetensors")]
        equal = len(found) == len(runs) and max(report["weights"].values()) <= TOLERANCE
        report["passed"] = equal and not report["in_one_alone"]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="new folder to keep everything in; default: a temporary one")
    parser.add_argument("--runs", nargs="+", default=list(RUNS))
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True)
        report = measure(options.folder.resolve(), options.runs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            report = measure(Path(folder).resolve(), options.runs)
    print(json.dumps(report, indent=2))
    sys.exit(0 if report.get("passed") else 1)


if __name__ == "__main__":
    main()
