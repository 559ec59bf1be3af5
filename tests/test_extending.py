"""The examples of docs/extending.md, run as they stand there."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from oneshot_vos import catalogue
from oneshot_vos.clips.dataset import ClipBatch
from oneshot_vos.inference.plan import InferenceSettings
from oneshot_vos.inference.video import segment_video
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.registry import Registry
from oneshot_vos.supervision import build_supervision
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

SIZE = 48


@pytest.fixture
def extended(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package with the files and lines of the document."""
    text = (repository / "docs/extending.md").read_text(encoding="utf-8")
    examples = re.findall(r"<!-- (.+?) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    for place, code in examples:
        if place.startswith("catalogue: "):
            _add_line(place.removeprefix("catalogue: "), code, monkeypatch)
            continue
        name = place.removeprefix("src/").removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, place, "exec"), module.__dict__)


def _add_line(registry: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry: dict[str, Any] = eval("{" + line + "}", dict(vars(catalogue)))
    entries: Registry[Any] = getattr(catalogue, registry)
    monkeypatch.setattr(entries, "_entries", {**entries, **entry})


def _clip(frames: int) -> ClipBatch:
    draws = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 3, (2, frames, SIZE // 16, SIZE // 16), generator=draws)
    targets = coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)
    colours = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    return ClipBatch(
        frames=colours[targets].movedim(-1, 2).contiguous(),
        first_masks=torch.stack([(targets[:, 0] == k).float() for k in (1, 2)], 1),
        targets=targets,
        labelled=torch.ones(2, frames, dtype=torch.bool),
        present=torch.ones(2, 2),
        names=["a", "b"],
    )


@pytest.mark.usefixtures("extended")
def test_the_new_network_learns_with_every_way_of_training() -> None:
    torch.manual_seed(1)
    network = build_network("nearest", {"key_dim": 8})
    loss = build_loss("nearest", {"start": 10, "end": 20, "top_p": 0.5})
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    clip, draws = _clip(4), torch.Generator().manual_seed(0)
    supervision = build_supervision("full", network, loss, RolloutOptions())
    course = []
    for _ in range(150):
        total = supervision(clip, 0, draws)["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        course.append(float(total.detach()))
    assert course[-1] < 0.8 * course[0]
    for name in catalogue.STRATEGIES:
        assert torch.isfinite(build_supervision(name, network, loss, RolloutOptions())(clip, 0, draws)["total"])


@pytest.mark.usefixtures("extended")
def test_the_new_way_back() -> None:
    three_step = catalogue.resolve(catalogue.STRATEGIES["three_step"].strategy)()
    ways = {tuple(three_step(5, torch.Generator().manual_seed(seed))) for seed in range(200)}
    assert ways == {(5, b, a, 0) for b in range(2, 5) for a in range(1, b)}


@pytest.mark.usefixtures("extended")
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
    results = dict(segment_video(network, video, InferenceSettings(), device=torch.device("cpu")))
    assert list(results) == ["00000", "00001", "00002"]
    assert np.array_equal(results["00000"], ids)
