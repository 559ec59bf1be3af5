"""Kill stages at random moments, fill their disk, and give them much: what was lost, and what they said.

    python benchmarks/attack.py [kill] [truncate] [disk] [scale] [refuse] [--tries 10]
                                [--stages train fetch …] [--frames 10000]

Works in folders below `--work`, with the profile `smoke` and one run. Every stage is run once to its end, and then

    kill      `--tries` times until it is killed (SIGKILL to its group) at a random moment, and once more to its end
    truncate  the same, with the file that it wrote last cut to nothing before it is run again
    disk      on a file system that is full before it has finished, then again with room (needs the right to mount)

Its files must be those of the run that nobody interrupted, byte by byte but for times. `scale` and `refuse` are in
attack_scale.py; `make repro` as a whole is killed by interrupt.py. Prints a table (test, tries, outcome) and enters it
into results/benchmarks/attack.json; the command fails if anything did not hold.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

import torch  # noqa: E402  once, before the processes are split off
from stages import Pipeline  # noqa: E402
from tests.fetch.loopback import VIDEOS, served, small_source, zipped  # noqa: E402
from tests.parameters import read_document, write_document  # noqa: E402

from oneshot_vos.cli import app  # noqa: E402
from oneshot_vos.errors import UserError  # noqa: E402
from oneshot_vos.registry import Registry  # noqa: E402
from oneshot_vos.stages import fetch, infer, pretrain, segment, train  # noqa: E402, F401

RUN, NETWORK, VIDEO = "stcn-two_step-static", "stcn", "val-0000"
ITEMS = {"data": "", "labels": "first", "init": NETWORK, "pretrain": NETWORK, "train": RUN, "infer": RUN}
# Files that hold times, or are made of files that do.
UNEQUAL = ("run.json", "segment.json", "plots", "overlay.mp4", "fetch.lock.json")
RECORD = ROOT / "results/benchmarks/attack.json"
Work = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a process ended. code: -9 if it was killed; peak: its largest memory in MB; text: what it printed."""

    code: int
    seconds: float
    peak: float
    text: str


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    test: str
    tries: int
    outcome: str
    held: bool


@dataclass(frozen=True)
class Stage:
    """A stage in a project's folder, and where its files lie there."""

    name: str
    work: Work
    outs: tuple[str, ...]


def run(work: Work, folder: Path, kill_after: float | None = None) -> Ended:
    """Do `work` in `folder` in a process of its own, which has loaded everything already."""
    log = folder / "attack.log"
    log.write_bytes(b"")
    sys.stdout.flush()
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        _child(work, folder, log)
    if kill_after is not None:
        time.sleep(kill_after)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)  # before it had a group of its own
    _, status, usage = os.wait4(pid, 0)
    text = log.read_text(encoding="utf-8", errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss / 1024, text)


def _child(work: Work, folder: Path, log: Path) -> None:
    code: Any = 1
    try:
        os.setsid()
        os.chdir(folder)
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except BaseException:  # noqa: BLE001 a traceback is what is looked for
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def project(folder: Path) -> Path:
    """Parameters with the profile `smoke` and one run, and what their pipeline is declared in."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    document = read_document(ROOT)
    document["profiles"] = {"smoke": document["profiles"]["smoke"]}
    document |= {"profile": "smoke", "networks": [NETWORK], "table1_strategy": {NETWORK: "two_step"}}
    document["runs"] = {RUN: document["runs"][RUN]}
    for part in ("pretrain", "train"):  # long enough to be killed within
        document["profiles"]["smoke"][part]["all"] |= {"iterations": 24, "checkpoint_every": 2}
    write_document(folder / "params.yaml", document)
    shutil.copy2(ROOT / "dvc.yaml", folder)
    return folder


@contextmanager
def all_stages(folder: Path) -> Iterator[list[Stage]]:
    """The stages in the order in which they need each other; `fetch` has a server here for as long as this lasts."""
    declared = {stage.name: stage for stage in Pipeline(folder).stages}
    found = []
    for name, item in ITEMS.items():
        stage = declared[name]
        words = shlex.split(stage.command(item))[1:]
        found.append(Stage(name, partial(app, words), tuple(stage.outs(item))))
    tree = Path("data/smoke/sets/generated")
    words = ["segment", str(tree / "JPEGImages/480p" / VIDEO), "--out", "segmented", "--mask"]
    words += [str(tree / "Annotations/480p" / VIDEO / "00000.png"), "--weights", found[4].outs[0], "--no-overlay"]
    found.append(Stage("segment", partial(app, words), ("segmented",)))
    with served(zipped(VIDEOS)) as site:
        sources = Registry("data set", {"small": small_source(site.url)})
        found.append(Stage("fetch", lambda: fetch.run(["small"], Path("raw"), {}, sources=sources), ("raw",)))
        yield found


def contents(folder: Path, outs: tuple[str, ...]) -> dict[str, str]:
    """Checksums of the files of a stage."""
    files = [folder / out for out in outs if (folder / out).is_file()]
    files += [file for out in outs for file in (folder / out).rglob("*") if file.is_file()]
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if not set(file.relative_to(folder).parts) & set(UNEQUAL) and not file.name.endswith(".lock")
    }


def forget(folder: Path, stage: Stage) -> None:
    """Remove what a stage has made, whole or in part."""
    for out in (*stage.outs, "state"):
        path = folder / out
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def kill(folder: Path, stage: Stage, straight: Ended, tries: int, draws: random.Random, *, truncate: bool) -> Row:
    """Kill a stage `tries` times, each time followed by a run to the end."""
    wanted = contents(folder, stage.outs)
    killed, cut, wrong = 0, 0, []
    for _ in range(tries):
        forget(folder, stage)
        killed += run(stage.work, folder, draws.uniform(0, straight.seconds)).code == -signal.SIGKILL
        places = [folder / place for place in ("state", *stage.outs)]
        written = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
        if stage.name == "fetch":  # a set is synced to the disk as a whole, before it is moved to its place
            written = [file for file in written if any(part.startswith(".") for part in file.relative_to(folder).parts)]
        if truncate and any(file.stat().st_size for file in written):
            max(written, key=lambda file: file.stat().st_mtime_ns).write_bytes(b"")
            cut += 1
        after = run(stage.work, folder)
        if after.code or contents(folder, stage.outs) != wanted:
            wrong.append(f"code {after.code}: {last_line(after.text)}")
    title = f"kill -9 {stage.name}" + (", its newest file cut to 0 bytes" if truncate else "")
    outcome = f"{killed} killed at work" + (f", {cut} with a file to cut" if truncate else "")
    outcome += f"; {len(wrong)} ended otherwise: {wrong[0]}" if wrong else "; all ended with the same bytes"
    return Row(title, tries, outcome, not wrong)


def fill_disk(folder: Path, stage: Stage, disk: Path) -> Row | None:
    """Run a stage with half the room that it needs, then with enough. None: nothing may be mounted here."""
    wanted = contents(folder, stage.outs)
    sizes = [
        file.stat().st_size
        for out in stage.outs
        for file in [folder / out, *(folder / out).rglob("*")]
        if file.is_file()
    ]
    forget(folder, stage)
    disk.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "attack", disk], check=False).returncode:
        return None
    try:
        there = disk / "project"
        shutil.copytree(folder, there, symlinks=True)
        usage = os.statvfs(disk)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        subprocess.run(["mount", "-o", f"remount,size={used + max(sum(sizes) // 2, 8192)}", disk], check=True)
        full = run(stage.work, there)
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        after = run(stage.work, there)
        equal = contents(there, stage.outs) == wanted
    finally:
        subprocess.run(["umount", disk], check=True)
    told = full.code == 2 and "Traceback" not in full.text and ("space" in full.text or "disk" in full.text)
    shown = re.split(r"[.;] ", last_line(full.text).replace(f"{disk}/", ""))[0]
    outcome = f"code {full.code}, “{shown}”; with room: {'the same bytes' if equal and not after.code else 'otherwise'}"
    return Row(f"disk full in {stage.name}", 1, outcome, told and equal and not after.code)


def last_line(text: str) -> str:
    """What a process said last, without the bars of its progress."""
    lines = [line.rpartition("\r")[2].strip() for line in text.splitlines()]
    said = [line for line in lines if line.startswith("error: ")] or [line for line in lines if line] or [""]
    return said[-1][:300]


def attack_stages(options: argparse.Namespace) -> Iterator[Row]:
    """Everything that is done to each stage by itself."""
    folder = project((options.work / "project").resolve())
    draws = random.Random(options.seed)
    with all_stages(folder) as found:
        for stage in found:
            straight = run(stage.work, folder)
            if straight.code:
                raise SystemExit(f"{stage.name} failed by itself: {straight.text[-2000:]}")
            if stage.name not in (options.stages or [each.name for each in found]):
                continue
            if "kill" in options.parts:
                yield kill(folder, stage, straight, options.tries, draws, truncate=False)
            if "truncate" in options.parts:
                yield kill(folder, stage, straight, options.tries, draws, truncate=True)
            if "disk" in options.parts:
                row = fill_disk(folder, stage, (options.work / "disk").resolve())
                yield row or Row(f"disk full in {stage.name}", 0, "not tried: nothing may be mounted here", held=True)
                forget(folder, stage)
                run(stage.work, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["kill", "truncate", "disk", "scale", "refuse"])
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--stages", nargs="*", help="only these")
    parser.add_argument("--frames", type=int, default=10_000, help="of the video that `scale` segments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/attack"))
    parser.add_argument("--out", type=Path, default=RECORD)
    options = parser.parse_args()

    from attack_scale import refusals, scale

    torch.set_num_threads(1)
    known = json.loads(options.out.read_text(encoding="utf-8"))["table"] if options.out.exists() else []
    table = {row["test"]: row for row in known}
    print("| test | tries | outcome |\n| --- | --- | --- |")
    failed = False
    staged = {"kill", "truncate", "disk"} & set(options.parts)
    for rows in (
        attack_stages(options) if staged else (),
        scale(options.work, options.frames) if "scale" in options.parts else (),
        refusals(options.work) if "refuse" in options.parts else (),
    ):
        for row in rows:
            print(f"| {row.test} | {row.tries} | {row.outcome}{'' if row.held else ' **did not hold**'} |", flush=True)
            failed |= not row.held
            table[row.test] = vars(row)
            options.out.write_text(
                json.dumps({"table": list(table.values())}, indent=2, ensure_ascii=False) + "\n", "utf-8"
            )
    if failed:
        raise SystemExit("something did not hold")


if __name__ == "__main__":
    main()
