"""The command `adapt`: recordings in, masks of every frame out, with a network that was adapted to them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.stages.clips import ids, tiny_weights, write_folder, write_masks, write_video
from tests.training.brief import raise_in_step
from typer.testing import CliRunner, Result

from oneshot_vos.adaptation.agreement import Measured
from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.weights import read_metadata, read_weights
from oneshot_vos.params import load_params
from oneshot_vos.stages import adapt_round
from oneshot_vos.stages.adapt import parse_time
from oneshot_vos.videos.masks import read_mask, write_mask

NAMES = ("ball", "both", "walk")
pytestmark = pytest.mark.slow  # all together


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def write_recordings(root: Path) -> Path:
    """A folder of frames, a video file with two objects, and a folder with its mask in the middle."""
    write_folder(root / "videos/ball", 7)
    write_video(root / "videos/both.mp4", 7, objects=2)
    write_folder(root / "videos/walk", 9)
    for name, frame, objects in (("ball", 0, 1), ("both", 0, 2), ("walk", 4, 1)):
        (root / "masks" / name).mkdir(parents=True)
        write_masks(root / "masks" / name, frame, objects=objects)
    return root


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "recordings")


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> tuple[Path, str]:
    """The folder that a run has left, and what it said."""
    recordings = write_recordings(tmp_path_factory.mktemp("adapted") / "recordings")
    return recordings.parent / "adapted", done(adapt(recordings, weights)).output


def command(recordings: Path, weights: Path, iterations: int) -> list[str]:
    """Into the folder `adapted` beside the recordings."""
    out, count = str(recordings.parent / "adapted"), str(iterations)
    given = ["--weights", str(weights), "--device", "cpu", "--iterations", count]
    return ["adapt", str(recordings), "--out", out, *given]


def adapt(recordings: Path, weights: Path, *arguments: str, iterations: int = 4) -> Result:
    return CliRunner().invoke(app, [*command(recordings, weights, iterations), *arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def record(place: Path) -> dict[str, Any]:
    """What has been done, by the folder of the recordings or that of the results."""
    content: dict[str, Any] = json.loads((place.parent / "adapted/adapt.json").read_text(encoding="utf-8"))
    return content


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, float],
    after: dict[str, float],
    slope: float = 0.0,
    expected: float | None = 0.9,
) -> None:
    """Let the agreement be what is said here: before the training, and later; it rises with iterations and share.

    expected: the IoU that new weights expect of their masks, where old ones expect 0.5; None: what they
    do expect.
    """

    def measured(_network: Any, ways: Any, title: str) -> Measured:
        if title == "agreement before":
            return Measured({name: before[name] for name in ways}, 1.0, 1e9)
        share, iteration = title.removeprefix("agreement, ").split(" of ")
        return Measured({name: after[name] + slope * float(share) * int(iteration) for name in ways}, 1.0, 1e9)

    monkeypatch.setattr(adapt_round, "measure", measured)
    if expected is not None:
        said = {"candidates": expected}
        monkeypatch.setattr(
            adapt_round.Round, "_expected", lambda _round, weights, _video: said.get(weights.parent.name, 0.5)
        )


class Killed(BaseException):
    """The process ends here; nothing gets to save anything."""


def all_of(value: float) -> dict[str, float]:
    return dict.fromkeys((*NAMES, "more"), value)


def test_one_command_from_recordings_to_masks(adapted: tuple[Path, str]) -> None:
    out, said = adapted
    for name, frames in (("ball", 7), ("both", 7), ("walk", 9)):
        assert len(list((out / "segmented" / name / "masks").glob("*.png"))) == frames
        assert (out / "segmented" / name / "overlay.mp4").is_file()
        assert f"{name}: agreement" in said
    assert (read_mask(out / "segmented/walk/masks/00004.png") == ids(4)).all()
    told = record(out)
    assert told["started_from"] == "tiny"
    assert told["kept"] in ("adapted", "start")
    (first,) = told["rounds"]
    assert (first["round"], first["iterations"], first["masks"]) == (1, 4, 3)
    assert [point for point, _ in first["agreement"]] == [0, 1, 2, 3, 4][: len(first["agreement"])]
    assert set(told["videos"]) == set(NAMES)
    assert told["videos"]["both"]["objects"] == [1, 2]
    assert told["videos"]["walk"]["masks"] == ["00004"]
    assert read_metadata(out / "weights.safetensors")["model"] == "stcn"


def test_what_is_done_is_not_done_again(adapted: tuple[Path, str], weights: Path) -> None:
    out, recordings = adapted[0], adapted[0].with_name("recordings")
    parts = ("videos/*/*/*", "segmented/*/masks/*", "segmented/*/*.*", "weights.safetensors")
    files = [path for part in parts for path in out.glob(part)]
    times = [path.stat().st_mtime_ns for path in files]
    before = record(out)
    result = done(adapt(recordings, weights))
    assert "no training: the masks are those of the last round" in result.output
    assert "segmenting" not in result.output
    assert record(out) == before
    assert len(files) > 3 * 9
    assert [path.stat().st_mtime_ns for path in files] == times


def test_a_killed_training_resumes_to_the_same_weights(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9), slope=0.02)
    done(adapt(recordings, weights, iterations=6))
    out = recordings.parent / "adapted"
    straight = (out / "weights.safetensors").read_bytes()
    shutil.rmtree(out)
    with monkeypatch.context() as patch:
        raise_in_step(patch, torch.optim.AdamW, 5, Killed)  # after the checkpoint of iteration 4
        with pytest.raises(Killed):
            CliRunner().invoke(app, command(recordings, weights, 6), catch_exceptions=False)
    assert not (out / "adapt.json").exists()
    result = done(adapt(recordings, weights, iterations=6))
    assert "resuming with the plan of this round" in result.output
    assert "resuming after iteration 4" in result.output
    assert (out / "weights.safetensors").read_bytes() == straight
    assert record(recordings)["kept"] == "adapted"


def test_a_corrected_mask_repeats_only_its_video(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9))
    done(adapt(recordings, weights))
    out = recordings.parent / "adapted/segmented"
    made = {name: (out / name / "segment.json").stat().st_mtime_ns for name in NAMES}
    mask = recordings / "masks/ball/00000.png"
    write_mask(mask, ids(0) * (ids(2) > 0))
    # The further round helps the corrected video alone.
    pretend(monkeypatch, all_of(0.9), {**all_of(0.9), "ball": 0.95})
    result = done(adapt(recordings, weights))
    assert "ball: 7 frames, 1 mask(s)\n" in result.output
    assert "walk: 9 frames, 1 mask(s), as before" in result.output
    now = {name: (out / name / "segment.json").stat().st_mtime_ns for name in NAMES}
    assert [name for name in NAMES if now[name] != made[name]] == ["ball"]
    assert (read_mask(out / "ball/masks/00000.png") == read_mask(mask)).all()


def test_more_masks_and_videos_go_on_from_the_adapted_weights(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9))
    done(adapt(recordings, weights, iterations=2))
    out = recordings.parent / "adapted"
    first = read_weights(out / "weights.safetensors")
    write_masks(recordings / "masks/ball", 6)
    write_folder(recordings / "videos/more", 5)
    (recordings / "masks/more").mkdir()
    write_masks(recordings / "masks/more", 0)
    started: list[Path] = []
    build = adapt_round.Job.build

    def noted(self: Any, start: Path) -> Any:
        started.append(start)
        return build(self, start)

    monkeypatch.setattr(adapt_round.Job, "build", noted)
    pretend(monkeypatch, all_of(0.9), all_of(0.99))
    result = done(adapt(recordings, weights, iterations=2))
    assert "round 2: training on 4 videos with 5 mask(s)" in result.output
    assert {tuple(path.parts[-2:]) for path in started} == {("round-1", "adapted-0.5.safetensors")}
    told = record(recordings)
    assert [each["round"] for each in told["rounds"]] == [1, 2]
    assert told["videos"]["ball"]["masks"] == ["00000", "00006"]
    second = read_weights(out / "weights.safetensors")
    assert any(not torch.equal(first[name], value) for name, value in second.items())
    assert (out / "segmented/more/masks/00004.png").is_file()


def test_the_start_is_kept_where_training_does_not_help(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.8), {**all_of(0.8), "ball": 0.9, "walk": 0.7})
    result = done(adapt(recordings, weights, iterations=2))
    assert "training did not help" in result.output  # the mean is no better
    out = recordings.parent / "adapted"
    assert record(recordings)["kept"] == "start"
    assert (out / "weights.safetensors").read_bytes() == weights.read_bytes()
    shutil.rmtree(out)
    pretend(monkeypatch, all_of(0.8), {**all_of(0.8), "ball": 0.95, "walk": 0.7})
    result = done(adapt(recordings, weights, iterations=2))
    assert "walk: agreement 0.800 before, 0.700 after: keeps the weights it had" in result.output
    told = record(recordings)
    assert told["kept"] == "adapted"
    assert told["videos"]["walk"]["agreement_after"] == 0.8
    assert told["videos"]["ball"]["agreement_after"] == 0.95
    made_with = {name: json.loads((out / f"segmented/{name}/segment.json").read_text())["weights"] for name in NAMES}
    assert made_with["walk"] == made_with["both"] == str(weights)
    assert made_with["ball"].endswith("round-1/adapted-0.5.safetensors")  # as good, and nearer to the start


def test_the_start_is_kept_where_new_weights_expect_no_more_of_their_masks(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9), expected=0.51)
    result = done(adapt(recordings, weights, iterations=2))
    assert "ball: new weights expect IoU 0.510 of their masks, old ones 0.500" in result.output
    assert record(recordings)["kept"] == "start"


def test_whole_videos_are_looked_at_with_old_and_new_weights(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9), expected=None)
    found: list[tuple[float, float]] = []
    monkeypatch.setattr(adapt_round, "surer", lambda before, after: not found.append((before, after)))
    done(adapt(recordings, weights, iterations=2))
    assert record(recordings)["kept"] == "adapted"
    assert len(found) == len(NAMES)
    assert all(0 <= value <= 1 for pair in found for value in pair)
    assert any(before != after for before, after in found)


def test_training_ends_early_where_nothing_improves(
    recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, all_of(0.8), all_of(0.8))
    result = done(adapt(recordings, weights, iterations=8))
    assert "nothing has improved for a while" in result.output
    assert record(recordings)["rounds"][0]["iterations"] == 4  # the second of four measurements


def test_the_budget_bounds_the_iterations(recordings: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, all_of(0.5), all_of(0.9))
    monkeypatch.setattr(adapt_round.Round, "_time_iteration", lambda *_: 10.0)
    monkeypatch.setattr(adapt_round, "_LEAST", 2)
    out = recordings.parent / "adapted"
    arguments = ["adapt", str(recordings), "--out", str(out), "--weights", str(weights), "--device", "cpu"]
    done(CliRunner().invoke(app, [*arguments, "--budget", "80s"]))
    # Half of it, less 4 measurements of 2 s, in iterations of 10 s.
    assert record(recordings)["rounds"][0]["iterations"] == 3


def test_all_problems_come_at_once(recordings: Path, weights: Path) -> None:
    shutil.rmtree(recordings / "masks/ball")
    write_masks(recordings / "masks/walk", 77)
    (recordings / "videos/notes.txt").touch()
    result = adapt(recordings, weights)
    assert result.exit_code == 2
    for found in ("no mask in", "mask without a frame", "neither a folder of frames nor a video file"):
        assert found in result.output
    assert not (recordings.parent / "adapted/videos").exists()


def test_what_is_refused(
    recordings: Path, weights: Path, tmp_path: Path, held_elsewhere: Callable[[Path, str], int]
) -> None:
    out = recordings.parent / "adapted"
    for given, found in (
        (["--budget", "soon"], "not a time"),
        (["--device", "cuda:77"], "not to be used here"),
        (["--weights", str(tmp_path / "none.safetensors")], "not found"),
    ):
        result = adapt(recordings, weights, *given)
        assert (result.exit_code, found in result.output) == (2, True), result.output
    assert "no such folder" in adapt(tmp_path / "nowhere", weights).output
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    (out / "thesis.txt").touch()
    assert "holds other things" in adapt(recordings, weights).output
    (out / "thesis.txt").unlink()
    done(adapt(recordings, weights, iterations=0))
    other = tiny_weights(tmp_path / "other.safetensors", "xmem")
    assert "was started from tiny" in adapt(recordings, other).output
    held_elsewhere(out / ".state", "adapting into this folder")
    assert "is adapting into this folder" in adapt(recordings, weights).output


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400)])
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "-3m", "0m", "3d"])
def test_wrong_times_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a time"):
        parse_time(text)


def test_the_parameter_file_trains_the_same_weights_in_the_pipeline(
    recordings: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_masks(recordings / "masks/ball", 6)
    pretend(monkeypatch, all_of(0.5), all_of(0.9), slope=0.02)
    done(adapt(recordings, weights, iterations=2))
    out, run = recordings.parent / "adapted", "stcn-two_step-given"
    given = ["--params", str(out / "params.yaml")]
    places = {"--weights": "start.safetensors", "--labels": "labels", "--snapshots": "snapshots", "--curves": "curves"}
    for arguments in (
        ["check-params"],
        ["data", "--out", "sets"],
        ["labels", "--kind", "first", "--sets", "sets/train", "--out", "labels"],
        ["start", "given", "--weights", str(weights), "--out", "start.safetensors"],
        ["train", run, "--out", "trained.safetensors", *(part for place in places.items() for part in place)],
    ):
        done(CliRunner().invoke(app, [*arguments, *given]))
    trained, kept = read_weights(tmp_path / "trained.safetensors"), read_weights(out / "weights.safetensors")
    assert trained.keys() == kept.keys()
    assert all(torch.equal(trained[name], value) for name, value in kept.items())
    assert load_params(out / "params.yaml").training(run).iterations == 2


def test_without_iterations_nothing_is_trained_and_masks_come_with_confidence_and_a_page(
    recordings: Path, weights: Path
) -> None:
    assert "no training: as told" in done(adapt(recordings, weights, iterations=0)).output
    told, out = record(recordings), recordings.parent / "adapted"
    assert (told["kept"], told["rounds"]) == ("start", [])
    assert (out / "segmented/walk/masks/00000.png").is_file()
    assert (out / "segmented/walk/confidence.csv").read_text().startswith("frame,object,")
    assert (out / "segmented/next.csv").read_text().startswith("rank,video,")
    assert "walk" in (out / "report/index.html").read_text(encoding="utf-8")
    shutil.rmtree(recordings / "videos/walk")
    shutil.rmtree(recordings / "masks/walk")
    result = done(adapt(recordings, weights, iterations=0))
    assert "walk: no longer among the recordings" in result.output
    assert not (out / "segmented/walk").exists()
    assert not (out / "videos/JPEGImages/walk").exists()
