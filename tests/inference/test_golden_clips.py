"""Whole clips against the numbers of the official STCN; settings come from the files, so any folder will do."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, find_cases, load_recipe, load_weights_of, make_clip, read_case, read_shapes

from oneshot_vos.inference.bank import MemoryBank
from oneshot_vos.inference.geometry import most_probable
from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import MemoryFrame
from oneshot_vos.networks.stcn.network import STCN

pytestmark = pytest.mark.golden

_TOLERANCE = 1e-4
_MARGIN = 1e-3  # labels are compared where the two largest probabilities differ by more


@pytest.fixture(scope="module")
def cases(golden_root: Path) -> list[Path]:
    return find_cases(golden_root / "stcn", "clip_")


@dataclass
class Clip:
    """A case: what to run and what should come out."""

    meta: dict[str, Any]
    images: torch.Tensor  # T 3 H W
    ids: np.ndarray  # T H W
    expected: dict[str, np.ndarray]

    @property
    def given(self) -> dict[int, list[int]]:
        """Frame to the objects annotated there."""
        labels = self.meta.get("labels") or {0: range(1, self.meta["objects"] + 1)}
        return {int(frame): list(objects) for frame, objects in labels.items()}

    @property
    def settings(self) -> InferenceSettings:
        return InferenceSettings(
            memory_every=self.meta["mem_every"],
            top_k=self.meta["top_k"],
            max_frames=len(self.images),
            include_last=bool(self.meta.get("include_last", False)),
        )

    def annotate(self, frame: int) -> Annotation:
        objects = self.given[frame]
        masks = torch.from_numpy(np.stack([self.ids[frame] == k for k in objects]).astype(np.float32))
        return Annotation(tuple(objects), masks)


@cache
def network(root: Path, salt: str) -> STCN:
    shapes = read_shapes(root / "stcn", "keys.json")
    return load_weights_of(load_recipe(root), build_blank(STCN), shapes, salt)


def load(root: Path, path: Path) -> Clip:
    meta, expected = read_case(path)
    images, ids = make_clip(load_recipe(root), meta, meta)
    return Clip(meta, images, ids, expected)


def run(net: STCN, clip: Clip, settings: InferenceSettings) -> torch.Tensor:
    """Probabilities [K+1, T, H, W]; frames that are not computed stay background."""
    steps = plan_frames(range(len(clip.images)), clip.given, settings, required=clip.meta.get("req_frames"))
    result = torch.zeros(clip.meta["objects"] + 1, len(clip.images), *clip.images.shape[-2:])
    result[0] = 1e-7
    frames = (clip.images[step.index] for step in steps)
    for t, probabilities in predict_frames(net, steps, frames, clip.annotate, clip.meta["objects"], settings):
        result[:, t] = probabilities
    return result


def compare(name: str, clip: Clip, result: torch.Tensor) -> None:
    # Frames that are not asked for hold whatever the official program computed on its way.
    frames = clip.meta.get("req_frames") or list(range(len(clip.images)))
    step = clip.meta.get("prob_step", 1)
    ours = result[:, frames, ::step, ::step].numpy()
    difference = np.abs(ours - clip.expected["prob"][:, frames]).max()
    assert difference <= _TOLERANCE, f"{name}: probabilities are off by {difference}"
    assert_labels(result[:, frames], clip.expected["labels"][frames])
    if "labels_resized" in clip.expected:
        size = tuple(clip.meta["out_size"])
        resized = torch.nn.functional.interpolate(result[:, frames].transpose(0, 1), size=size, mode="bilinear")
        assert_labels(resized.transpose(0, 1), clip.expected["labels_resized"][frames])
        for t in frames:
            assert_labels(
                resized[frames.index(t)][:, None],
                clip.expected["labels_resized"][t][None],
                most_probable(result[:, t], size, chunk=2)[None],
            )


def assert_labels(probabilities: torch.Tensor, expected: np.ndarray, labels: torch.Tensor | None = None) -> None:
    """Labels of [K+1, T, H, W] equal the expected ones [T, H, W] wherever the decision is clear."""
    best = probabilities.topk(2, dim=0).values
    clear = (best[0] - best[1] > _MARGIN).numpy()
    labels = probabilities.argmax(0) if labels is None else labels
    assert np.array_equal(labels.numpy()[clear], expected[clear])


def test_bank_reads(golden_root: Path) -> None:
    """All of the memory, the best few positions of it, and a temporary last frame."""
    for path in find_cases(golden_root / "stcn", "memory_read"):
        case = {name: torch.from_numpy(array) for name, array in read_case(path)[1].items()}
        keys, values = case["mk"].unbind(2), case["mv"].unbind(2)
        stored = [MemoryFrame(key, None, None, value[None], None) for key, value in zip(keys, values, strict=True)]
        for name, expected in case.items():
            kind = re.fullmatch(r"readout_(all|top(\d+))", name)
            if kind:
                bank = MemoryBank(len(stored), int(kind[2]) if kind[2] else None)
                for frame in stored:
                    bank.add(frame)
                torch.testing.assert_close(bank.read(case["qk"], None)[0], expected, rtol=_TOLERANCE, atol=_TOLERANCE)
        bank = MemoryBank(1, 20, temporary=True)
        bank.add(stored[0])
        last = stored[1]
        for name, frame in [
            ("readout_temp", last),
            ("readout_temp_replaced", last._replace(key=0.5 * last.key, value=2 * last.value)),
        ]:
            bank.add_temporary(frame)
            torch.testing.assert_close(bank.read(case["qk"], None)[0], case[name], rtol=_TOLERANCE, atol=_TOLERANCE)


def test_clips(cases: list[Path], golden_root: Path) -> None:
    for path in cases:
        clip = load(golden_root, path)
        compare(path.name, clip, run(network(golden_root, clip.meta["salt"]), clip, clip.settings))


def test_one_object_at_a_time_gives_the_same(cases: list[Path], golden_root: Path) -> None:
    clips = [load(golden_root, path) for path in cases]
    several = [clip for clip in clips if clip.meta["objects"] > 1]
    if not several:
        pytest.skip("no clip with several objects")
    clip = several[0]
    settings = InferenceSettings(**{**vars(clip.settings), "object_chunk": 1})
    compare("in chunks", clip, run(network(golden_root, clip.meta["salt"]), clip, settings))
