"""A logger of Snakemake for people: a line per finished job with its outcome, and what runs now.

What a stage found is the last line of its log, and so is how far it is. Of a job that fails the log is shown.
"""

import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from logging import INFO, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

EVERY_ON_A_TERMINAL, EVERY_IN_A_FILE = 1.0, 60.0  # seconds between two words on what runs
_BAR = re.compile(r"(\d+)%\|.*?\[(\S+?)<(\S+?),")  # of tqdm: percent, time passed, time left
MOST_LINES = 500  # of a failed job's log; a training of days writes ten thousand
_TAIL = 8192  # bytes in which the last line of a log is looked for


@dataclass(frozen=True)
class Job:
    """What is known of a job that has begun."""

    rule: str
    item: str
    log: Path | None
    began: float

    def __str__(self) -> str:
        return f"{self.rule} {self.item}".strip()


class LogHandler(LogHandlerBase):
    """Writes to standard error; the file of Snakemake's own log keeps everything."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin to tell what runs."""
        self._jobs: dict[int, Job] = {}
        self._done = self._total = self._shown = 0
        self._stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self._terminal = self._stream.isatty()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Say no more of what runs."""
        self._ended.set()
        super().close()

    def emit(self, record: LogRecord) -> None:
        """Take an event of Snakemake; those that have no line here, and messages below warnings, are left out."""
        event, facts = getattr(record, "event", None), record.__dict__
        if event == LogEvent.RUN_INFO:
            self._total = facts["stats"].get("total", 0) - facts["stats"].get("all", 0)  # `all` makes nothing
            self._print(f"{self._total} job{'s' * (self._total != 1)} to do")
        elif event == LogEvent.JOB_INFO:
            log = next(iter(facts["log"]), None)
            item = (facts["wildcards"] or {}).get("item", "")
            self._jobs[facts["jobid"]] = Job(facts["rule_name"], item, Path(log) if log else None, record.created)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(self._jobs.pop(facts["job_id"], None), record.created)
        elif event == LogEvent.JOB_ERROR:
            self._fail(facts, self._jobs.pop(facts["jobid"], None), record.created)
        elif record.levelno > INFO:
            self._print(str(record.msg))

    def _finish(self, job: Job | None, now: float) -> None:
        if job is None or job.rule == "all":
            return
        self._done += 1
        place = f"[{self._done:>{len(str(self._total))}}/{self._total}]"
        outcome = outcome_of(job)
        self._print(f"{place} {job}{': ' if outcome else ''}{outcome} ({clock(now - job.began)})")

    def _fail(self, facts: Mapping[str, Any], job: Job | None, now: float) -> None:
        name, after = (str(job), f" after {clock(now - job.began)}") if job else (facts["rule_name"], "")
        lines = [f"error: {name} has failed{after}"]
        if facts["shellcmd"]:
            lines.append(f"  command: {facts['shellcmd']}")
        for log in facts["log"]:
            lines += [f"  {log}:", *(f"    {line}" for line in lines_of(Path(log)))]
        self._print("\n".join(lines))

    def _watch(self) -> None:
        """Say again and again what runs."""
        while not self._ended.wait(EVERY_ON_A_TERMINAL if self._terminal else EVERY_IN_A_FILE):
            jobs = [job for job in list(self._jobs.values()) if job.rule != "all"]
            if jobs:
                self._show("running: " + "; ".join(f"{job} ({progress_of(job, time.time())})" for job in jobs))

    def _show(self, text: str) -> None:
        if not self._terminal:
            self._print(text)
            return
        with self.lock:  # type: ignore[union-attr]
            self._stream.write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")
            self._stream.flush()
            self._shown = len(text)

    def _print(self, text: str) -> None:
        with self.lock:  # type: ignore[union-attr]
            clear = "\r\033[K" if self._shown else ""
            self._stream.write(f"{clear}{text}\n")
            self._stream.flush()
            self._shown = 0


def progress_of(job: Job, now: float) -> str:
    """How far a job is, by the last line of its log; how long it runs where that says nothing."""
    last = (last_lines(job.log) or [""])[-1]
    bar = _BAR.search(last)
    if bar:
        return f"{bar[1]} %, {bar[3]} left"
    return without_name(last, job)[:80] if " left" in last else clock(now - job.began)


def outcome_of(job: Job) -> str:
    """What a finished job says last."""
    words = [line for line in last_lines(job.log) if not _BAR.search(line)]
    return without_name(words[-1], job) if words else ""


def without_name(line: str, job: Job) -> str:
    """The line without the name of the job at its start."""
    for name in (f"{job.rule}-{job.item}: ", f"{job.item}: "):
        line = line.removeprefix(name)
    return line


def last_lines(log: Path | None) -> list[str]:
    """The last lines of a log, of bars each state."""
    if log is None or not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        text = stream.read().decode("utf-8", "replace")
    return [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]


def lines_of(log: Path) -> list[str]:
    """All of a log, of bars the last state; of a very long one the end."""
    if not log.is_file():
        return ["(no such file)"]
    text = log.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")  # a carriage return stays one
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")]
    left_out = len(lines) - MOST_LINES
    return lines if left_out <= 0 else [f"… {left_out} lines before", *lines[left_out:]]


def clock(seconds: float) -> str:
    """`0:07`, `2:05:09`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
