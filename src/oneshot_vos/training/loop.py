"""The training loop: the same for every network, every strategy and both stages (static images, then videos)."""

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from oneshot_vos.clips.batch import Clip, ClipBatch
from oneshot_vos.errors import UserError
from oneshot_vos.interrupts import stop_requests
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.precision import choose_training_precision, training_precision
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Training
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.batches import load_batches, positions
from oneshot_vos.training.checkpoint import Progress, StateFolder
from oneshot_vos.training.distributed import World
from oneshot_vos.training.schedule import build_optimiser, learning_rate_factor, set_learning_rate
from oneshot_vos.training.terms import LossTerms

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A training that has run to its end."""

    curve: list[dict[str, float]]  # one row per logged iteration; complete where the process leads
    seconds: float


def fit(
    strategy: Strategy,
    dataset: Dataset[Clip],
    recipe: Training,
    *,
    seed: int,
    state: StateFolder,
    world: World,
    title: str,
    snapshots: Collection[int] = (),
    until: int | None = None,
) -> Finished:
    """Train `strategy.network` in place for `recipe.iterations`, resuming from the last checkpoint if there is one.

    until: the iteration to pause after, with a checkpoint; another call resumes. None: the last one.
    After the iterations `snapshots` the weights are also kept in the state folder, as `state.snapshot(iteration)`.
    Raises `UserError` when the loss is no longer finite, naming the iteration and the clips: not at once, but before
    anything is logged, saved or kept.
    """
    if recipe.batch_size % (world.size * recipe.accumulation):
        raise UserError(
            f"batch_size {recipe.batch_size} cannot be shared by {world.size} processes × {recipe.accumulation} "
            "accumulation steps: make it a multiple of their product"
        )
    network, end = strategy.network, recipe.iterations if until is None else until
    strategy.to(world.device).train()
    step = TrainingStep(strategy, recipe, seed, world)
    resumed = state.load()
    world.wait()  # a checkpoint that does not fit stays until everybody has seen that
    if world.leads:
        state.set_aside()
    if resumed:
        step.restore(resumed)
        if world.leads:
            _log_resumed(title, resumed, world.size)
    start, seconds = (resumed.iteration, resumed.seconds) if resumed else (0, 0.0)
    curve = list(resumed.curve) if resumed else []
    mine = positions(world, recipe.batch_size, recipe.accumulation, start, end)
    loading = closing(load_batches(dataset, mine, recipe.workers, world.device))  # or workers outlive an error
    clock = Clock(seconds)

    # A bar for terminals; for files, which would show each of its states, a line from time to time.
    hidden = None if world.leads else True  # None: where nobody watches a terminal
    bar = tqdm(total=recipe.iterations, initial=start, desc=title, unit="it", mininterval=2.0, disable=hidden)
    lines = Lines(title, start, recipe.iterations)
    with loading as batches, bar, stop_requests() as stop:
        for iteration in range(start, end):
            rate = step(iteration, list(clock.waiting(islice(batches, recipe.accumulation))))
            done = iteration + 1
            bar.update()
            logs = done % recipe.log_every == 0 or done == end
            stop.requested = world.agree_to_stop(stop.requested)
            saves = done % recipe.checkpoint_every == 0 or done == end or bool(stop.requested)
            if not (logs or saves or done in snapshots):
                continue
            terms = step.terms.read()  # every process has to; what is written below is known to be finite
            if logs and world.leads:
                waited, speed = clock.lap(recipe.batch_size * recipe.frames)
                curve.append({"iteration": done, **terms, "learning_rate": rate, "images_per_second": speed})
                bar.set_postfix(loss=f"{terms['loss']:.3f}", data_wait=f"{waited:.0%}", refresh=False)
                if bar.disable:
                    lines.write(done, terms["loss"], speed, waited)
            if saves or done in snapshots:
                _require_finite(network, done)
            if done in snapshots and world.leads:
                save_weights(state.snapshot(done), network, {"run": title, "iteration": done})
            if saves:
                if world.leads:
                    state.save(step.progress(done, curve, clock.total()))
                world.wait()
                if stop.requested and world.leads:
                    _log_stopped(title, done, state.folder)
                stop.leave()
    return Finished(curve, clock.total())


class TrainingStep:
    """One optimiser step over the micro-batches of an iteration, and all state that steps change."""

    def __init__(self, strategy: Strategy, recipe: Training, seed: int, world: World) -> None:
        self.terms = LossTerms(world)
        self._strategy = strategy
        self._optimiser = build_optimiser(recipe.optimiser, strategy.network)
        self._recipe = recipe
        self._seed = seed
        self._world = world
        self._dtype = choose_training_precision(world.device, recipe.precision)
        self._scaler = torch.amp.GradScaler(world.device.type, enabled=self._dtype == torch.float16)
        self._compute = world.wrap(strategy)
        if world.leads:
            name, scaled = str(self._dtype).removeprefix("torch."), " with loss scaling" * self._scaler.is_enabled()
            _log.info("computing in %s%s on %s (precision: %s)", name, scaled, world.device.type, recipe.precision)

    def __call__(self, iteration: int, batches: list[ClipBatch]) -> float:
        """Returns the learning rate used; nothing here waits for the device, unless gradients are scaled."""
        recipe, network = self._recipe, self._strategy.network
        rate = recipe.optimiser.learning_rate
        rate *= learning_rate_factor(recipe.schedule, iteration, recipe.iterations)
        set_learning_rate(self._optimiser, rate)
        number = self._world.share(recipe.batch_size).start  # of a clip in the whole batch
        for batch in batches:
            generators = Generators.of(self._seed, iteration, range(number, number + len(batch)))
            number += len(batch)
            with self._world.postponing(self._compute, postponed=batch is not batches[-1]):
                with training_precision(self._world.device, self._dtype):
                    terms: dict[str, Tensor] = self._compute(batch, iteration, generators)
                self._scaler.scale(terms["total"] / len(batches)).backward()
            self.terms.add(iteration, terms, batch.names)
        self._scaler.unscale_(self._optimiser)
        if recipe.optimiser.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
        self._scaler.step(self._optimiser)  # skipped where scaling made a gradient too large for float16
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self._strategy.after_step(iteration)
        return rate

    def restore(self, progress: Progress) -> None:
        """Go on from a checkpoint."""
        self._strategy.network.load_state_dict(progress.network)
        self._optimiser.load_state_dict(progress.optimiser)
        self._strategy.load_state(progress.strategy)
        if self._scaler.is_enabled() and progress.scaler:
            self._scaler.load_state_dict(progress.scaler)

    def progress(self, iteration: int, curve: list[dict[str, float]], seconds: float) -> Progress:
        """What a checkpoint after `iteration` iterations has to keep."""
        weights, moments = self._strategy.network.state_dict(), self._optimiser.state_dict()
        kept, scale, processes = self._strategy.state(), self._scaler.state_dict(), self._world.size
        return Progress(iteration, weights, moments, curve, seconds, kept, scale, processes)


def _log_resumed(title: str, progress: Progress, processes: int) -> None:
    before = "" if progress.processes == processes else f"; it was {progress.processes} before"
    _log.info("%s: resuming after iteration %d in %d process(es)%s", title, progress.iteration, processes, before)


def _log_stopped(title: str, iteration: int, folder: Path) -> None:
    _log.info(
        "%s: stopped after iteration %d; rerun to resume, or take its weights with: oneshot-vos export %s",
        title,
        iteration,
        folder,
    )


def _require_finite(network: nn.Module, iterations: int) -> None:
    """Gradients may have overflowed where the loss did not."""
    if not torch.stack([weights.isfinite().all() for weights in network.parameters()]).all():
        raise UserError(
            f"the weights are not finite after {iterations} iterations. Lower the learning rate, set optimiser.clip, "
            "or use precision: float32; the last checkpoint is kept"
        )


class Lines:
    """Tells a log file how far a training is: not more often than every `EVERY` seconds."""

    EVERY = 20.0

    def __init__(self, title: str, start: int, end: int) -> None:
        self._title, self._start, self._end = title, start, end
        self._began = self._last = time.monotonic()

    def write(self, done: int, loss: float, speed: float, waited: float) -> None:
        """Iterations done, the loss, images per second, the share of time that data were waited for, the time left."""
        now = time.monotonic()
        if now - self._last < self.EVERY:
            return
        self._last = now
        left = (now - self._began) / (done - self._start) * (self._end - done)
        _log.info(
            "%s: iteration %d of %d, loss %.3f, %.1f images/s, %.0f %% waiting for data, %s left",
            *(self._title, done, self._end, loss, speed, 100 * waited, timedelta(seconds=round(left))),
        )


class Clock:
    """Time spent training, over all starts, and the share of it spent waiting for data."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._start = self._lap = time.perf_counter()
        self._waited = 0.0
        self._iterations = 0

    def waiting(self, items: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
        """The same micro-batches of one iteration; counts how long each is waited for."""
        while True:
            asked = time.perf_counter()
            item = next(items, None)
            self._waited += time.perf_counter() - asked
            if item is None:
                break
            yield item
        self._iterations += 1

    def lap(self, images: int) -> tuple[float, float]:
        """Share of waiting and images per second since the last call; `images` are those of one iteration."""
        now = time.perf_counter()
        passed = now - self._lap
        waited, speed = self._waited / passed, images * self._iterations / passed
        self._lap, self._waited, self._iterations = now, 0.0, 0
        return waited, speed

    def total(self) -> float:
        """Seconds, over all starts."""
        return self._before + time.perf_counter() - self._start
