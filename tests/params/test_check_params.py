"""`oneshot-vos check-params`: what needs the code of networks and strategies, and where values are from."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.parameters import read_document, write_document
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.params import load_params, show_run

MINI, STCN, CUTIE = "config/profiles/mini.yaml", "config/recipes/stcn.yaml", "config/recipes/cutie.yaml"
BASE = {"network": "stcn", "strategy": "two_step", "labels": "first", "init": "backbone", "seed": 0}


def written(repository: Path, folder: Path, place: tuple[str, ...], value: object) -> Path:
    """The shipped parameters with another value at a place."""
    document = read_document(repository)
    parent: Any = document
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    return write_document(folder / "params.yaml", document)


def test_the_shipped_files_are_in_order(repository: Path) -> None:
    result = CliRunner().invoke(app, ["check-params", "--params", str(repository / "params.yaml")])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "in order; profile mini, 15 runs" in result.stdout


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (
            "profiles mini networks cutie key_dimm",
            3,
            f"{MINI}: networks.cutie.key_dimm: unknown key; did you mean 'key",
        ),
        ("recipes cutie train loss pionts", 3, f"{CUTIE}: train.loss.pionts: unknown key; did you mean 'points'?"),
        ("recipes stcn pretrain loss top_p", 1.5, f"{STCN}: pretrain.loss: top_p is 1.5; expected a share above 0"),
        ("profiles small pretrain xmem loss end", 3, "small.yaml: pretrain.xmem.loss: end 3 lies before start"),
        ("profiles small networks xmem key_dim", "big", "small.yaml: networks.xmem.key_dim: should be a whole number,"),
        ("recipes stcn train loss top_p", "few", f"{STCN}: train.loss.top_p: should be a number, not 'few'"),
        (
            "runs stcn-ema_teacher-backbone",
            {**BASE, "strategy": {"name": "ema_teacher", "decay": "slow"}},
            "params.yaml: runs.stcn-ema_teacher-backbone.strategy.decay: should be a number, not 'slow'",
        ),
        (
            "runs stcn-two_step-backbone-x",
            {**BASE, "strategy": {"name": "two_step", "stps": 3}},
            "params.yaml: runs.stcn-two_step-backbone-x.strategy.stps: unknown key",
        ),
    ],
)
def test_arguments_are_checked_under_every_profile(
    repository: Path, tmp_path: Path, place: str, value: object, expected: str
) -> None:
    path = written(repository, tmp_path, tuple(place.split()), value)
    result = CliRunner().invoke(app, ["check-params", "--params", str(path)])
    assert result.exit_code == 2
    assert expected in result.stderr.replace(f"{tmp_path}/", "")


def test_show_says_where_each_value_of_a_run_is_from(repository: Path, tmp_path: Path) -> None:
    key = "stcn-two_step-backbone-long"
    path = written(repository, tmp_path, ("runs", key), {**BASE, "train": {"iterations": 2400}})
    shown = "\n".join(show_run(load_params(path), key)).replace(f"{tmp_path}/", "")
    origins = {line.split(": ")[0]: line.split("# ")[1] for line in shown.splitlines()}
    assert origins["run.seed"] == f"params.yaml: runs.{key}.seed"
    assert origins["network.key_dim"] == f"{MINI}: networks.stcn.key_dim"
    assert origins["train.iterations"] == f"params.yaml: runs.{key}.train.iterations"
    assert origins["train.crop"] == f"{MINI}: training.crop"
    assert origins["train.max_skip"] == f"{MINI}: train.all.max_skip"
    assert origins["train.optimiser.learning_rate"] == f"{MINI}: train.stcn.optimiser.learning_rate"
    assert origins["train.optimiser.name"] == f"{STCN}: train.optimiser.name"
    assert origins["infer.top_k"] == f"{STCN}: infer.top_k"
    values = yaml.safe_load(shown)
    assert (values["train.iterations"], values["infer.short_side"], values["infer.flip"]) == (2400, None, False)


def test_show_refuses_an_unknown_run(repository: Path) -> None:
    result = CliRunner().invoke(
        app, ["check-params", "--params", str(repository / "params.yaml"), "--show", "stcn-ful-static"]
    )
    assert result.exit_code == 2
    assert "did you mean 'stcn-full-static'?" in result.stderr
