"""A study on many cores or one GPU for a short time, by default Tables 3 and 4: stages as processes, no engine.

    python benchmarks/study.py [--cores 16] [--minutes 8] [--only GLOB] [--seeds 0 1 2] [--gpu 0] [--params study.yaml]
        [--vary REGEX] [--first REGEX ...] [--work build/study] [--out DIR] [--resume STATE.tar ...]

Every run of `--params` (those that `--vary` matches once per seed, by default all but extensions), each stage a process
of one thread, at most `--cores` of them at a time: what `--first` matches, what ORDER says, then the longest. With
`--gpu N`, N trainings at a time share the GPU, and so does what segments; without, every job takes a core. Before the
time is up, trainings save a checkpoint and end: SCORING seconds (a quarter of a short time) are for the masks and
scores of finished ones. The same command resumes, and what is done is not repeated.

`--out` gets at most 8 files: status.json, summary.md, takeoff.png, results.tar.gz (scores, tables, curves, probes), and
state-1.tar to state-4.tar (pretrained weights, checkpoints, finished weights, as far as they fit), which `--resume`
takes on another machine.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from seeds import list_seeds

from oneshot_vos.files import write_json
from oneshot_vos.interrupts import stop_requests
from oneshot_vos.params import Params
from oneshot_vos.training.launch import SHARED

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from stages import Pipeline, Stage  # noqa: E402

# Trainings, the most wanted first: what Tables 3 and 4 need of STCN and XMem, their controls, then Cutie.
ORDER = (
    r"(stcn|xmem)$",  # pretraining
    r"(stcn|xmem)-(one|two|t)_step-backbone(-s\d+)?$",
    r"(stcn|xmem)-two_step-static(-s\d+)?$",
    r"(stcn|xmem)-full-(backbone|static)$",
    r"(stcn|xmem)-t_step-static(-s\d+)?$",
    r"cutie$",
    r"cutie-(two|t)_step-backbone$",
    r"cutie-(two_step|full)-static$",
    r"cutie-full-backbone$",
    r"\w+-\w+-backbone-[a-z]+$",  # extensions
)
# Time of an iteration on one thread, beside fully supervised STCN's.
COST = {"stcn": {"one_step": 0.9, "two_step": 1.3}, "xmem": {"full": 1.7, "two_step": 1.6, "t_step": 2.0}}
COST |= {"cutie": {"full": 2.4, "two_step": 2.4, "t_step": 2.6}}
SCORING = 75.0  # seconds at the end in which nothing is trained
PART = 15_500_000  # most bytes of a state-N.tar
PARTS = 4
STOPPED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # exit codes of a process that was asked to end
REPORTS = ("tables", "figures")
COMMAND = (sys.executable, "-c", "from oneshot_vos.cli import app; app()")


@dataclass
class Job:
    """A stage for one item, and how it went."""

    stage: str
    item: str
    command: list[str]
    needs: list[Path]
    outs: list[Path]
    rank: tuple[float, float]  # the lower, the earlier
    takes_gpu: bool  # if there is one
    after: list["Job"] = field(default_factory=list)
    state: str = "waiting"  # then running, done or failed; waiting again if it was stopped
    seconds: float = 0.0
    gpu: bool = False  # whether it has one

    @property
    def name(self) -> str:
        return f"{self.stage}@{self.item}" if self.item else self.stage

    @property
    def trains(self) -> bool:
        return self.stage in ("train", "pretrain")

    @property
    def log(self) -> Path:
        return Path("logs") / f"{self.name}.log"

    @property
    def made(self) -> bool:
        return all(map(Path.exists, self.outs))


def list_jobs(params: Params, first: Sequence[str] = ()) -> list[Job]:
    """A job for every stage and item of the work folder, which is the current one; tables and figures come last.

    first: trainings that these regular expressions match go before those of ORDER.
    """
    return [
        Job(
            stage.name,
            item,
            command_of(stage, item),
            [Path(dep) for dep in stage.declared(item)["deps"] if not dep.startswith("src/")],
            [Path(out) for out in stage.outs(item)],
            rank(params, stage.name, item, (*first, *ORDER)),
            stage.gpus(item) > 0,
        )
        for stage in Pipeline(Path()).stages
        for item in (stage.items if stage.name not in REPORTS else ())
    ]


def command_of(stage: Stage, item: str = "") -> list[str]:
    return [*COMMAND, *shlex.split(stage.command(item))[1:]]


def rank(params: Params, stage: str, item: str, order: Sequence[str]) -> tuple[float, float]:
    """Place in the order, and the longest first; what is no training is short, and others wait for it."""
    if stage not in ("train", "pretrain"):
        return (-1.0, 0.0)
    place = next((number for number, pattern in enumerate(order) if re.match(pattern, item)), len(order))
    if stage == "pretrain":
        return (place, 0.0)
    run = params.runs[item]
    return (place, -COST.get(run.network, {}).get(run.strategy, 1.0) * params.trainings[item].iterations)


def plan(jobs: list[Job], only: str) -> list[Job]:
    """The jobs that scores of the runs `only` still need; each knows those that it waits for."""
    asked = [job for job in jobs if job.stage in ("evaluate", "probe") and fnmatch(job.item, only)]
    asked += [job for job in jobs if job.stage == "baseline"]
    needed: dict[str, Job] = {}
    while asked:
        job = asked.pop()
        if job.name not in needed and not job.made:
            needed[job.name] = job
            job.after = [maker for maker in jobs if any(overlap(*pair) for pair in pairs(job.needs, maker.outs))]
            asked += job.after
    early = [job for job in needed.values() if job.stage in ("data", "labels", "init")]
    for job in needed.values():
        job.after += early if job.trains else []  # so that no training is first because its labels were
    return sorted(needed.values(), key=lambda job: job.rank)


def pairs(needs: list[Path], outs: list[Path]) -> Iterator[tuple[Path, Path]]:
    return ((need, out) for need in needs for out in outs)


def overlap(need: Path, out: Path) -> bool:
    return need.is_relative_to(out) or out.is_relative_to(need)


def finished(job: Job) -> bool:
    """Whether a job is done, now or before this start."""
    return job.state == "done" or (job.state == "waiting" and job.made)


class Crew:
    """The processes of the jobs under way."""

    def __init__(self, cores: int, gpu: int) -> None:
        self._cores, self._gpu = cores, gpu
        self._running: dict[str, tuple[Job, subprocess.Popen[bytes], float]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def start(self, jobs: Iterable[Job]) -> None:
        """Start what is ready, as long as there are places."""
        for job in jobs:
            if len(self._running) >= self._cores:
                return
            if job.state == "waiting" and all(map(finished, job.after)):
                self._start(job)

    def _start(self, job: Job) -> None:
        training = sum(other.gpu and other.trains for other, _, _ in self._running.values())
        job.state, job.gpu = "running", job.takes_gpu and (training if job.trains else 0) < self._gpu
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
        environment |= {SHARED: "1"} if job.gpu else {"CUDA_VISIBLE_DEVICES": ""}
        job.log.parent.mkdir(exist_ok=True)
        with job.log.open("ab") as log:  # a group of its own: Ctrl-C is for this program, which tells the others
            process = subprocess.Popen(job.command, stdout=log, stderr=log, env=environment, process_group=0)
        self._running[job.name] = (job, process, time.monotonic())
        print(f"{clock()} start {job.name}{' on the GPU' if job.gpu else ''}", flush=True)

    def reap(self) -> None:
        """Note what has ended."""
        for name, (job, process, started) in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[name]
            job.seconds += time.monotonic() - started
            job.state = "done" if code == 0 else "waiting" if code in STOPPED else "failed"
            print(f"{clock()} {job.state} {name} after {job.seconds:.0f} s {last_line(job.log)}", flush=True)

    def stop(self, *, trainings_alone: bool) -> None:
        """Ask processes to save and end."""
        for job, process, _ in self._running.values():
            if job.trains or not trainings_alone:
                process.terminate()

    def end(self, seconds: float = 20.0) -> None:
        """Wait for all that is left, and kill what does not end by itself."""
        until = time.monotonic() + seconds
        for _, process, _ in self._running.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.reap()


START = time.monotonic()


def clock() -> str:
    return f"{time.monotonic() - START:6.1f}"


def last_line(log: Path) -> str:
    """The end of a log: how far a training came, or why a job failed."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return (re.split(r"[\r\n]+", text.strip()) or [""])[-1][:300]


def work(jobs: list[Job], crew: Crew, minutes: float) -> None:
    """Do the jobs, the first ones first, until all is done, time is up, or somebody asks to end."""
    deadline = START + 60 * minutes
    last_training = deadline - min(SCORING, 15 * minutes)
    training = True
    with stop_requests() as stop:
        while not stop.requested and time.monotonic() < deadline:
            crew.reap()
            if training and time.monotonic() > last_training:
                training = False
                crew.stop(trainings_alone=True)
            crew.start(job for job in jobs if training or not job.trains)
            if not crew.busy:
                break
            time.sleep(0.1)
        crew.stop(trainings_alone=False)
        crew.end()


def report(stages: dict[str, Stage]) -> None:
    """Tables and figures of what is there."""
    for stage in REPORTS:
        for need in stages[stage].declared()["deps"]:
            if need.startswith("results/"):
                Path(need).mkdir(parents=True, exist_ok=True)
        with (Path("logs") / f"{stage}.log").open("ab") as log:
            code = subprocess.run(command_of(stages[stage]), stdout=log, stderr=log, check=False).returncode
        print(f"{clock()} {stage}: {'done' if code == 0 else 'failed'}", flush=True)


def collect(jobs: list[Job], results: Path, state: Path, out: Path) -> None:
    """Write the files of `--out`."""
    out.mkdir(parents=True, exist_ok=True)
    listed = [{"job": j.name, "state": j.state, "seconds": round(j.seconds), "log": last_line(j.log)} for j in jobs]
    write_json(
        out / "status.json", {"cores": os.cpu_count(), "seconds": round(time.monotonic() - START), "jobs": listed}
    )
    for name in ("summary.md", "takeoff.png"):
        if (results / "tables" / name).exists():
            shutil.copyfile(results / "tables" / name, out / name)
    with tarfile.open(out / "results.tar.gz", "w:gz") as archive:
        for name in ("metrics", "curves", "probe", "tables", "figures"):
            if (results / name).exists():
                archive.add(results / name)
    trainings = [job for job in jobs if job.trains]
    files = sorted(results.glob("init/*/static.safetensors"))
    files += [state / job.item / name for job in trainings for name in ("checkpoint.pt", "made_from.json")]
    files += sorted(results.glob("train/*/weights.safetensors"))
    files += [file for job in trainings for file in sorted((state / job.item).glob("snapshots/*"))]
    parts: list[list[Path]] = [[] for _ in range(PARTS)]
    room, left = [PART] * PARTS, []
    for file in filter(Path.exists, files):
        size = file.stat().st_size + 2048
        place = next((number for number in range(PARTS) if room[number] >= size), None)
        if place is None:
            left.append(str(file))
            continue
        room[place] -= size
        parts[place].append(file)
    for number, part in enumerate(parts, 1):
        if part:
            with tarfile.open(out / f"state-{number}.tar", "w") as archive:
                for file in part:
                    archive.add(file)
    if left:
        print(f"{len(left)} files of the state did not fit: {', '.join(left)}", flush=True)


def prepare(options: argparse.Namespace) -> Params:
    """Make the work folder with the parameter files, enter it, and put back what an earlier collection holds."""
    folder = options.work
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(options.params.resolve().parent / "config", folder / "config", dirs_exist_ok=True)
    for name in ("dvc.yaml", "server_scores.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copyfile(options.params, folder / "params.yaml")
    archives = [file.resolve() for file in options.resume]
    os.chdir(folder)
    for file in archives:
        with tarfile.open(file) as archive:
            archive.extractall(filter="data")
    return list_seeds(Path("params.yaml"), None, options.seeds, options.vary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--gpu", type=int, default=0, help="trainings at a time that share the GPU")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default="*", help="runs, as a pattern of the shell")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--vary", default=r"-(static|backbone)$", help="the runs that get every seed")
    parser.add_argument("--first", nargs="+", default=[], help="regular expressions: what is trained before all else")
    parser.add_argument("--params", type=Path, default=ROOT / "study.yaml")
    parser.add_argument("--work", type=Path, default=ROOT / "build/study")
    parser.add_argument("--out", type=Path, help="default: collected in the work folder")
    parser.add_argument("--resume", type=Path, nargs="+", default=[], help="archives of an earlier --out")
    options = parser.parse_args()
    out = (options.out or options.work / "collected").resolve()

    params = prepare(options)
    profile = params.profile_name
    jobs = plan(list_jobs(params, options.first), options.only)
    print(f"{len(jobs)} jobs, {sum(job.stage == 'train' for job in jobs)} trainings", flush=True)
    work(jobs, Crew(options.cores, options.gpu), options.minutes)
    report({stage.name: stage for stage in Pipeline(Path()).stages})
    collect(jobs, Path("results") / profile, Path("state") / profile, out)
    states = [job.state for job in jobs]
    print(", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "nothing was left to do")
    if "failed" in states:
        sys.exit(1)


if __name__ == "__main__":
    main()
