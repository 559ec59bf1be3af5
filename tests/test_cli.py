"""The command line: each command hands its arguments to its stage, and every error ends in a message."""

import errno
import gc
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import oneshot_vos.stages
from oneshot_vos.cli import GROUPS, app
from oneshot_vos.commands import without_collecting
from oneshot_vos.errors import UserError
from oneshot_vos.params import Params

RUN = "stcn-two_step-static"
# stage: arguments of the command, and what the stage gets after the parameters
STAGES: dict[str, tuple[list[str], list[object]]] = {
    "data": (["--out", "o"], [Path("o")]),
    "labels": (["--kind", "first", "--sets", "s", "--out", "o"], ["first", Path("s"), Path("o")]),
    "init": (["--network", "stcn", "--out", "o"], ["stcn", Path("o")]),
    "pretrain": (
        ["--network", "stcn", "--weights", "w", "--sets", "s", "--out", "o", "--curves", "c"],
        ["stcn", Path("w"), Path("s"), Path("o"), Path("c")],
    ),
    "train": (
        [RUN, "--weights", "w", "--labels", "l", "--out", "o", "--snapshots", "n", "--curves", "c"],
        [RUN, Path("w"), Path("l"), Path("o"), Path("n"), Path("c")],
    ),
    "infer": (
        [RUN, "--weights", "w.pth", "--snapshots", "n", "--sets", "s", "--out", "o"],
        [RUN, Path("w.pth"), Path("n"), Path("s"), Path("o")],
    ),
    "probe": (
        [RUN, "--weights", "w", "--snapshots", "n", "--sets", "s", "--out", "o"],
        [RUN, Path("w"), Path("n"), Path("s"), Path("o")],
    ),
    "baseline": (["--sets", "s", "--masks", "k", "--metrics", "m"], [Path("s"), Path("k"), Path("m")]),
    "evaluate": (
        [RUN, "--masks", "k", "--sets", "s", "--out", "o", "--summary", "m"],
        [RUN, Path("k"), Path("s"), Path("o"), Path("m")],
    ),
    "tables": (
        ["--metrics", "m", "--labels", "l", "--curves", "c", "--probes", "p", "--server-scores", "y", "--out", "o"],
        [Path("m"), Path("l"), Path("c"), Path("p"), Path("y"), Path("o")],
    ),
    "figures": (["--masks", "k", "--sets", "s", "--out", "o"], [Path("k"), Path("s"), Path("o")]),
    "report": (
        [
            *("--metrics", "m", "--masks", "k", "--labels", "l", "--curves", "c"),
            *("--probes", "p", "--sets", "s", "--server-scores", "y", "--out", "o"),
        ],
        [Path(letter) for letter in "mklcpsyo"],
    ),
}


@pytest.fixture(autouse=True)
def _in_repository(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)


def replace_stage(monkeypatch: pytest.MonkeyPatch, name: str, run: Callable[..., None]) -> None:
    module = ModuleType(f"oneshot_vos.stages.{name}")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(oneshot_vos.stages, name, module, raising=False)


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_hands_its_arguments_to_its_stage(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    calls: list[tuple[Any, ...]] = []
    replace_stage(monkeypatch, stage, lambda *arguments: calls.append(arguments))
    arguments, expected = STAGES[stage]
    result = CliRunner().invoke(app, [stage, "--profile", "smoke", *arguments])
    assert result.exit_code == 0, result.output
    (call,) = calls
    assert isinstance(call[0], Params)
    assert call[0].profile_name == "smoke"
    assert list(call[1:]) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_takes_what_its_command_hands_over(stage: str) -> None:
    module = import_module(f"oneshot_vos.stages.{stage}")
    inspect.signature(module.run).bind(object(), *STAGES[stage][1])


def test_an_error_of_the_user_is_a_message_and_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise UserError("frame 7 is missing; put it back")

    replace_stage(monkeypatch, "data", fail)
    result = CliRunner().invoke(app, ["data", "--out", "o"])
    assert result.exit_code == 2
    assert result.stderr == "error: frame 7 is missing; put it back\n"
    assert result.stdout == ""


def test_an_interrupt_ends_with_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    replace_stage(monkeypatch, "data", interrupt)
    assert CliRunner().invoke(app, ["data", "--out", "o"]).exit_code == 130


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["init", "--network", "sctn", "--out", "o"], "unknown network 'sctn': did you mean 'stcn'?"),
        (["infer", "x", "--weights", "w", "--snapshots", "n", "--sets", "s", "--out", "o"], "unknown run 'x'"),
        (["data", "--profile", "papr", "--out", "o"], "unknown 'papr'; did you mean 'paper'?"),
        (["data", "--params", "none.yaml", "--out", "o"], "none.yaml: cannot be read"),
    ],
)
def test_wrong_names_are_refused_before_any_work(arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_help_names_every_stage_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom oneshot_vos.cli import app\n"
        "print(CliRunner().invoke(app, ['--help']).output)\nsys.exit(bool({'torch', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(stage in done.stdout for stage in STAGES)


def test_infer_starts_without_what_it_does_not_use(tmp_path: Path, repository: Path) -> None:
    """Half of what a start took was once torchvision, which brings `torch._dynamo`."""
    unused = {
        "torchvision",
        "torch._dynamo",
        "timm",
        "pandas",
        "cv2",
        "av",
        "oneshot_vos.fetch",
        "oneshot_vos.training",
    }
    code = (
        "import atexit, sys\nfrom oneshot_vos.cli import app\n"
        f"atexit.register(lambda: print(sorted({unused} & set(sys.modules)), 'torch' in sys.modules))\napp()"
    )
    (tmp_path / "weights.safetensors").touch()
    words = ["infer", RUN, "--params", str(repository / "params.yaml"), "--weights", "weights.safetensors"]
    words += ["--snapshots", "none", "--sets", "sets", "--out", "masks"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert "sets/" in done.stderr, "it was to get as far as the index of the first set"
    assert done.stdout == "[] True\n"


def test_nothing_is_collected_while_a_command_is_loaded() -> None:
    with pytest.raises(KeyError), without_collecting():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_every_command_stands_under_its_heading() -> None:
    text = CliRunner().invoke(app, ["-h"]).output
    names = [function.__name__.replace("_", "-") for group in GROUPS.values() for function in group]
    lines = [*(f"\n{heading}:\n" for heading in GROUPS), *(f"\n  {name} " for name in names)]
    assert [line for line in lines if text.count(line) != 1] == []
    places = [text.index(f"\n{heading}:\n") for heading in GROUPS]
    assert places == sorted(places)
    assert places[1] < min(text.index(f"\n  {stage} ") for stage in STAGES)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"oneshot-vos {oneshot_vos.__version__}\n")


def test_shells_complete_commands_and_options_without_loading_torch() -> None:
    code = "from oneshot_vos.cli import app; app(prog_name='oneshot-vos')"
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell is the one named, not the one around
    shown = subprocess.run(
        [sys.executable, "-c", code, "--show-completion", "bash"],
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_ONESHOT_VOS_COMPLETE=complete_bash" in shown.stdout
    asked = {"_ONESHOT_VOS_COMPLETE": "complete_bash", "COMP_WORDS": "oneshot-vos segment --contact", "COMP_CWORD": "2"}
    code = f"import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))\n{code}"
    completed = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert completed.stdout.split() == ["--contact-sheet", "False"]


def test_parameters_can_be_checked_alone() -> None:
    result = CliRunner().invoke(app, ["check-params", "--profile", "paper"])
    assert result.exit_code == 0
    assert "profile paper" in result.stdout


def test_a_folder_of_videos_can_be_checked(tmp_path: Path) -> None:
    from oneshot_vos.sets.generated import generate

    generate(tmp_path / "mini", seed=3, train=2, val=1, static=1, frames=3, size=48)
    result = CliRunner().invoke(app, ["check-data", str(tmp_path / "mini")])
    assert result.exit_code == 0, result.output
    assert "3 items, 9 frames, 9 masks" in result.stdout
    assert CliRunner().invoke(app, ["check-data", str(tmp_path / "mini/static"), "--pairs"]).exit_code == 0

    frame = next((tmp_path / "mini/JPEGImages/480p").rglob("00001.jpg"))
    frame.write_bytes(frame.read_bytes()[:100])
    result = CliRunner().invoke(app, ["check-data", str(tmp_path / "mini")])
    assert result.exit_code == 2
    assert str(frame) in result.stderr


def test_cross_check_names_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["cross-check", "--index", str(tmp_path / "x.json"), "--masks", "y.zip"])
    assert result.exit_code == 2
    assert "x.json: not found" in result.stderr


def test_warnings_are_told_without_places_in_the_code(tmp_path: Path) -> None:
    for name in ("JPEGImages/clip/2.png", "JPEGImages/clip/10.png", "Annotations/clip/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / name)
    code = f"from oneshot_vos.cli import app; app(['check-data', {str(tmp_path)!r}])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "warning: " in result.stderr
    assert "frame names are not zero-padded" in result.stderr
    assert ".py:" not in result.stderr


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "error: x: Permission denied; expected rights to read or to write it. Mend its rights"),
        (errno.EROFS, "expected a disk that can be written to"),
        (errno.ENOSPC, "expected room on the disk"),
        (errno.ELOOP, "a link that leads back to itself"),
        (errno.ENAMETOOLONG, "expected a shorter name"),
    ],
)
def test_what_the_system_refuses_is_told_with_its_file(monkeypatch: pytest.MonkeyPatch, number: int, told: str) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "x")

    monkeypatch.setattr("oneshot_vos.sets.own.import_videos", refused)
    result = CliRunner().invoke(app, ["import-videos", "a", "b"])
    assert result.exit_code == 2
    assert told in result.stderr


def test_other_errors_of_the_system_are_faults_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.ENOENT, "No such file or directory", "x")

    monkeypatch.setattr("oneshot_vos.sets.own.import_videos", broken)
    result = CliRunner().invoke(app, ["import-videos", "a", "b"])
    assert isinstance(result.exception, OSError)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["~/own", "~/out"], ["HOME/own", "HOME/out"]),
        (["own", "out~/x"], ["own", "out~/x"]),
    ],
)
def test_home_is_found_where_no_shell_looked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    given: list[Path] = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("oneshot_vos.sets.own.import_videos", lambda *paths, **_: given.extend(paths) or [])
    monkeypatch.setattr("oneshot_vos.sets.own.other_videos", lambda *_: [])
    assert CliRunner().invoke(app, ["import-videos", *words]).exit_code == 0
    assert given == [Path(word.replace("HOME", str(tmp_path))) for word in expected]


def test_home_is_found_behind_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["check-params", "--params=~/params.yaml"])
    assert f"{tmp_path}/params.yaml: cannot be read" in result.stderr
