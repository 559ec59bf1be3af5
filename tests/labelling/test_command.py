"""The command `label`: says where the page is, ends by Ctrl-C, and says what is missing."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oneshot_vos.cli import app


def test_it_serves_until_it_is_interrupted(recordings: Path, weights: Path) -> None:
    arguments = ["label", str(recordings), "--weights", str(weights), "--device", "cpu", "--no-browser"]
    code = "from oneshot_vos.cli import app; app()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/[\w-]{43}/)\n", process.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[1]) as answer:
            assert b"<title>Draw masks</title>" in answer.read()
        os.kill(process.pid, signal.SIGINT)
        said, complaints = process.communicate()
    assert process.returncode == 0
    assert "what was saved is kept" in said
    assert complaints == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere: not found"),
        (["{}", "--weights", "none.safetensors"], "none.safetensors"),
        (["{}", "--weights", "cutie-base-mego"], "did you mean 'cutie-base-mega'"),
        (["{}", "--masks", "m"], "Leave --masks out"),
        (["{}", "--suggested", "{}/videos/film.mp4"], "expected a CSV file with the columns video, frame, why"),
        (["{}", "--device", "abacus"], "--device abacus: not to be used here"),
    ],
)
def test_what_is_wrong_is_said_at_once(recordings: Path, arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(app, ["label", *(text.format(recordings) for text in arguments), "--no-browser"])
    assert result.exit_code == 2
    assert expected in result.stderr


def test_a_port_that_is_taken_is_refused(recordings: Path, weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = ["label", str(recordings), "--weights", str(weights), "--no-browser", "--port", port]
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"--port {port}: cannot be used" in result.stderr


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_package_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, recordings: Path, package: str
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package or name.startswith("oneshot_vos.labelling"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(app, ["label", str(recordings)])
    assert result.exit_code == 2
    assert f"needs the package {package}" in result.stderr
    assert "pip install 'oneshot-vos[label]'" in result.stderr
