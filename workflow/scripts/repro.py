"""What `make repro` does: DVC says what is out of date, Snakemake makes it on all cores, DVC takes it over.

Arguments go to Snakemake. Snakemake compares with what it did last and goes by the times of files; DVC compares
contents with dvc.lock. Where both engines are used in turn only the second knows what lies there now, so:

1. what DVC has in its cache for today's parameters, code and inputs is restored from there;
2. Snakemake is told that everything DVC holds for done is done, and made to repeat what DVC holds for out of date;
3. DVC records what was made, and has the last word: it runs any stage that is still missing.

Locks that a killed run has left are removed first, if nobody holds them: a start that ends early never blocks the next.
Data sets lie outside the project, where no engine looks: if files of theirs have changed, the stage `data` is repeated,
and what depends on it follows where it found another content.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import networkx as nx
from dvc.exceptions import ConfirmRemoveError, DvcException
from dvc.repo import Repo
from dvc.stage import Stage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.utils import serialize

from oneshot_vos.errors import UserError
from oneshot_vos.linked import refuse_links
from oneshot_vos.params import Params, load_params
from oneshot_vos.stages.data import files_changed

# Lies there while steps 2 and 3 are under way, so that a start after an interruption goes on.
BEGAN = Path(".dvc/tmp/repro-began")
PLUGINS = Path(__file__).resolve().parent.parent / "plugins"  # where Snakemake finds its logger
FREE = ("{}", '{"read": {}, "write": {}}', '{"read": {}}', '{"write": {}}')  # what DVC writes when nobody works
PATIENCE = 8.0  # seconds that an engine and its jobs have to end


def main(options: list[str]) -> None:
    """Bring the project in the current folder up to date; exits with the code of the first engine that fails."""
    params = load_params(Path("params.yaml"))  # every problem in it is named before anything is asked of an engine
    refuse_links(params.profile_name)
    clear_locks()
    put_damage_aside()
    look_at_sets(params)
    since = interrupted_start() or time.time()
    stale, done = take_stock()
    BEGAN.write_text(json.dumps({"since": since, "lock": lock_checksum()}), encoding="utf-8")
    again = [out for out in stale if youngest(Path(out)) < since or is_emptied(Path(out))]
    if again and done:
        run("snakemake", *done, "--touch", "--cores", "1", "--quiet", "rules", "progress", "reason", "host")
    if stale:
        run("snakemake", *logger(options), *options, *(["--forcerun", *again] if again else []))
        run("dvc", "commit", "--force", "--no-relink")  # a new link would be a new time
    BEGAN.unlink()
    if stale and take_stock()[0]:
        run("dvc", "repro")  # the last word: it runs any stage that is still missing
    print(f"everything is up to date; see results/{params.profile_name}/tables/summary.md")


def logger(options: list[str]) -> list[str]:
    """A line per job instead of Snakemake's forty, unless its own output is asked for or shaped."""
    own = ("-n", "--dry-run", "--dryrun", "-q", "--quiet", "--verbose", "-p", "--printshellcmds", "--logger")
    return [] if any(option.partition("=")[0] in own for option in options) else ["--logger=lines"]


def look_at_sets(params: Params) -> None:
    """Repeat the stage `data` if files of its sets have changed since it last looked at them."""
    report = Path(f"data/{params.profile_name}/sets/report.json")
    if report.is_file() and files_changed(params.profile.data, report):
        print("files of the data sets have changed since `data` looked at them; it does so again")
        run("dvc", "repro", "--force", "--single-item", "data")


def clear_locks() -> None:
    """Remove what killed engines have left locked; raise `UserError` if one may still be at work here.

    DVC's list of who works on what may be cut to nothing, or name a process whose number another one has by now.
    """
    for engine, locks in (
        ("snakemake", sorted(Path(".snakemake/locks").glob("*.lock"))),
        ("dvc", [path for path in [Path(".dvc/tmp/rwlock")] if path.exists() and path.read_text("utf-8") not in FREE]),
    ):
        if locks and at_work(engine):
            raise UserError(
                f"{locks[0].parent}: another {engine} is at work in this folder; expected none. Wait for it, or end "
                "it, then rerun to resume"
            )
        for lock in locks:
            lock.unlink()
        if locks:
            print(f"removed the locks of a {engine} run that was killed")


def put_damage_aside() -> None:
    """Take a dvc.lock away that a power cut has left without what it records: the cache knows what was made."""
    lock = Path("dvc.lock")
    if lock.is_file() and b"schema:" not in lock.read_bytes():
        lock.replace("dvc.lock.damaged")
        print("dvc.lock was damaged, and is dvc.lock.damaged now; what DVC's cache has is recorded anew")


def at_work(program: str) -> bool:
    """Whether a process of this name works in the current folder; where the system does not tell, it may."""
    processes = [entry for entry in Path("/proc").glob("[0-9]*") if int(entry.name) != os.getpid()]
    if not processes:
        return True
    here, found = Path.cwd(), False
    for entry in processes:
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            named = any(Path(os.fsdecode(word)).name == program for word in words[:3])
            found = found or (named and (entry / "cwd").readlink() == here)
    return found


def interrupted_start() -> float | None:
    """When the start that was interrupted began; None if there was none, or DVC has been at work since then.

    Outputs that are younger and that DVC holds for out of date are what that start has made anew already.
    """
    try:
        began = json.loads(BEGAN.read_text(encoding="utf-8"))
        return float(began["since"]) if began["lock"] == lock_checksum() else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def lock_checksum() -> str:
    """The SHA-256 of dvc.lock, which changes whenever DVC records something."""
    lock = Path("dvc.lock")
    return sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def take_stock() -> tuple[list[str], list[str]]:
    """Restore what the cache has; return the outputs that are out of date, and those that depend on none of these."""
    stale, done, waiting = [], [], set()
    serialize.LOADERS[".yaml"] = parsed_once
    with Repo() as repo, repo.lock:
        graph = repo.index.graph  # from stages to those that they need
        for stage in nx.dfs_postorder_nodes(graph):
            outs = [out.def_path for out in stage.outs]
            late = not waiting.isdisjoint(graph.successors(stage))
            changed = stage.changed() and (late or not restored(stage))
            if changed:
                stale += outs
            if changed or late:
                waiting.add(stage)
            else:
                done += outs
    return stale, done


def parsed_once(path: str, **_: Any) -> Any:
    """What a YAML file holds. DVC would parse the parameters anew for every stage: half of the time that this takes."""
    return deepcopy(_parsed(str(path), Path(path).stat().st_mtime_ns))


@cache
def _parsed(path: str, changed: int) -> Any:
    return serialize.load_yaml(path)


def restored(stage: Stage) -> bool:
    """Put the outputs that a stage had with the same command, parameters and inputs back, if they are in the cache."""
    cache = stage.repo.stage_cache
    try:
        try:
            cache.restore(stage)
        except ConfirmRemoveError:  # what lies there was never recorded, and is out of date
            stage.remove_outs()
            cache.restore(stage)
    except RunCacheNotFoundError:
        return False
    stage.save()
    stage.commit()
    stage.dump(update_pipeline=False)
    print(f"{stage.addressing}: restored from DVC's cache")
    return True


def youngest(path: Path) -> float:
    """When the file, or anything in the folder, was last changed; 0 if it is not there."""
    return max((file.stat().st_mtime for file in (path, *path.rglob("*")) if file.exists()), default=0.0)


def is_emptied(path: Path) -> bool:
    """Whether a file of an output holds nothing, as a power cut may leave it; Snakemake's own marks never do."""
    files = (file for file in (path, *path.rglob("*")) if file.is_file() and file.name != ".snakemake_timestamp")
    return any(file.stat().st_size == 0 for file in files)


def run(*command: str) -> None:
    """Run an engine; its messages are the user's, and so is its exit code.

    The engine and its jobs are a process group of their own, so that each of them hears once that it is to end, however
    it was said: to this process or to its whole group. Trainings save their state then. What has not ended after
    `PATIENCE` seconds is killed: nothing is left running.
    """
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if not asked:
            asked.append(number)
            signal_group(engine.pid, number)

    paths = [str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    engine = subprocess.Popen(command, start_new_session=True, env=environment)
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not asked and engine.poll() is None:
            time.sleep(0.1)
        if asked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(PATIENCE)
            signal_group(engine.pid, signal.SIGKILL)
        code = engine.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        print(f"ended by {signal.Signals(asked[0]).name}; rerun to resume", file=sys.stderr)
        sys.exit(code if code > 0 else 128 + asked[0])
    if code != 0:
        sys.exit(code if code > 0 else 128 - code)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to every process of a group that is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (UserError, DvcException) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
