"""Processes that a training starts for itself: how many, on which cards, and what happens when one dies."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.parameters import read_document, write_document
from tests.training.processes import forkserver
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.training import launch
from oneshot_vos.training.launch import company, count_processes, free_cards

RUN = "stcn-two_step-backbone"


@pytest.mark.parametrize(
    ("wanted", "cards", "clips", "expected"),
    [("auto", 0, 8, 1), ("auto", 2, 8, 2), ("auto", 3, 8, 2), ("auto", 4, 6, 3), (2, 0, 8, 2), (1, 4, 8, 1)],
)
def test_how_many(wanted: Any, cards: int, clips: int, expected: int) -> None:
    assert count_processes(wanted, cards, clips) == expected


def test_more_processes_than_cards_are_refused() -> None:
    with pytest.raises(UserError, match=r"processes is 3, but 2 GPU\(s\) can be seen"):
        count_processes(3, 2, 6)


def test_one_of_several_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with company(2, 8) as here:
        assert here


def hold(cards: list[str], count: int, folder: Path) -> None:
    """Say in a file which cards were got, and keep them until there is a file `end`."""
    os.environ["TMPDIR"] = str(folder)
    with free_cards(cards, count) as own:
        (folder / f"{os.getpid()}.got").write_text(" ".join(own))
        while not (folder / "end").exists():
            time.sleep(0.05)


def got(folder: Path, count: int) -> list[str]:
    """What was got, when so many have got some."""
    limit = time.monotonic() + 60
    while len(files := list(folder.glob("*.got"))) < count or not all(file.read_text() for file in files):
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.05)
    return sorted(file.read_text() for file in files)


def test_two_trainings_never_share_a_card(tmp_path: Path) -> None:
    context = forkserver()
    holders = [context.Process(target=hold, args=(["0", "1", "2"], 1, tmp_path)) for _ in range(3)]
    for process in holders:
        process.start()
    assert got(tmp_path, 3) == ["0", "1", "2"]
    late = context.Process(target=hold, args=(["0", "1", "2"], 2, tmp_path))
    late.start()
    time.sleep(1)
    assert got(tmp_path, 3) == ["0", "1", "2"]  # the fourth waits
    for process in holders[:2]:
        process.kill()  # the system frees the cards of a dead one
    assert len(got(tmp_path, 4)) == 4
    (tmp_path / "end").touch()
    for process in (*holders, late):
        process.join(timeout=60)


def test_a_card_is_shared_if_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(seconds: float) -> None:
        raise AssertionError("waits for a card")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(launch, "visible_cards", lambda: ["0"])
    monkeypatch.setattr(launch.time, "sleep", wait)
    with free_cards(["0"], 1):
        with pytest.raises(AssertionError, match="waits for a card"), company(1, 8):
            pass
        monkeypatch.setenv(launch.SHARED, "1")
        with company(1, 8) as here:
            assert here


# --- trainings in two processes on this machine's cores -----------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The profile `smoke` with one run in two processes, made ready up to its training."""
    folder = tmp_path_factory.mktemp("launch")
    document = read_document(repository)
    smoke = document["profiles"]["smoke"]
    smoke["processes"] = 2
    smoke["training"] |= {"iterations": 24, "checkpoint_every": 1}
    document["runs"] = {RUN: document["runs"][RUN]}
    document |= {"profile": "smoke", "networks": ["stcn"], "table1_strategy": {"stcn": "two_step"}}
    write_document(folder / "params.yaml", document)
    for words in (
        *(["data", "--out", "data/smoke/sets"], ["init", "--network", "stcn", "--out", "backbone.safetensors"]),
        ["labels", "--kind", "first", "--sets", "data/smoke/sets/train", "--out", "labels"],
    ):
        with contextlib.chdir(folder):
            result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    return folder


ONESHOT = [sys.executable, "-c", "from oneshot_vos.cli import app; app()"]
OPTIONS = [
    *("--weights", "backbone.safetensors", "--labels", "labels", "--out", "out.safetensors"),
    *("--snapshots", "snapshots", "--curves", "curves"),
]


def environment() -> dict[str, str]:
    scripts = Path(sys.executable).parent
    return {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}


def start(folder: Path, *command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command, "train", RUN, *OPTIONS],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def copy(prepared: Path, target: Path) -> Path:
    shutil.copytree(prepared, target)
    return target


def ranks(parent: int) -> dict[int, int]:
    """Process number of every rank that a process has started, by rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "status").read_text()
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if re.search(rf"^PPid:\s{parent}$", status, re.MULTILINE):
            values = dict(word.split(b"=", 1) for word in words if b"=" in word)
            if b"RANK" in values:
                found[int(values[b"RANK"])] = int(entry.name)
    return found


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]") -> dict[int, int]:
    """Its ranks, when they have written a checkpoint of their own, after which there is work left."""
    checkpoint = folder / f"state/smoke/{RUN}/checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    limit = time.monotonic() + 600  # on a busy machine; it never comes if something is wrong
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < limit, "no checkpoint"
        time.sleep(0.02)
    return ranks(process.pid)


@pytest.fixture(scope="module")
def unbroken(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = copy(prepared, tmp_path_factory.mktemp("unbroken") / "p")
    process = start(folder, *ONESHOT)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert "starting 2 processes" in said
    return (folder / "out.safetensors").read_bytes()


@pytest.mark.slow
def test_a_training_broken_off_in_every_way_reaches_the_unbroken_weights(
    prepared: Path, tmp_path: Path, repository: Path, unbroken: bytes
) -> None:
    """One training, broken off in four ways and started again after each, the last time by the documented torchrun."""
    folder = copy(prepared, tmp_path / "p")
    process = start(folder, *ONESHOT)
    started = wait_for_checkpoint(folder, process)
    os.kill(started[1], signal.SIGKILL)
    said = ended(process, started, 2)
    assert "process 2 of 2 of this training was ended by SIGKILL" in said
    assert "Rerun to resume" in said
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start(folder, *ONESHOT)
        started = wait_for_checkpoint(folder, process)
        process.send_signal(number)
        assert "Traceback" not in ended(process, started, code)
    process = start(folder, *ONESHOT)
    started = wait_for_checkpoint(folder, process)
    process.kill()  # it can tell nobody
    process.communicate()
    limit = time.monotonic() + 30
    while any(running(pid) for pid in started.values()):
        assert time.monotonic() < limit, "still at work"
        time.sleep(0.1)
    assert not (folder / "out.safetensors").exists()
    process = start(folder, *documented_torchrun(repository))
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert "resuming after iteration" in said
    assert (folder / "out.safetensors").read_bytes() == unbroken


def ended(process: "subprocess.Popen[str]", started: dict[int, int], code: int) -> str:
    """What a training has said that ends with this code and leaves no process behind."""
    said = process.communicate(timeout=60)[0]
    assert process.returncode == code, said
    assert not any(Path(f"/proc/{pid}").exists() for pid in started.values())
    return said


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def documented_torchrun(repository: Path) -> list[str]:
    text = (repository / "docs/pipeline.md").read_text(encoding="utf-8")
    line = re.search(r"^torchrun (.*) RUN --profile paper …$", text, re.MULTILINE)
    assert line is not None
    *options, command, stage = line[1].split()
    assert (command, stage) == ("oneshot-vos", "train")
    with socket.socket() as probe:  # torchrun's own port is the same for everybody
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return ["torchrun", "--master-addr", "127.0.0.1", "--master-port", port, *options, command]
