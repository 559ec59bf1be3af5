"""`make repro` when things go wrong; what it builds is tested with the profile `smoke`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Stands for Snakemake: told to stop, it needs a moment to put things in order.
ENGINE = """
import signal, sys, time
from pathlib import Path

def stop(number, frame):
    time.sleep(0.6)
    Path("in order").touch()
    sys.exit(7)

signal.signal(signal.{signal}, stop)
Path("started").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(("name", "whole_group"), [("SIGINT", True), ("SIGTERM", False)])
def test_an_interrupted_engine_puts_its_things_in_order(tmp_path: Path, repository: Path, name, whole_group) -> None:
    engine = ENGINE.format(signal=name)
    program = f"import sys, repro; repro.run(sys.executable, '-c', {engine!r})"
    environment = {**os.environ, "PYTHONPATH": str(repository / "workflow/scripts")}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "started").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        number = getattr(signal, name)
        os.killpg(process.pid, number) if whole_group else os.kill(process.pid, number)
        assert process.wait(timeout=60) == 7
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "in order").exists()


@pytest.mark.parametrize("content", ["profile: [", "profile: mini\n"], ids=["no YAML", "keys missing"])
def test_bad_parameters_are_a_sentence(make_project: Callable[[str], Any], content) -> None:
    project = make_project("bad")
    (project.root / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"exit code 2\s+error: params\.yaml") as caught:
        project.run("python", "workflow/scripts/repro.py", "--cores", "1")
    assert "Traceback" not in str(caught.value)
