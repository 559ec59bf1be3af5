"""Whole clips against the numbers of the official Cutie; settings come from the files, so any folder will do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, find_cases, load_recipe, load_weights_of, make_clip, read_case, read_shapes
from tests.inference.memories import sizes
from tests.inference.official import CutieTracker

from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.cutie.network import Cutie

pytestmark = pytest.mark.golden
NewTracker = Callable[[Cutie, int, InferenceSettings], ObjectTracker]

_TOLERANCE = 2e-3  # of probabilities, stored in float16
_WRONG_IDS = 0.005  # of the pixels, where two objects nearly tie
_MODELS = {"base": {}, "small": {"pixel_block": "basic", "pixel_depths": (2, 2, 2)}}
_SETTINGS = {  # the official names and values
    "mem_every": 5,
    "top_k": 30,
    "stagger_updates": 5,
    "chunk_size": -1,
    "flip_aug": False,
    "max_internal_size": -1,
    "max_mem_frames": 5,
    "use_long_term": False,
    "long_term.count_usage": True,
    "long_term.max_mem_frames": 10,
    "long_term.min_mem_frames": 5,
    "long_term.num_prototypes": 128,
    "long_term.max_num_tokens": 10_000,
    "long_term.buffer_tokens": 2_000,
}
_DELETED = ("delete", "deleted", "remove", "removed")  # under which a step may name objects to forget before it


@dataclass
class Run:
    """One clip of a file: what to run and what should come out."""

    name: str
    model: str
    salt: str
    meta: dict[str, Any]
    expected: dict[str, np.ndarray]
    images: torch.Tensor  # T 3 H W
    ids: np.ndarray  # T H W

    @property
    def given(self) -> dict[int, list[int]]:
        """Frame to the objects whose masks are given there."""
        return {int(t): list(step["objects"]) for t, step in self.meta["steps"].items() if step.get("objects")}

    @property
    def objects(self) -> list[int]:
        """All objects of the run, ascending; the network's channel k is objects[k - 1]."""
        return sorted({number for given in self.given.values() for number in given})

    def removed(self, t: int) -> set[int]:
        """The objects that are deleted before frame t."""
        step, known = self.meta["steps"].get(str(t), {}), self.meta["object_ids"]
        named = {number for key in _DELETED for number in step.get(key, [])}
        return named or (set(known[t - 1]) - set(known[t]) if t else set())

    @property
    def settings(self) -> InferenceSettings:
        """As the file has them."""
        chosen = _SETTINGS | self.meta["overrides"]
        long_term = LongTerm(
            max_frames=chosen["long_term.max_mem_frames"],
            min_frames=chosen["long_term.min_mem_frames"],
            prototypes=chosen["long_term.num_prototypes"],
            max_elements=chosen["long_term.max_num_tokens"],
            buffer=chosen["long_term.buffer_tokens"],
        )
        options = {
            "memory_every": chosen["mem_every"],
            "top_k": chosen["top_k"],
            "max_frames": chosen["max_mem_frames"],
            "object_chunk": chosen["chunk_size"] if chosen["chunk_size"] > 0 else None,
            "stagger_updates": chosen["stagger_updates"],
            "long_term": long_term if chosen["use_long_term"] else None,
            "internal_size": chosen["max_internal_size"] if chosen["max_internal_size"] > 0 else None,
            "flip": bool(chosen["flip_aug"]),
        }
        return InferenceSettings(**options)

    def annotation(self, t: int) -> Annotation | None:
        if t not in self.given:
            return None
        masks = torch.from_numpy(np.stack([self.ids[t] == number for number in self.given[t]]).astype(np.float32))
        return Annotation(tuple(self.objects.index(number) + 1 for number in self.given[t]), masks)


@cache
def network(root: Path, model: str, salt: str) -> Cutie:
    shapes = read_shapes(root / "cutie", f"keys_{model}.json")
    return load_weights_of(load_recipe(root), build_blank(lambda: Cutie(**_MODELS[model])), shapes, salt)


@pytest.fixture(scope="module")
def runs(golden_root: Path) -> list[Run]:
    return [run for path in find_cases(golden_root / "cutie", "_infer") for run in load(golden_root, path)]


def load(root: Path, path: Path) -> Iterator[Run]:
    meta, arrays = read_case(path)
    tags = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))  # in the order of the videos
    assert sorted(tags) == sorted(meta["runs"])
    for number, tag in enumerate(tags):
        own = {name.removeprefix(f"{tag}."): array for name, array in arrays.items() if name.startswith(f"{tag}.")}
        video = meta["videos"][number if len(meta["videos"]) == len(tags) else 0]
        assert video["objects"] == meta["runs"][tag]["video_objects"]
        images, ids = make_clip(load_recipe(root), video, video)
        yield Run(f"{path.stem}/{tag}", meta["model"], meta["salt"], meta["runs"][tag], own, images, ids)


def check(root: Path, run: Run, new_tracker: NewTracker) -> None:
    """Segment the clip and compare every frame."""
    net, settings = network(root, run.model, run.salt), run.settings
    steps = plan_frames(
        range(len(run.images)), run.given, settings, recurrent=True, updates_memory_frames=net.updates_memory_frames
    )
    tracker = new_tracker(net, len(run.objects), settings)
    for step in steps:
        t = step.index
        tracker.remove([run.objects.index(number) + 1 for number in run.removed(t)])
        probabilities = tracker.advance(step, run.images[t], run.annotation(t))
        expected = run.expected[f"prob_{t}"].astype(np.float32)
        if len(expected) == 1:  # no object yet, or none left
            assert not tracker.channels
            continue
        assert [run.objects[channel - 1] for channel in tracker.channels] == run.meta["object_ids"][t]
        ours = probabilities[[0, *tracker.channels]].numpy()
        error = np.abs(ours - expected).max()
        assert error <= _TOLERANCE, f"{run.name}: probabilities of frame {t} are off by {error:.2g}"
        table = np.array([0, *run.meta["object_ids"][t]])
        wrong = (table[ours.argmax(0)] != run.expected[f"ids_{t}"]).mean()
        assert wrong <= _WRONG_IDS, f"{run.name}: {wrong:.1%} of the ids of frame {t} are others"
        rows = [row[1:] for row in run.meta["memory_sizes"][t]]
        assert [list(size) for size in sizes(tracker.banks[0])] == rows, f"{run.name}: memory after frame {t}"


def test_clips(runs: list[Run], golden_root: Path) -> None:
    for run in runs:
        check(golden_root, run, CutieTracker)


def test_with_all_objects_from_the_start_there_is_no_quirk(runs: list[Run], golden_root: Path) -> None:
    """Objects of one group make the official program and ours the same, as long as they are decoded together."""
    for run in runs:
        if (
            len(run.given) == 1
            and len(run.objects) > 1
            and run.settings.object_chunk is None
            and not any(run.removed(t) for t in range(len(run.images)))
        ):
            check(golden_root, run, ObjectTracker)
            return
    pytest.skip("no such run")
