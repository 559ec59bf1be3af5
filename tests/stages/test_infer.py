"""Stage `infer`: what goes on around the segmentation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oneshot_vos.cli import app

RUN = "stcn-two_step-static"


def test_a_second_inference_of_a_run_ends_at_once_and_leaves_the_first_alone(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, held_elsewhere: Callable[[Path, str], int]
) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / f"state/smoke/infer-{RUN}"
    number = held_elsewhere(state, f"running `infer` of {RUN}")
    (state / "davis").mkdir()
    (tmp_path / "o").mkdir()
    (tmp_path / "w").touch()
    arguments = ["--weights", "w", "--snapshots", "n", "--sets", "s", "--out", "o", "--profile", "smoke"]
    result = CliRunner().invoke(app, ["infer", RUN, *arguments, "--params", str(repository / "params.yaml")])
    assert result.exit_code == 2
    assert f"state/smoke/infer-{RUN}: process {number} is running `infer` of {RUN}. Wait for it" in result.stderr
    assert (state / "davis").is_dir()
    assert (tmp_path / "o").is_dir()
