"""End `make repro` at random moments, look at what is left, and check that the next starts reach the same weights.

    python benchmarks/interrupt.py [--tries 10] [--signal TERM|INT|KILL] [--to group|engine] [--truncate] [--out FILE]

Works in two copies of the checkout below `--work`, with the profile `smoke` and one run per network. In the first copy
nothing is interrupted. In the second every try starts workflow/scripts/repro.py in a process group of its own, waits
for a random time, sends the signal (to the whole group, or to the newest engine below it) and notes the exit code, the
seconds until it ended, and the processes that still work in that folder a second later. `--truncate` then cuts the
newest file of state/ or results/ to nothing, as a power cut may. The last start is left alone: its weights must be
those of the first copy, else the command fails. Processes are found through /proc.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seeds import copy_checkout

RUNS = ("stcn-two_step-static", "xmem-t_step-backbone", "cutie-full-static")
LIMIT = 60.0  # seconds after which a process that was told to end counts as hanging
SCRIPT = ("workflow/scripts/repro.py", "--cores", "2", "--resources", "gpu=2")


def make_copy(target: Path) -> Path:
    """A checkout with the profile smoke and `RUNS` alone, without git."""
    copy_checkout(target)
    params = target / "params.yaml"
    lines = params.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if ": {network: " not in line or line.split(":")[0].strip() in RUNS]
    text = "\n".join(kept) + "\n"
    params.write_text(text.replace("\nprofile: mini\n", "\nprofile: smoke\n"), encoding="utf-8")
    subprocess.run(["dvc", "init", "--no-scm", "--force", "--quiet"], cwd=target, check=True)
    return target


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """`make repro` in its own process group, without what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
    environment["DVC_SITE_CACHE_DIR"] = str(folder / ".dvc/site")
    return subprocess.Popen(
        [sys.executable, *SCRIPT],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "repro.log").open("ab"),
    )


def at_work(folder: Path) -> dict[int, str]:
    """Command by process number of everything whose current folder is `folder`."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                command = " ".join(Path(word).name if word.startswith("/") else word for word in words)
                found[int(entry.name)] = command[:80]
        except OSError:  # ended meanwhile
            continue
    return found


def attempt(folder: Path, wait: float, number: int, to: str) -> dict[str, Any] | None:
    """One start that is ended after `wait` seconds; None if everything was made before."""
    process = start(folder)
    try:
        code = process.wait(timeout=wait)
        if code:
            raise SystemExit(f"the start ended by itself with code {code}: see {folder}/repro.log")
        return None
    except subprocess.TimeoutExpired:
        pass
    if to == "group":
        os.killpg(process.pid, number)
    else:
        engines = [pid for pid, command in at_work(folder).items() if {"snakemake", "dvc"} & set(command.split())]
        os.kill(max(engines, default=process.pid), number)
    began = time.monotonic()
    try:
        code = process.wait(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        code = None
    seconds = time.monotonic() - began
    time.sleep(1)
    left = at_work(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return {"after": round(wait, 1), "code": code, "seconds": round(seconds, 1), "left": sorted(left.values())}


def truncate_newest(folder: Path) -> str:
    """Cut the file that was written last to nothing; its name."""
    files = [file for kind in ("state", "results") for file in (folder / kind).rglob("*") if file.is_file()]
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        return ""
    newest.chmod(0o644)
    newest.write_bytes(b"")
    return newest.relative_to(folder).as_posix()


def weights(folder: Path) -> dict[str, str]:
    """Checksums of all trained weights by their place."""
    files = sorted((folder / "results").rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--signal", choices=["TERM", "INT", "KILL"], default="TERM")
    parser.add_argument("--to", choices=["group", "engine"], default="group")
    parser.add_argument("--truncate", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/interrupt"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    straight, cut = (make_copy((options.work / name).resolve()) for name in ("straight", "cut"))
    began = time.monotonic()
    if start(straight).wait():
        raise SystemExit(f"the start without interruption failed: see {straight}/repro.log")
    whole = time.monotonic() - began
    draws = random.Random(options.seed)
    tries = []
    for _ in range(options.tries):
        # Short enough that the last of them still finds something to do.
        outcome = attempt(cut, draws.uniform(2, 12 + whole / 8), getattr(signal, f"SIG{options.signal}"), options.to)
        if outcome is None:
            break
        if options.truncate:
            outcome["truncated"] = truncate_newest(cut)
        tries.append(outcome)
        print(json.dumps(outcome), flush=True)
    code = start(cut).wait()
    equal = code == 0 and weights(cut) == weights(straight)
    report = {
        "command": f"python benchmarks/interrupt.py {' '.join(sys.argv[1:])}".strip(),
        "uninterrupted_seconds": round(whole, 1),
        "tries": tries,
        "last_start": {"code": code, "weights": len(weights(cut)), "equal": equal},
    }
    print(json.dumps(report["last_start"]))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not equal:
        raise SystemExit("the interrupted copy did not reach the weights of the other")


if __name__ == "__main__":
    main()
