"""The command `export`: weights of a stopped training, which say what they are; whatever else is given is named."""

from pathlib import Path

import pytest
import torch
from tests.stages.clips import TINY, tiny_weights, write_folder, write_masks
from typer.testing import CliRunner, Result

from oneshot_vos.cli import app
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import load_weights, read_metadata, recognise
from oneshot_vos.training.checkpoint import Progress, StateFolder

MADE_FROM = {"network": "xmem", "settings": TINY["xmem"], "recipe": {"iterations": 900}, "seed": 0}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of a training that was stopped after 448 iterations."""
    torch.manual_seed(3)
    weights = build_network("xmem", TINY["xmem"]).state_dict()
    folder = tmp_path / "state/mini/xmem-two_step"
    StateFolder(folder, MADE_FROM).save(Progress(448, weights, {}, [], 1.0))
    return folder


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize("name", ["", "checkpoint.pt"])
def test_weights_of_a_checkpoint_say_what_they_are(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = export(state / name)
    assert result.exit_code == 0, result.output
    assert "after 448 of 900 iterations" in result.output
    made = tmp_path / "xmem-two_step-0000448.safetensors"
    assert recognise(made) == ("xmem", TINY["xmem"])
    told = read_metadata(made)
    assert (told["run"], told["iterations"]) == ("xmem-two_step", 448)
    network = build_network("xmem", TINY["xmem"])
    load_weights(made, network)
    stored = torch.load(state / "checkpoint.pt", weights_only=True)["network"]
    assert all(torch.equal(stored[key], tensor) for key, tensor in network.state_dict().items())


def test_what_is_no_checkpoint_or_lacks_its_record_is_named(state: Path, tmp_path: Path) -> None:
    result = export(tmp_path / "nothing")
    assert (result.exit_code, "nothing: no such file" in result.output) == (2, True)
    torch.save({"a": torch.zeros(1)}, tmp_path / "official.pth")
    assert "official.pth: no checkpoint" in export(tmp_path / "official.pth").output
    assert "w.safetensors: no checkpoint" in export(tiny_weights(tmp_path / "w.safetensors")).output
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    assert "not readable as a checkpoint" in export(tmp_path / "notes.txt").output
    (state / "made_from.json").write_text("{}", encoding="utf-8")
    assert "made_from.json: says what another checkpoint" in export(state).output
    (state / "made_from.json").unlink()
    assert "made_from.json: not found; expected what checkpoint.pt beside it was made from" in export(state).output


def test_a_checkpoint_given_as_weights_is_sent_to_export(state: Path, tmp_path: Path) -> None:
    clip, (mask,) = write_folder(tmp_path / "clip", 2), write_masks(tmp_path / "given", 0)
    checkpoint = state / "checkpoint.pt"
    result = CliRunner().invoke(
        app, ["segment", str(clip), "--mask", mask, "--weights", str(checkpoint), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 2
    assert f"oneshot-vos export {checkpoint}" in result.output
