"""The examples of docs/extending.md, run as they stand there."""

import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.parameters import read_document, write_document
from tests.training.brief import raise_in_step, recipe
from torch import Tensor

from oneshot_vos import networks, supervision
from oneshot_vos.cli import app
from oneshot_vos.clips.batch import Clip, ClipBatch, collate
from oneshot_vos.errors import UserError
from oneshot_vos.inference.video import segment_video
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.training.distributed import World
from oneshot_vos.training.loop import fit
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

SIZE = 48
OPTIONS = RolloutOptions()


@pytest.fixture(autouse=True)
def _extended(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package with the files and lines of the document."""
    text = (repository / "docs/extending.md").read_text(encoding="utf-8")
    examples = re.findall(r"<!-- (file|line): (.+?) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 5
    for kind, place, code in examples:
        if kind == "line":
            owner = networks if place == "NETWORKS" else supervision
            entries = getattr(owner, place)
            added = eval("{" + code + "}", dict(vars(owner)))
            monkeypatch.setattr(entries, "_entries", {**entries._entries, **added})
        else:
            name = place.removeprefix("src/").removesuffix(".py").replace("/", ".")
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
            exec(compile(code, place, "exec"), sys.modules[name].__dict__)


class Clips:
    """Clips of four frames that follow from their position; told to, the reading of one ends the process."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def __len__(self) -> int:
        return 10

    def __getitem__(self, position: int) -> Clip:
        if position == self.stop_at:
            raise KeyboardInterrupt
        draws = torch.Generator().manual_seed(position)
        coarse = torch.randint(0, 3, (4, SIZE // 16, SIZE // 16), generator=draws)
        targets = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
        colours = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
        masks = torch.stack([(targets[0] == k).float() for k in (1, 2)])
        frames = colours[targets].movedim(-1, 1).contiguous()
        return Clip(frames, masks, targets, torch.ones(4, dtype=torch.bool), torch.ones(2), str(position))


def batch() -> ClipBatch:
    return collate([Clips()[0], Clips()[1]])


def build(name: str, settings: Mapping[str, Any]) -> Strategy:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network("nearest", {"key_dim": 8})
    return build_strategy(
        name, settings, network, build_loss("nearest", {"start": 10, "end": 20, "top_p": 0.5}), OPTIONS
    )


def train(strategy: Strategy, folder: Path, clips: Clips) -> list[float]:
    folder.mkdir(parents=True, exist_ok=True)
    world = World(0, 1, torch.device("cpu"))
    values = recipe(frames=4, crop=SIZE, objects=2, loss={})
    finished = fit(strategy, clips, values, seed=3, state=StateFolder(folder, {"key": "k"}), world=world, title="t")
    return [row["loss"] for row in finished.curve]


@pytest.mark.parametrize(
    ("name", "settings"),
    [("k_step", {"steps": 3}), ("ema_teacher", {"decay": 0.9, "agreement": 0.5}), ("two_step", {})],
)
def test_a_training_that_was_interrupted_resumes_to_the_same_numbers(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    straight = build(name, settings)
    losses = train(straight, tmp_path / "straight", Clips())
    with pytest.raises(KeyboardInterrupt):
        train(build(name, settings), tmp_path / "cut", Clips(stop_at=7))  # in iteration 4 of 6, from 1
    stored = torch.load(tmp_path / "cut/checkpoint.pt", weights_only=True)
    assert stored["iteration"] == 2
    assert ("strategy" in stored) == (name == "ema_teacher")
    resumed = build(name, settings)
    assert train(resumed, tmp_path / "cut", Clips()) == losses
    assert_same(resumed.state_dict(), straight.state_dict())


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_k_step_goes_back_over_random_frames() -> None:
    path = build("k_step", {"steps": 3}).path_back  # type: ignore[operator]
    ways = {tuple(path(5, torch.Generator().manual_seed(seed))) for seed in range(200)}
    assert ways == {(5, b, a, 0) for b in range(2, 5) for a in range(1, b)}
    assert path(2, torch.Generator()) == [2, 1, 0]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, "k_step.steps: missing"),
        ({"step": 3}, "k_step.step: unknown key; did you mean 'steps'"),
        ({"steps": "three"}, "k_step.steps: should be a whole number, not 'three'"),
        ({"steps": 1}, "at"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        build("k_step", settings)


def test_the_teacher_follows_the_network_and_learns_nothing_itself() -> None:
    strategy: Any = build("ema_teacher", {"decay": 0.75})
    before = [p.clone() for p in strategy.teacher.parameters()]
    terms = strategy(batch(), 0, Generators.of(0, 0, range(2)))
    terms["total"].backward()
    assert all(p.grad is None for p in strategy.teacher.parameters())
    with torch.no_grad():
        for p in strategy.network.parameters():
            p += 1
    strategy.after_step(0)
    for old, new in zip(before, strategy.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25)


def test_the_new_network_learns_with_every_strategy() -> None:
    strategy = build("full", {})
    optimiser = torch.optim.Adam(strategy.network.parameters(), 0.01)
    clip, draws = batch(), Generators.of(0, 0, range(2))
    course = []
    for _ in range(150):
        total = strategy(clip, 0, draws)["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        course.append(float(total.detach()))
    assert course[-1] < 0.8 * course[0]
    for name in supervision.STRATEGIES:
        settings = {"steps": 3} if name == "k_step" else {}
        assert torch.isfinite(build(name, settings)(clip, 0, draws)["total"])


def test_the_new_network_segments_a_video(tmp_path: Path) -> None:
    frames = []
    for t in range(3):
        frames.append(tmp_path / f"{t:05}.png")
        Image.fromarray(np.full((SIZE, SIZE, 3), 40 * t, np.uint8)).save(frames[-1])
    ids = np.zeros((SIZE, SIZE), np.int32)
    ids[:, :16] = 1
    write_mask(tmp_path / "mask.png", ids)
    video = Video("v", tuple(frames), {"00000": tmp_path / "mask.png"})
    network = build_network("nearest", {}).eval()
    results = dict(segment_video(network, video, InferenceSettings()))
    assert list(results) == ["00000", "00001", "00002"]
    assert np.array_equal(results["00000"], ids)


NAMES = {
    "nearest-full-static": "full",
    "nearest-k_step-static": {"name": "k_step", "steps": 3},
    "nearest-k_step-backbone": {"name": "k_step", "steps": 3},
    "nearest-ema_teacher-backbone": {"name": "ema_teacher", "decay": 0.9},
}


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline for the new network alone: its recipe, and an entry in the sections of one profile."""
    document = read_document(repository)
    document["recipes"]["nearest"] = {**document["recipes"]["stcn"], "network": {"key_dim": 8}}
    smoke = document["profiles"]["smoke"]
    training = {"frames": 4, "loss": {"start": 1, "end": 3}}
    for section, values in (("networks", {}), ("pretrain", training), ("train", training), ("infer", {})):
        smoke[section]["nearest"] = values
    runs = {
        key: {
            "network": "nearest",
            "strategy": strategy,
            "init": key.rpartition("-")[2],
            "seed": 0,
            "labels": "every" if strategy == "full" else "first",
        }
        for key, strategy in NAMES.items()
    }
    document |= {"profile": "smoke", "networks": ["nearest"], "table1_strategy": {"nearest": "k_step"}, "runs": runs}
    write_document(tmp_path / "params.yaml", document)
    for file in ("dvc.yaml", "server_scores.yaml"):
        shutil.copy2(repository / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(repository / "workflow")
    return tmp_path


def commands(project: Path) -> dict[str, list[str]]:
    """What the engines run for every job, in the order of dvc.yaml, which puts nothing before what it reads."""
    from stages import Pipeline  # type: ignore[import-not-found]  # lies beside the Snakefile

    return {
        f"{stage.name}@{item}": shlex.split(stage.command(item))[1:]
        for stage in Pipeline(project).stages
        for item in stage.items
    }


def run_command(arguments: list[str]) -> int:
    """The exit code of `oneshot-vos` with these arguments, 0 if all went well."""
    return int(app(arguments, standalone_mode=False) or 0)


def test_a_network_without_the_other_objects_channel_cannot_leave_it_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = project / "config/profiles/smoke.yaml"
    document = yaml.safe_load(profile.read_text(encoding="utf-8"))
    document["pretrain"]["nearest"] = {"single_object": True, "objects": 1}
    profile.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert run_command(["check-params"]) == 2
    found = "config/profiles/smoke.yaml: pretrain.nearest.single_object: nearest has no argument of this name"
    assert found in capsys.readouterr().err


def test_the_examples_go_through_the_whole_pipeline(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(["check-params"]) == 0
    for name, arguments in commands(project).items():
        if name == "train@nearest-ema_teacher-backbone":
            with monkeypatch.context() as patch:
                raise_in_step(patch, torch.optim.Adam, 3, KeyboardInterrupt)
                assert run_command(arguments) == 130
        assert run_command(arguments) == 0
        if name == "train@nearest-ema_teacher-backbone":
            weights = project / "results/smoke/train/nearest-ema_teacher-backbone/weights.safetensors"
            resumed = weights.read_bytes()
            shutil.rmtree(project / "state")
            assert run_command(arguments) == 0
            assert weights.read_bytes() == resumed
    tables = project / "results/smoke/tables"
    table1 = (tables / "table1.csv").read_text(encoding="utf-8")
    table4 = (tables / "table4.csv").read_text(encoding="utf-8")
    assert re.search(r"^1-shot nearest,k_step,.*nearest-k_step-static", table1, re.MULTILINE), table1
    for run in ("nearest-k_step-backbone", "nearest-ema_teacher-backbone"):
        assert re.search(rf"^1-shot nearest,.*{run}", table4, re.MULTILINE), table4
