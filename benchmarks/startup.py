"""CPU seconds of `oneshot-vos infer` until its network is given the first frame, beside those of an older revision.

    python benchmarks/startup.py [--old b6fcd06] [--repeat 8] [--only stcn xmem cutie] [--out FILE]

Copies the sources of both to a temporary folder, makes the videos and new networks of the profile `smoke` with each,
and starts them in turn, in this environment, with one thread; the first start, which writes byte code, does not count.
On a machine with other work, look at the least of each. `segment --help` is timed as well.
"""

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from seeds import copy_checkout

REACHED = 77  # exit code of a process that came to its first frame
# Starts the command, and ends where the network, or a part of it, is called after a frame's file was opened.
COMMAND = "from oneshot_vos.cli import app; app()"
UNTIL_FIRST_FRAME = f"""
import os, sys
seen = []
def watch(event, arguments):
    if event == "open" and not seen and str(arguments[0]).endswith(".jpg"):
        seen.append(arguments[0])
        from torch.nn.modules.module import register_module_forward_pre_hook
        register_module_forward_pre_hook(lambda *_: os._exit({REACHED}))
sys.addaudithook(watch)
{COMMAND}
"""


def run(folder: Path, code: str, *words: str, expected: int = 0) -> float:
    """CPU seconds of a command in a copy; ends the program if its exit code is another."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != expected:
        sys.exit(f"{folder.name}: {' '.join(words)} ended with {done.returncode}, not {expected}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def infer(folder: Path, network: str) -> float:
    for left in ("state", "masks"):
        shutil.rmtree(folder / left, ignore_errors=True)
    key = f"{network}-full-static"
    chosen = [key] if is_layered(folder) else ["--run", key]
    files = f"--weights {network}.safetensors --snapshots none --sets data/smoke/sets/evaluate --out masks"
    words = ["infer", "--profile", "smoke", *chosen, *files.split()]
    return run(folder, UNTIL_FIRST_FRAME, *words, expected=REACHED)


def is_layered(folder: Path) -> bool:
    """Whether recipes and profiles are files of their own: the options of commands changed with that."""
    return (folder / "config").is_dir()


def prepare(folder: Path, networks: list[str]) -> None:
    run(folder, COMMAND, "data", "--profile", "smoke", "--out", "data/smoke/sets")
    option = "--network" if is_layered(folder) else "--model"
    for network in networks:
        run(folder, COMMAND, "init", "--profile", "smoke", option, network, "--out", f"{network}.safetensors")


def figures(seconds: list[float]) -> dict[str, float]:
    return {"least": min(seconds), "median": statistics.median(seconds)}


def compare(old: Path, new: Path, network: str, repeat: int) -> dict[str, Any]:
    pairs = [(infer(old, network), infer(new, network)) for _ in range(repeat + 1)][1:]
    results = {name: figures(list(times)) for name, times in zip(("old", "new"), zip(*pairs, strict=True), strict=True)}
    ratios = {key: results["new"][key] / results["old"][key] for key in ("least", "median")}
    for key, ratio in ratios.items():
        seconds = " and ".join(f"{results[name][key]:.2f}" for name in ("old", "new"))
        print(f"{network:5} {key:6} {seconds} s: {ratio:.3f}", flush=True)
    return {**results, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", default="b6fcd06", help="revision to compare with")
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--only", nargs="+", default=["stcn", "xmem", "cutie"])
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/startup.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        old, new = Path(work, "old"), Path(work, "new")
        git = ["git", "archive", "--format=tar", arguments.old]
        with tarfile.open(fileobj=io.BytesIO(subprocess.run(git, check=True, capture_output=True).stdout)) as archive:
            archive.extractall(old, filter="data")
        copy_checkout(new)
        for folder in (old, new):
            prepare(folder, arguments.only)
        results = {network: compare(old, new, network, arguments.repeat) for network in arguments.only}
        help_seconds = figures([run(new, COMMAND, "segment", "--help") for _ in range(arguments.repeat)])
    print(f"segment --help: {help_seconds['least']:.2f} s, median {help_seconds['median']:.2f}")
    report = {"old": arguments.old, "repeat": arguments.repeat, "infer": results, "segment --help": help_seconds}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
