"""`make repro` when things go wrong; what it builds is tested with the profile `smoke`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.params import load_params
from oneshot_vos.sets.generated import generate
from oneshot_vos.videos.masks import read_mask, write_mask

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


@pytest.mark.parametrize(("name", "whole_group"), [("SIGINT", True), ("SIGTERM", False), ("SIGTERM", True)])
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


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(repository / "workflow/scripts"))
    monkeypatch.chdir(tmp_path)
    import repro

    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/x\n", encoding="utf-8")
    return repro


@pytest.mark.parametrize("content", ["", '{"write": {"/x": {"pid": 1, "cmd": "dvc repro"}}}'])
def test_locks_of_a_killed_run_are_removed(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """Also those of DVC: a list that a power cut left empty, or whose process was followed by another of its number."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text(content, encoding="utf-8")
    script.clear_locks()
    assert not list((tmp_path / ".snakemake/locks").iterdir())
    assert not (tmp_path / ".dvc/tmp/rwlock").exists()
    said = capsys.readouterr().out
    assert "of a snakemake run that was killed" in said
    assert "of a dvc run that was killed" in said


@pytest.mark.parametrize(("content", "left"), [("", False), ("\0" * 99, False), ("schema: '2.0'\n", True)])
def test_a_record_that_was_cut_to_nothing_is_put_aside(script: Any, tmp_path: Path, content: str, left: bool) -> None:
    (tmp_path / "dvc.lock").write_text(content, encoding="utf-8")
    script.put_damage_aside()
    assert (tmp_path / "dvc.lock").exists() == left
    assert (tmp_path / "dvc.lock.damaged").exists() != left


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks Linux's /proc who works in a folder")
def test_outputs_with_an_emptied_file_are_told_from_whole_ones(script: Any, tmp_path: Path) -> None:
    folder, weights = tmp_path / "out", tmp_path / "out/weights.safetensors"
    folder.mkdir()
    weights.write_bytes(b"whole")
    (folder / ".snakemake_timestamp").touch()
    assert not any(script.is_emptied(path) for path in (folder, weights, tmp_path / "missing"))
    weights.write_bytes(b"")
    assert all(script.is_emptied(path) for path in (folder, weights))


def test_a_run_that_is_at_work_is_named(script: Any, tmp_path: Path) -> None:
    (tmp_path / "snakemake").write_text("import time\nprint(flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    with subprocess.Popen([sys.executable, tmp_path / "snakemake"], cwd=tmp_path, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()  # it is there
            with pytest.raises(UserError, match="another snakemake is at work"):
                script.clear_locks()
        finally:
            other.kill()
    assert list((tmp_path / ".snakemake/locks").iterdir())


def test_what_does_not_end_is_killed_with_its_jobs(tmp_path: Path, repository: Path) -> None:
    job = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    engine = (
        "import signal, subprocess, sys, time; from pathlib import Path;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"job = subprocess.Popen([sys.executable, '-c', {job!r}]);"
        "Path('job').write_text(str(job.pid)); time.sleep(60)"
    )
    program = f"import sys, repro; repro.PATIENCE = 0.5; repro.run(sys.executable, '-c', {engine!r})"
    environment = {**os.environ, "PYTHONPATH": str(repository / "workflow/scripts")}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "job").exists() and (tmp_path / "job").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    pid = int((tmp_path / "job").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("command", ["python workflow/scripts/repro.py --cores 1", "dvc repro init@stcn"])
def test_a_link_in_the_place_of_outputs_is_refused_before_anything_runs(
    make_project: Callable[[str], Any], tmp_path: Path, command: str
) -> None:
    project = make_project("linked")
    project.choose("smoke")
    (tmp_path / "disk").mkdir()
    (project.root / "results").mkdir()
    (project.root / "results/smoke").symlink_to(tmp_path / "disk")
    with pytest.raises(AssertionError, match=r"error: results/smoke: a link to "):
        project.run(*command.split())
    assert not list((tmp_path / "disk").iterdir())


def test_changed_files_of_the_sets_repeat_the_stage_that_looks_at_them(
    make_project: Callable[[str], Any], script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project("outside")
    project.choose("smoke")
    generate(tmp_path / "sets", seed=1, train=3, val=2, static=2, frames=4, size=48)
    project.edit_params("root: data/smoke/sets/generated", f"root: {tmp_path}/sets", "config/profiles/smoke.yaml")
    profile = project.root / "config/profiles/smoke.yaml"
    profile.write_text(
        re.sub(r"generate: \{.*\}", "generate: null", profile.read_text(encoding="utf-8")), encoding="utf-8"
    )
    project.run("dvc", "repro", "labels@first")
    monkeypatch.chdir(project.root)
    params = load_params(Path("params.yaml"))
    script.look_at_sets(params)  # nothing: the test would fail for want of a dvc that runs there
    mask = next((tmp_path / "sets/Annotations/480p/train-0000").iterdir())
    ids = read_mask(mask)
    ids[:4, :4] = 1 - ids[:4, :4]
    write_mask(mask, ids)
    assert json.loads(project.run("dvc", "status", "--json", "labels@first")) == {}
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(script, "run", lambda *command: asked.append(command))
    script.look_at_sets(params)
    assert len(asked) == 1
    project.run(*asked[0])
    assert "labels@first" in json.loads(project.run("dvc", "status", "--json", "labels@first"))
    script.look_at_sets(params)
    assert len(asked) == 1


@pytest.mark.parametrize("content", ["profile: [", "profile: mini\n"], ids=["no YAML", "keys missing"])
def test_bad_parameters_are_a_sentence(make_project: Callable[[str], Any], content) -> None:
    project = make_project("bad")
    (project.root / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"exit code 2\s+error: params\.yaml") as caught:
        project.run("repro", "--cores", "1")
    assert "Traceback" not in str(caught.value)
