"""The command `adapt`: recordings in, masks of every frame out, with a network that was adapted to them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.stages.clips import SIZE, ids, tiny_weights, write_folder, write_masks, write_video
from typer.testing import CliRunner, Result

from oneshot_vos.adaptation.agreement import Measured
from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.weights import read_metadata, read_weights
from oneshot_vos.stages import adapt_round
from oneshot_vos.stages.adapt import parse_time
from oneshot_vos.videos.masks import read_mask, write_mask

NAMES = ("ball", "both", "walk")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of frames, a video file with two objects, and a folder with its mask in the middle."""
    root = tmp_path / "recordings"
    write_folder(root / "videos/ball", 7)
    write_video(root / "videos/both.mp4", 7, objects=2)
    write_folder(root / "videos/walk", 9)
    for name, frame, objects in (("ball", 0, 1), ("both", 0, 2), ("walk", 4, 1)):
        (root / "masks" / name).mkdir(parents=True)
        write_masks(root / "masks" / name, frame, objects=objects)
    return root


def adapt(recordings: Path, weights: Path, *arguments: str, iterations: int = 4) -> Result:
    """The command, into the folder `adapted` beside the recordings."""
    command = ["adapt", str(recordings), "--out", str(recordings.parent / "adapted"), "--weights", str(weights)]
    return CliRunner().invoke(app, [*command, "--device", "cpu", "--iterations", str(iterations), *arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def record(recordings: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((recordings.parent / "adapted/adapt.json").read_text(encoding="utf-8"))
    return content


def pretend(monkeypatch: pytest.MonkeyPatch, before: dict[str, float], after: dict[str, float]) -> None:
    """Let the agreement be what is said here, before the training and whenever it is measured later."""

    def measured(_network: Any, ways: Any, title: str) -> Measured:
        chosen = before if title == "agreement before" else after
        return Measured({name: chosen[name] for name in ways}, 1.0, 1.0)

    monkeypatch.setattr(adapt_round, "measure", measured)


def all_of(value: float) -> dict[str, float]:
    return dict.fromkeys((*NAMES, "more"), value)


def test_one_command_from_recordings_to_masks(recordings: Path, weights: Path) -> None:
    result = done(adapt(recordings, weights))
    out = recordings.parent / "adapted"
    for name, frames in (("ball", 7), ("both", 7), ("walk", 9)):
        assert len(list((out / "segmented" / name / "masks").glob("*.png"))) == frames
        assert (out / "segmented" / name / "overlay.mp4").is_file()
        assert f"{name}: agreement" in result.output
    assert (read_mask(out / "segmented/walk/masks/00004.png") == ids(4)).all()
    told = record(recordings)
    assert told["started_from"] == "tiny"
    assert told["kept"] in ("adapted", "start")
    (first,) = told["rounds"]
    assert (first["round"], first["iterations"], first["masks"]) == (1, 4, 3)
    assert [point for point, _ in first["agreement"]] == [0, 1, 2, 3, 4][: len(first["agreement"])]
    assert set(told["videos"]) == set(NAMES)
    assert told["videos"]["both"]["objects"] == [1, 2]
    assert told["videos"]["walk"]["masks"] == ["00004"]
    assert read_metadata(out / "weights.safetensors")["model"] == "stcn"


def test_what_is_done_is_not_done_again(recordings: Path, weights: Path) -> None:
    done(adapt(recordings, weights))
    out = recordings.parent / "adapted"
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "adapt.json"}
    before = record(recordings)
    result = done(adapt(recordings, weights))
    assert "no training: the masks are those of the last round" in result.output
    assert "segmenting" not in result.output
    assert record(recordings) == before
    assert {path: path.stat().st_mtime_ns for path in files if path.name != "state.json"} == {
        path: time for path, time in files.items() if path.name != "state.json"
    }
