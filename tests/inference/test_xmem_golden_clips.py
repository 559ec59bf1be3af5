"""Whole clips against the numbers of the official XMem; settings come from the files, so any folder will do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, find_cases, load_recipe, load_weights_of, make_clip, read_case, read_shapes
from tests.inference.memories import sizes
from tests.inference.official import SharedLongTermBank, xmem_tracker

from oneshot_vos.inference.bank import Bank
from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.xmem.network import XMem

pytestmark = pytest.mark.golden
NewTracker = Callable[[XMem, int, InferenceSettings], ObjectTracker]

_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-3  # of float32 and of float16 numbers; relative above 1
_MARGIN = 2e-3  # labels are compared where the two largest probabilities differ by more


@dataclass
class Case:
    """One file: what to run and what should come out."""

    name: str
    meta: dict[str, Any]
    expected: dict[str, np.ndarray]
    images: torch.Tensor  # T 3 H W
    ids: np.ndarray  # T H W

    @property
    def given(self) -> dict[int, list[int]]:
        """Frame to the objects given there."""
        return {int(frame): list(objects) for frame, objects in self.meta["labels_given"].items()}

    def check(self, name: str, ours: np.ndarray, tolerance: float = _TOLERANCE) -> None:
        expected = self.expected[name]
        assert ours.shape == expected.shape, f"{self.name}: {name}"
        error = np.abs(ours - expected) / np.maximum(np.abs(expected), 1)
        assert error.max(initial=0) <= tolerance, f"{self.name}: {name} is off by {error.max():.2g}"


@dataclass
class Result:
    """What came out of a clip."""

    probabilities: torch.Tensor  # T K+1 H W
    sizes: list[list[int]]  # positions in working and long-term memory after every frame
    bank: Bank


@cache
def network(root: Path, salt: str, hidden_dim: int) -> XMem:
    shapes = read_shapes(root / "xmem", "keys.json" if hidden_dim else "keys_no_hidden.json")
    return load_weights_of(load_recipe(root), build_blank(lambda: XMem(hidden_dim=hidden_dim)), shapes, salt)


@pytest.fixture(scope="module")
def cases(golden_root: Path) -> list[Case]:
    return [load(golden_root, path) for path in find_cases(golden_root / "xmem", "infer_")]


def load(root: Path, path: Path) -> Case:
    meta, expected = read_case(path)
    return Case(path.stem, meta, expected, *make_clip(load_recipe(root), meta["video"], meta))


def settings_of(config: dict[str, Any], **changes: Any) -> InferenceSettings:
    long_term = LongTerm(
        max_frames=config["max_mid_term_frames"],
        min_frames=config["min_mid_term_frames"],
        prototypes=config["num_prototypes"],
        max_elements=config["max_long_term_elements"],
    )
    every = config["deep_update_every"]
    options = {
        "memory_every": config["mem_every"],
        "top_k": config["top_k"],
        "max_frames": None,
        "deep_update_every": None if every < 0 else every,
        "long_term": long_term if config["enable_long_term"] else None,
    }
    return InferenceSettings(**options | changes)


def run(net: XMem, case: Case, settings: InferenceSettings, new_tracker: NewTracker = xmem_tracker) -> Result:
    objects = max(max(labels) for labels in case.given.values())
    steps = plan_frames(
        range(len(case.images)), case.given, settings, recurrent=True, updates_memory_frames=net.updates_memory_frames
    )
    tracker = new_tracker(net, objects, settings)
    (bank,) = tracker.banks
    probabilities, counted = [], []
    for step in steps:
        probabilities.append(tracker.advance(step, case.images[step.index], annotation(case, step.index)))
        first = bank.sizes[0] if isinstance(bank, SharedLongTermBank) else sizes(bank)[0]
        counted.append([first.permanent + first.temporary, first.long_term])
    return Result(torch.stack(probabilities), counted, bank)


def annotation(case: Case, frame: int) -> Annotation | None:
    labels = case.given.get(frame)
    if labels is None:
        return None
    masks = torch.from_numpy(np.stack([case.ids[frame] == label for label in labels]).astype(np.float32))
    return Annotation(tuple(labels), masks)


def compare(case: Case, result: Result) -> None:
    ours = result.probabilities.numpy()
    for t, planes in enumerate(case.meta["planes"]):
        ours[t, planes:] = 0  # objects that are not known yet; here as improbable as the aggregation allows
    ours = ours[:, : case.expected["prob"].shape[1]]
    case.check("prob", ours, _HALF_TOLERANCE)
    case.check("prob_sub", ours[..., ::4, ::4])
    best = np.sort(case.expected["prob"].astype(np.float32), 1)
    clear = best[:, -1] - best[:, -2] > _MARGIN
    assert np.array_equal(ours.argmax(1)[clear], case.expected["argmax"][clear]), case.name


def test_clips(cases: list[Case], golden_root: Path) -> None:
    for case in cases:
        config = case.meta["config"]
        net = network(golden_root, case.meta["salt"], config["hidden_dim"])
        result = run(net, case, settings_of(config))
        compare(case, result)
        assert result.sizes == case.expected["memory_sizes"].tolist(), case.name
        if config["enable_long_term"]:
            compare_long_term(case, result.bank)


def compare_long_term(case: Case, bank: Bank) -> None:
    assert isinstance(bank, SharedLongTermBank)
    case.check("work_usage", bank.working_usage.numpy())
    stored = bank.long_term
    if not stored:
        assert case.expected.get("long_key", np.empty(0)).size == 0
        return
    case.check("long_key", stored["key"].T.numpy())
    case.check("long_shrinkage", stored["keys"][:, -1].numpy())
    groups = [values.permute(0, 2, 1).numpy() for values in bank.long_term_values]  # objects CV L
    filled = [values for values in groups if values.shape[2]]
    assert [values.shape[2] for values in filled] == case.expected["long_value_sizes"].tolist(), case.name
    for number, values in enumerate(filled):
        case.check(f"long_value_group{number}", values[:, ::16])


def several_objects(cases: list[Case], wanted: Callable[[Case], bool] = lambda _: True) -> Case:
    for case in cases:
        if case.meta["video"]["objects"] > 1 and wanted(case):
            return case
    pytest.skip("no such clip with several objects")


def test_one_object_at_a_time_gives_the_same(cases: list[Case], golden_root: Path) -> None:
    case = several_objects(cases, lambda case: bool(case.meta["config"]["enable_long_term"]))
    config = case.meta["config"]
    net = network(golden_root, case.meta["salt"], config["hidden_dim"])
    compare(case, run(net, case, settings_of(config, object_chunk=1)))


def test_with_all_objects_from_the_start_there_is_no_quirk(cases: list[Case], golden_root: Path) -> None:
    """The official memory differs from ours only where objects come later, or where equal usages are at stake."""
    case = several_objects(cases, lambda case: len(case.given) == 1 and not case.meta.get("removals"))
    config = case.meta["config"]
    net = network(golden_root, case.meta["salt"], config["hidden_dim"])
    compare(case, run(net, case, settings_of(config), ObjectTracker))
