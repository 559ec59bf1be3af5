"""What `make repro` prints: a line per job, what runs, and all of a failure."""

import io
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

BAR = "stcn:  83%|████▎| 60/72 [00:05<00:01, 58.59frame/s, val-0005]"


@pytest.fixture
def plugin(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(repository / "workflow/plugins"))
    import snakemake_logger_plugin_lines

    yield snakemake_logger_plugin_lines
    sys.modules.pop("snakemake_logger_plugin_lines")


@pytest.fixture
def printed(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.fixture
def handler(plugin: Any, printed: io.StringIO) -> Iterator[Any]:
    made = plugin.LogHandler(SimpleNamespace(stdout=False), None)
    yield made
    made.close()


def tell(handler: Any, event: LogEvent | None, created: float = 0.0, level: int = logging.INFO, **facts: Any) -> None:
    message = facts.pop("message", "")
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.__dict__.update(event=event, created=created, **facts)
    handler.handle(record)


def begin(handler: Any, number: int, rule: str, item: str | None, log: Path) -> None:
    wildcards = {"item": item} if item else None
    tell(handler, LogEvent.JOB_INFO, 10.0, jobid=number, rule_name=rule, wildcards=wildcards, log=[str(log)])


def test_a_finished_job_is_one_line_with_what_it_found(handler: Any, printed: io.StringIO, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"warning: x\n{BAR}\nstcn-full: val J&F 88.4, J 85.9, F 91.0\n\r{BAR}")
    tell(handler, LogEvent.RUN_INFO, stats={"train": 11, "all": 1, "total": 12})
    begin(handler, 3, "evaluate", "stcn-full", tmp_path / "a.log")
    tell(handler, LogEvent.SHELLCMD, shellcmd="oneshot-vos …")
    tell(handler, LogEvent.JOB_FINISHED, 82.0, job_id=3)
    begin(handler, 4, "figures", None, tmp_path / "none.log")
    tell(handler, LogEvent.JOB_FINISHED, 13.0, job_id=4)
    begin(handler, 0, "all", None, tmp_path / "none.log")
    tell(handler, LogEvent.JOB_FINISHED, 13.0, job_id=0)
    tell(handler, LogEvent.PROGRESS, done=2, total=12)
    assert printed.getvalue().splitlines() == [
        "11 jobs to do",
        "[ 1/11] evaluate stcn-full: val J&F 88.4, J 85.9, F 91.0 (1:12)",
        "[ 2/11] figures (0:03)",
    ]


def test_all_of_a_failure_is_shown_and_warnings_too(handler: Any, printed: io.StringIO, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(300)]
    log = tmp_path / "a.log"
    log.write_text("\n".join([*lines, f"{BAR}\r{BAR.replace('83%', '90%')}", "error: no room"]) + "\n")
    begin(handler, 3, "train", "stcn-full", log)
    tell(
        handler,
        LogEvent.JOB_ERROR,
        15.0,
        logging.ERROR,
        jobid=3,
        rule_name="train",
        shellcmd="oneshot-vos train",
        log=[str(log)],
    )
    tell(handler, None, message="Select jobs to execute...")
    tell(handler, None, level=logging.WARNING, message="disk is slow")
    tell(handler, LogEvent.ERROR, level=logging.ERROR, message="WorkflowError: at least one job did not complete")
    text = printed.getvalue().splitlines()
    assert text[:3] == ["error: train stcn-full has failed after 0:05", "  command: oneshot-vos train", f"  {log}:"]
    assert text[3:303] == [f"    {line}" for line in lines]
    assert "90%" in text[303]
    assert "83%" not in text[303]
    assert text[304:] == ["    error: no room", "disk is slow", "WorkflowError: at least one job did not complete"]


def test_of_a_log_without_end_the_end_is_shown(plugin: Any, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(str(number) for number in range(2000)))
    shown = plugin.lines_of(tmp_path / "a.log")
    assert (shown[0], shown[1], shown[-1], len(shown)) == ("… 1500 lines before", "1500", "1999", 501)
    assert plugin.lines_of(tmp_path / "none.log") == ["(no such file)"]


def test_what_runs_is_told_with_the_time_left(plugin: Any, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    job = plugin.Job("train", "stcn-full", log, 100.0)
    assert plugin.progress_of(job, 165.0) == "1:05"
    log.write_text("computing in float32\n")
    assert plugin.progress_of(job, 165.0) == "1:05"
    log.write_text("stcn-full: iteration 50 of 600, loss 0.187, 30.2 images/s, 0 % waiting for data, 0:02:10 left\n")
    assert plugin.progress_of(job, 165.0).startswith("iteration 50 of 600, loss 0.187")
    log.write_text(f"{BAR}\r{BAR}")
    assert plugin.progress_of(job, 165.0) == "83 %, 00:01 left"


def test_running_jobs_are_repeated(
    plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugin, "EVERY_IN_A_FILE", 0.02)
    handler, printed = plugin.LogHandler(SimpleNamespace(stdout=False), None), ""
    begin(handler, 1, "train", "stcn-full", tmp_path / "a.log")
    begin(handler, 2, "infer", "xmem-full", tmp_path / "b.log")
    deadline = time.monotonic() + 30
    while "; infer xmem-full (" not in printed and time.monotonic() < deadline:
        time.sleep(0.01)
        printed += capsys.readouterr().err
    handler.close()
    assert "\nrunning: train stcn-full (" in f"\n{printed}"
    assert "; infer xmem-full (" in printed


@pytest.mark.parametrize(
    ("options", "own"),
    [(["--cores", "2"], False), (["-n"], True), (["--cores", "1", "--quiet", "rules"], True), (["--logger=x"], True)],
)
def test_snakemake_keeps_its_own_output_where_that_is_asked_for(
    repository: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], own: bool
) -> None:
    monkeypatch.syspath_prepend(str(repository / "workflow/scripts"))
    import repro

    assert repro.logger(options) == ([] if own else ["--logger=lines"])
