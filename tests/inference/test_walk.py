"""Walking a video both ways: which frames, in which order, from which masks, and where a walk may be broken off."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from tests.stages.clips import TINY, ids, write_folder, write_masks, write_two_scenes

from oneshot_vos.errors import UserError
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.plan import Memorise, Step
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference.walk import Walk, load_tracker, plan_both_ways, save_tracker
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import FrameSource, open_frames

CPU = torch.device("cpu")
FRAMES = 12
SETTINGS = {
    "whole frames": InferenceSettings(memory_every=2, max_frames=4),
    "mirrored": InferenceSettings(memory_every=2, max_frames=3, flip=True, object_chunk=1),
    "all frames": InferenceSettings(memory_every=3, top_k=None, max_frames=None, include_last=True),
    "long-term": InferenceSettings(
        memory_every=1, max_frames=None, long_term=LongTerm(max_frames=4, min_frames=2, prototypes=4, max_elements=16)
    ),
}


def network(model: str) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(model, TINY[model]).eval()


def given_masks(source: FrameSource, files: dict[int, str]) -> GivenMasks:
    return find_masks([f"{t:05}={file}" for t, file in files.items()], source, source.path.parent)


@pytest.mark.parametrize("labelled", [[0], [5], [11], [0, 11], [3, 4, 9]])
def test_every_frame_is_output_once_and_in_the_order_of_its_walk(tmp_path: Path, labelled: list[int]) -> None:
    source = open_frames(write_folder(tmp_path / "v", FRAMES, 2))
    files = write_masks(tmp_path / "given", *labelled)
    given = given_masks(source, dict(zip(labelled, files, strict=True)))
    routes = plan_both_ways(FRAMES, given, InferenceSettings(), network("stcn"))
    first = labelled[0]
    steps = {route.name: list(zip(route.order, route.steps, strict=True)) for route in routes}
    output = {name: [t for t, step in pairs if step.output] for name, pairs in steps.items()}
    assert output["forwards"] == list(range(first, FRAMES))
    assert output.get("backwards", []) == list(range(first - 1, -1, -1))
    annotated = {name: [t for t, step in pairs if step.annotated] for name, pairs in steps.items()}
    assert annotated["forwards"] == labelled
    assert annotated.get("backwards", [first]) == [first]


def test_ids_of_all_masks_are_known_before_the_first_frame(tmp_path: Path) -> None:
    files = write_masks(tmp_path / "a", 2, values=(300, 0)) + write_masks(tmp_path / "b", 5, objects=2, values=(4, 300))
    source = open_frames(write_folder(tmp_path / "v", FRAMES, 2))
    given = given_masks(source, {2: files[0], 5: files[1]})
    assert given.ids == (4, 300)
    annotation = given.annotation(5, (48, 64))
    assert annotation.channels == (1, 2)
    assert annotation.masks.sum((1, 2)).tolist() == [(ids(5, 2) == 1).sum(), (ids(5, 2) == 2).sum()]


@pytest.mark.parametrize("model", ["stcn", "xmem", "cutie"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_walk_that_is_saved_and_restored_goes_on_bit_by_bit(
    tmp_path: Path, model: str, settings: InferenceSettings
) -> None:
    source = open_frames(write_folder(tmp_path / "v", FRAMES, 2))
    files = {3: write_masks(tmp_path / "a", 3)[0], 6: write_masks(tmp_path / "b", 6, objects=2)[0]}
    given = given_masks(source, files)
    built = network(model)
    route = plan_both_ways(FRAMES, given, settings, built)[0]

    def walk() -> Walk:
        return Walk(built, source, given, route, settings, device=CPU, probabilities=True)

    straight = {result.frame: result for result in walk().frames()}
    broken = {}
    while len(broken) < len(straight):  # a new walk for every two frames
        part = walk()
        assert part.restore(tmp_path / "snapshot.pt") == bool(broken)
        for count, result in enumerate(part.frames(), 1):
            broken[result.frame] = result
            if count == 2:
                part.save(tmp_path / "snapshot.pt")
                break
    assert list(broken) == list(range(3, FRAMES))
    for t, result in straight.items():
        assert np.array_equal(result.ids, broken[t].ids)
        assert torch.equal(result.probabilities, broken[t].probabilities)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *(("stcn", "whole frames"), ("stcn", "all frames"), ("xmem", "mirrored")),
        *(("xmem", "long-term"), ("cutie", "whole frames"), ("cutie", "mirrored")),
    ],
)
def test_a_scene_cut_forgets_the_last_moments_wherever_a_walk_is_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, model: str, kind: str
) -> None:
    settings = SETTINGS[kind]
    source = open_frames(write_two_scenes(tmp_path / "v", 6, 5))
    given = given_masks(source, {0: write_masks(tmp_path / "given", 0)[0]})
    built = network(model)
    route = plan_both_ways(11, given, settings, built)[0]

    def walk(scene_cuts: bool) -> Walk:
        return Walk(built, source, given, route, settings, device=CPU, probabilities=True, scene_cuts=scene_cuts)

    with caplog.at_level("INFO"):
        plain = [result.probabilities for result in walk(False).frames()]
        assert "scene cut" not in caplog.text
        whole = [result.probabilities for result in walk(True).frames()]
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}/v: scene cut at frame 00006 (forwards)"]
    assert all(torch.equal(one, other) for one, other in zip(plain[:6], whole[:6], strict=True))
    short_term = built.recurrent or settings.include_last
    assert torch.equal(plain[6], whole[6]) != short_term
    for stop in (5, 6, 7, 9):
        part = walk(True)
        for _ in zip(range(stop), part.frames(), strict=False):
            part.save(tmp_path / "s.pt")
        rest = walk(True)
        assert rest.restore(tmp_path / "s.pt")
        found = [result.probabilities for result in rest.frames()]
        assert all(torch.equal(one, other) for one, other in zip(found, whole[stop:], strict=True))


def test_a_snapshot_whose_tensors_fit_no_frame_of_the_video_is_refused(tmp_path: Path) -> None:
    source, built = open_frames(write_folder(tmp_path / "v", FRAMES, 2)), network("stcn")
    given = given_masks(source, {0: write_masks(tmp_path / "a", 0)[0]})
    route = plan_both_ways(FRAMES, given, InferenceSettings(), built)[0]

    def walk() -> Walk:
        return Walk(built, source, given, route, InferenceSettings(), device=CPU)

    part, file = walk(), tmp_path / "snapshot.pt"
    for _ in zip(range(2), part.frames(), strict=False):
        part.save(file)
    content = torch.load(file, weights_only=True)
    bank = content["tracker"]["memories"][0]["bank"]
    bank["groups"] = [(start, values[..., :1, :]) for start, values in bank["groups"]]
    torch.save(content, file)
    rest = walk()
    assert rest.restore(file)
    with pytest.raises(UserError, match=r"snapshot\.pt: does not fit this video .*Delete it, then rerun"):
        list(rest.frames())


class NamedState(STCN):
    """A network whose state has names, which a file does not know."""

    class State(NamedTuple):
        seen: torch.Tensor

    def initial_state(self, features, objects):
        return self.State(torch.zeros(1, objects, 1))

    def memorise(self, features, masks, state, *, deep=True):
        frame, _ = super().memorise(features, masks, (), deep=deep)
        return frame, self.State(state[0] + masks.mean((-2, -1))[..., None])


def test_a_snapshot_holds_whatever_state_a_network_has(tmp_path: Path) -> None:
    built = NamedState(**TINY["stcn"])
    trackers = [ObjectTracker(built.eval(), 1, InferenceSettings()) for _ in range(2)]
    annotation = Annotation((1,), torch.eye(32)[None])
    trackers[0].advance(Step(0, memorise=Memorise.PERMANENT, annotated=True), torch.rand(3, 32, 32), annotation)
    save_tracker(tmp_path / "s.pt", trackers[0], 1)
    assert load_tracker(tmp_path / "s.pt", trackers[1], CPU, 2) == 1
    image = torch.rand(3, 32, 32)
    one, other = (tracker.advance(Step(1, tracked=True), image, None) for tracker in trackers)
    assert torch.equal(one, other)


@pytest.mark.parametrize("change", [{"version": "0.0.1"}, {"position": 9}, {"position": -1}, {"tracker": {}}])
def test_a_snapshot_that_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    tracker = ObjectTracker(network("stcn"), 1, InferenceSettings())
    save_tracker(tmp_path / "s.pt", tracker, 1)
    torch.save({**torch.load(tmp_path / "s.pt", weights_only=True), **change}, tmp_path / "s.pt")
    before = tracker.state_dict()
    with caplog.at_level("INFO"):
        assert load_tracker(tmp_path / "s.pt", tracker, CPU, 2) is None
    assert "s.pt: not usable" in caplog.text
    assert tracker.state_dict() == before
