"""The probe: a network that copies its references is told from one that does not look at them."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from tests.parameters import read_document, write_document
from torch import Tensor

from oneshot_vos.cli import app
from oneshot_vos.networks.common.interface import Decoded, Network, Prediction, State, TokenFrame
from oneshot_vos.stages.probe import LabelledClip, probe, read_clip
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

CPU = torch.device("cpu")


class Seen(NamedTuple):
    image: Tensor


class Copying(Network):
    """Answers with the mask that it memorised first, or, if `blind`, always with the same half of the image."""

    def __init__(self, *, blind: bool = False) -> None:
        super().__init__()
        self.blind = blind

    def encode(self, image: Tensor) -> Seen:
        return Seen(image)

    def initial_state(self, features: Seen, objects: int) -> State:
        return ()

    def memorise(self, features: Seen, masks: Tensor, state: State, *, deep: bool = True) -> tuple[TokenFrame, State]:
        return TokenFrame((), (masks,)), state

    def decode(self, *arguments: Any, **named: Any) -> tuple[Decoded, State]:
        raise AssertionError("segment answers by itself")

    def segment(
        self, features: Seen, memory: Any, state: State, previous: Tensor, present: Tensor | None = None, **_: Any
    ) -> tuple[Prediction, State]:
        masks = memory.frames[0].own[0]
        if self.blind:
            masks = torch.zeros_like(masks)
            masks[:, 0, :, : masks.shape[-1] // 2] = 1
        background = (masks.amax(1, keepdim=True) < 0.5).float()
        return Prediction(10 * torch.cat([background, masks], 1), masks, {}), state


def clip(*starts: int) -> LabelledClip:
    """A square that stands `starts` pixels from the left edge, frame by frame."""
    masks = torch.zeros(len(starts), 1, 20, 32)
    for t, start in enumerate(starts):
        masks[t, 0, 4:16, start : start + 8] = 1
    return LabelledClip(torch.zeros(len(starts), 3, 20, 32), masks)


def test_a_network_that_copies_shows_what_each_reference_holds() -> None:
    assert probe(Copying(), clip(4, 4, 4), CPU) == {"predicted": [1.0], "true": [1.0], "empty": [0.0]}
    # Copied there and back, the prediction is the first mask; the truth of the last frame is four pixels further.
    assert probe(Copying(), clip(4, 6, 8), CPU) == {"predicted": [1.0], "true": [4 / 12], "empty": [0.0]}


def test_a_blind_network_finds_the_same_from_every_reference() -> None:
    found = probe(Copying(blind=True), clip(4, 4, 4), CPU)
    assert found["predicted"] == found["true"] == found["empty"]
    assert 0 < found["empty"][0] < 1


def video(folder: Path, labelled: range) -> Video:
    frames = [folder / f"{t:05}.png" for t in range(12)]
    for t, frame in enumerate(frames):
        Image.new("RGB", (32, 32), (20 * t, 0, 0)).save(frame)
    ids = (torch.nn.functional.pad(clip(4).masks[0, 0], (0, 0, 6, 6)).numpy() * 3).astype("int32")
    write_mask(folder / "mask.png", ids)
    return Video("v", tuple(frames), {f"{t:05}": folder / "mask.png" for t in labelled})


@pytest.mark.parametrize(
    ("labelled", "frames", "distance", "expected"),
    [
        (range(12), 3, 3, [0, 3, 6]),
        (range(12), 4, 25, [0, 3, 6, 9]),  # as far as the video goes
        (range(2, 12), 3, 2, [2, 4, 6]),
        (range(2), 4, 3, [0, 1]),  # as many as there are
    ],
)
def test_a_clip_is_taken_from_the_labelled_frames(
    tmp_path: Path, labelled: range, frames: int, distance: int, expected: list[int]
) -> None:
    found = read_clip(video(tmp_path, labelled), frames, distance, None)
    reds = [float(frame[0].mean()) for frame in read_clip(video(tmp_path, range(12)), 12, 1, None).frames]
    assert [reds.index(float(frame[0].mean())) for frame in found.frames] == expected
    assert found.masks.shape == (len(expected), 1, 32, 32)


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_the_stage_writes_a_line_for_every_state(
    network: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_document(tmp_path / "params.yaml", {**read_document(repository), "profile": "smoke"})
    (tmp_path / "snapshots").mkdir()
    run, states = f"{network}-two_step-backbone", ["--weights", "weights.safetensors", "--snapshots", "snapshots"]
    for command in (
        ["data", "--out", "data/smoke/sets"],
        ["init", "--network", network, "--out", "weights.safetensors"],
        ["init", "--network", network, "--out", "snapshots/0000002.safetensors"],
        ["probe", run, *states, "--sets", "data/smoke/sets/evaluate", "--out", "found.tsv"],
    ):
        assert not app(command, standalone_mode=False)
    header, *lines = (tmp_path / "found.tsv").read_text(encoding="utf-8").splitlines()
    assert header.split("\t") == ["iteration", "predicted", "true", "empty"]
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == ["2", "4"]
    assert rows[0][1:] == rows[1][1:]  # the same weights
    assert all(0 <= float(value) <= 100 for value in rows[0][1:])
