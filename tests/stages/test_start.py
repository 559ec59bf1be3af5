"""Weights that runs start from by name: what is taken over, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.parameters import read_document, write_document
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import load_params


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parameters with a start of STCN, `mine`, from mine.safetensors, which is STCN as `smoke` has it."""
    monkeypatch.chdir(tmp_path)
    document = read_document(repository)
    document |= {"profile": "smoke", "starts": {"mine": {"network": "stcn", "weights": "mine.safetensors"}}}
    document["runs"]["stcn-two_step-mine"] = {**document["runs"]["stcn-two_step-static"], "init": "mine"}
    write_document(tmp_path / "params.yaml", document)
    write(tmp_path / "mine.safetensors", "stcn", document["profiles"]["smoke"]["networks"]["stcn"])
    return tmp_path


def write(path: Path, network: str, settings: dict[str, object]) -> None:
    save_weights(path, build_network(network, settings), {"model": network, "settings": settings})


def start() -> tuple[int, str]:
    done = CliRunner().invoke(app, ["start", "mine", "--weights", "mine.safetensors", "--out", "out.safetensors"])
    return done.exit_code, done.stderr


def test_weights_of_the_profiles_network_are_taken_over(project: Path) -> None:
    assert start() == (0, "")
    given, taken = load_file("mine.safetensors"), load_file("out.safetensors")
    assert given.keys() == taken.keys()
    assert all(torch.equal(given[name], taken[name]) for name in given)
    done = CliRunner().invoke(app, ["check-params"])
    assert (done.exit_code, done.stderr) == (0, "")


def test_weights_of_another_network_or_with_other_arguments_are_refused(project: Path) -> None:
    smoke = load_params(project / "params.yaml").profile.networks
    cases = [("xmem", smoke["xmem"], "mine.safetensors: these are weights of 'xmem', not of 'stcn'")]
    cases.append(("stcn", {**smoke["stcn"], "key_dim": 24}, "mine.safetensors: key_dim is 24, that of the profile"))
    for network, settings, expected in cases:
        write(project / "mine.safetensors", network, settings)
        code, message = start()
        assert code == 2
        assert expected in message
        done = CliRunner().invoke(app, ["check-params"])  # before anything runs
        assert done.exit_code == 2
        assert expected in done.stderr
    assert not Path("out.safetensors").exists()
