"""One round of `adapt`: train from the weights that there are, watch the agreement, choose what to keep."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot_vos.adaptation.agreement import Measured, Way, measure, plan_ways
from oneshot_vos.adaptation.choosing import chosen_share, exhausted, mix, surer
from oneshot_vos.adaptation.parameters import STRATEGY
from oneshot_vos.adaptation.recipe import choose_recipe
from oneshot_vos.clips.dataset import ClipDataset, ClipSource
from oneshot_vos.clips.sampling import OneShotSampler
from oneshot_vos.files import read_json, taken_apart, write_json
from oneshot_vos.inference.confidence import doubts_of
from oneshot_vos.inference.given import find_given
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Training
from oneshot_vos.stages.adapt_state import Kept, State
from oneshot_vos.stages.segment import Segmenter
from oneshot_vos.stages.train import clips_of_recipe
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.batches import keep_freed_memory, load_batches, positions
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.training.distributed import World
from oneshot_vos.training.job import Job
from oneshot_vos.training.loop import TrainingStep, fit
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.index import read_index, write_index
from oneshot_vos.videos.video import Video

_TRAINING, _CANDIDATES, _EXPECTED = "training", "candidates", "expected"  # folders of a round
_POINTS = 4  # measurements on the way, where time allows
_SHARES = (1.0, 0.5)  # of the trained weights in the candidates; the rest is the start
_MOST, _LEAST = 1000, 20  # iterations of a round
_LOOKS = 4  # at each frame: with old and new weights for the choice, for its mask, and for how far that can be trusted
_TIMED = 3  # iterations that are timed, the first of which does not count
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is decided once, before a round trains: it depends on measured times, and so would differ another time."""

    labels: str  # a fingerprint of all masks
    points: list[int]  # iterations at which the agreement is measured; the last one ends the training
    recipe: dict[str, Any]
    before: dict[str, float]  # agreement of every video with the weights that it has
    asked: int | None  # iterations that somebody asked for


def read_plan(file: Path) -> Plan:
    """The plan of a round, as `adapt` has written it; raises `UserError` for a file of anything else."""
    expected = "the plan of a round"
    content = read_json(file, expected)
    with taken_apart(file, expected, "Delete it, then rerun"):
        return Plan(**content)


@dataclass(frozen=True)
class Budget:
    """How long all of it may take. whole: seconds, from `start` on the monotonic clock; pixels: to be segmented."""

    whole: float
    start: float
    pixels: float

    def left(self) -> float:
        """Seconds."""
        return self.start + self.whole - time.monotonic()


class Round:
    """A round in its folder; whatever is done already is not done again."""

    def __init__(
        self, state: State, videos: Sequence[Video], sets: Mapping[str, Sequence[Video]], device: torch.device
    ) -> None:
        """videos: with all masks. sets: by name, videos with one mask each, which are together all masks."""
        keep_freed_memory()
        self.folder, self._seed = state.round_folder(state.next_round), state.next_round - 1
        self._state, self._start, self._videos, self._device = state, state.start, videos, device
        self._former = {video.name: state.weights_of(video.name) for video in videos}  # what they are segmented with
        self._files = {name: self.folder / "labels" / f"{name}.json" for name in sets}
        for name, each in sets.items():
            write_index(self._files[name], each)

    def plan(self, labels: str, budget: Budget, asked: int | None) -> Plan:
        """The plan of an interrupted run of this round, or a new one. asked: iterations, whatever the budget gives."""
        file = self.folder / "plan.json"
        known = read_plan(file) if file.exists() else None
        if known and known.labels == labels and asked in (None, known.asked):
            _log.info("resuming with the plan of this round: %d iterations", known.points[-1])
            return known
        for name in (_TRAINING, _CANDIDATES, _EXPECTED):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        file.unlink(missing_ok=True)
        draft = choose_recipe(self._videos, self._start.network, self._start.arguments, self._device, asked or _MOST)
        before = self._measure_before(self._ways(draft))
        points = _evenly(asked, _POINTS) if asked else self._in_time(draft, before, budget)
        recipe = draft.model_copy(update={"iterations": points[-1]})
        _log.info(
            "%d iterations on crops of %d pixels, frames at most %d apart; agreement before: %.3f",
            *(points[-1], recipe.crop, _distance(recipe), _mean(before.videos)),
        )
        plan = Plan(labels, points, recipe.model_dump(mode="json"), before.videos, asked)
        write_json(file, asdict(plan))
        return plan

    def finish(self, plan: Plan) -> Kept:
        """Train, measure on the way, and choose: of the best measurement, what suits each video."""
        recipe = Training.model_validate(plan.recipe)
        ways, clips = self._ways(recipe), self._clips(recipe)
        strategy, state = self._strategy(recipe)
        start = {name: tensor.clone() for name, tensor in strategy.network.state_dict().items()}
        measured: dict[tuple[int, float], dict[str, float]] = {}
        course = [(0, _mean(plan.before))]
        for point in plan.points:
            finished = fit(
                strategy,
                clips,
                recipe,
                seed=self._seed,
                state=state,
                world=World(0, 1, self._device),
                title="training",
                until=point,
            )
            for share in _SHARES:
                measured[point, share] = self._measured(strategy.network, start, point, share, ways)
            course.append((point, max(_mean(measured[point, share]) for share in _SHARES)))
            _log.info("after %d iterations: agreement %.3f; before: %.3f", *course[-1], course[0][1])
            if exhausted([value for _, value in course]):
                _log.info("nothing has improved for a while: the training ends here")
                break
        best = max(measured, key=lambda each: _mean(measured[each]))
        iteration = best[0]
        shares = {
            name: chosen_share(value, {share: measured[iteration, share][name] for share in _SHARES})
            for name, value in plan.before.items()
        }
        if _mean(measured[best]) <= course[0][1]:
            shares = dict.fromkeys(shares, 0.0)
        shares = self._surer(shares, iteration)
        return Kept(
            iteration=iteration,
            weights={share: self._candidate(iteration, share) for share in _SHARES},
            shares=shares,
            trained=course[-1][0],
            minutes=round(finished.seconds / 60, 2),
            agreement=course,
            loss=[(int(row["iteration"]), round(row["loss"], 4)) for row in finished.curve],
            before=plan.before,
            after={name: measured[iteration, share or best[1]][name] for name, share in shares.items()},
            recipe=recipe,
        )

    def forget(self) -> None:
        """Remove all that only the round itself needs."""
        for name in (_TRAINING, _CANDIDATES, _EXPECTED, "labels"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "plan.json").unlink(missing_ok=True)

    def _strategy(self, recipe: Training) -> tuple[Strategy, StateFolder]:
        weights = self._state.current
        job = Job("adapt", self._start.network, self._start.arguments, STRATEGY, {}, recipe, self._seed)
        made_from = job.made_from(weights, list(self._files.values()))
        return job.build(weights), StateFolder(self.folder / _TRAINING, made_from)

    def _clips(self, recipe: Training) -> ClipDataset:
        sources = [ClipSource(name, read_index(file)) for name, file in self._files.items()]
        return clips_of_recipe(recipe, OneShotSampler(), self._seed, sources)

    def _ways(self, recipe: Training) -> dict[str, list[Way]]:
        return {video.name: plan_ways(video, _distance(recipe)) for video in self._videos}

    def _network(self, weights: Path) -> Network:
        return load_for_inference(self._start.network, self._start.arguments, weights, self._device)

    def _measure_before(self, ways: Mapping[str, list[Way]]) -> Measured:
        """Every video with the weights that it has."""
        videos: dict[str, float] = {}
        seconds = pixels = 0.0
        for weights in dict.fromkeys(self._former.values()):
            chosen = {name: each for name, each in ways.items() if self._former[name] == weights}
            found = measure(self._network(weights), chosen, "agreement before")
            videos |= found.videos
            seconds, pixels = seconds + found.seconds, pixels + found.pixels
        return Measured({name: videos[name] for name in ways}, seconds, pixels)

    def _candidate(self, point: int, share: float) -> Path:
        return self.folder / _CANDIDATES / f"{point:05}-{share:g}.safetensors"

    def _measured(
        self,
        network: Network,
        start: Mapping[str, Tensor],
        point: int,
        share: float,
        ways: Mapping[str, list[Way]],
    ) -> dict[str, float]:
        """The agreement of the network, mixed with the start; what was measured before is not measured again."""
        file = self._candidate(point, share)
        record = file.with_suffix(".json")
        if not record.exists():
            trained = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
            mixed = build_network(self._start.network, self._start.arguments)
            mixed.load_state_dict(mix(start, trained, share))
            save_weights(file, mixed, {**self._start.metadata, "run": "adapt", "iterations": point, "share": share})
            write_json(record, measure(self._network(file), ways, f"agreement, {share:g} of {point}").videos)
        values: dict[str, float] = read_json(record, "agreements of videos")
        return values

    def _surer(self, shares: Mapping[str, float], iteration: int) -> dict[str, float]:
        """The shares, 0 where these weights do not expect more of their masks of the whole video."""
        chosen = dict.fromkeys(shares, 0.0)
        for video in (each for each in self._videos if shares[each.name]):
            record = self.folder / _EXPECTED / f"{video.name}.json"
            if not record.exists():
                _log.info("%s: the whole video with the weights it had, and with new ones", video.name)
                pair = self._former[video.name], self._candidate(iteration, shares[video.name])
                write_json(record, [self._expected(weights, video) for weights in pair])
            before, after = read_json(record, "the IoU expected of masks")
            if surer(before, after):
                chosen[video.name] = shares[video.name]
            else:
                _log.info("%s: new weights expect IoU %.3f of their masks, old ones %.3f", video.name, after, before)
        return chosen

    def _expected(self, weights: Path, video: Video) -> float:
        """The IoU that a network expects of its masks, a mean over frames without a given mask and over objects."""
        segmenter = Segmenter(weights, self._start.network, self._state.options(self._device))
        source = open_frames(video.frames[0].parent)
        given = find_given(video, "all")
        found = [
            doubt.expected if doubt else 0.0
            for frame in segmenter.frames(source, given)
            if frame.frame not in given.files and frame.probabilities is not None
            for doubt in doubts_of(frame.probabilities, frame.ids, given.ids)
        ]
        return float(np.mean(found)) if found else 1.0

    def _in_time(self, recipe: Training, before: Measured, budget: Budget) -> list[int]:
        """When to measure, the last time at the end: about half of the budget, measuring included."""
        each = self._time_iteration(recipe)
        speed = before.seconds / max(before.pixels, 1.0)
        segmenting = _LOOKS * speed * budget.pixels
        share = max(min(budget.left() - segmenting, budget.whole / 2), 0.1 * budget.whole)
        measuring = before.seconds * len(_SHARES)
        count = max(1, min(_POINTS, int(share / 2 / max(measuring, 1e-3))))
        iterations = int(np.clip((share - count * measuring) / each, _LEAST, _MOST))
        _log.info(
            "%.1f s per iteration; segmenting will take about %.1f minutes, training at most %.1f",
            *(each, segmenting / 60, (iterations * each + count * measuring) / 60),
        )
        return _evenly(iterations, count)

    def _time_iteration(self, recipe: Training) -> float:
        """Seconds, on weights that are thrown away."""
        strategy, _ = self._strategy(recipe)
        strategy.to(self._device).train()
        world = World(0, 1, self._device)
        step = TrainingStep(strategy, recipe, self._seed, world)
        places = positions(world, recipe.batch_size, recipe.accumulation, 0, _TIMED)
        start = 0.0
        for iteration, batch in enumerate(load_batches(self._clips(recipe), places, 0, self._device)):
            step(iteration, [batch])
            step.terms.read()  # waits for the device
            start = time.perf_counter() if iteration == 0 else start
        return (time.perf_counter() - start) / (_TIMED - 1)


def _evenly(iterations: int, count: int) -> list[int]:
    """The ends of `count` equal parts; fewer where there are fewer iterations."""
    count = min(count, iterations)
    return [iterations * part // count for part in range(1, count + 1)]


def _distance(recipe: Training) -> int:
    assert recipe.max_skip is not None  # clips of videos
    return recipe.max_skip.values[0]


def _mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))
