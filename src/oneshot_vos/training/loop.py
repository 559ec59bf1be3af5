"""The training loop: the same for every network, every strategy and both stages (static images, then videos)."""

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from tqdm import tqdm

from oneshot_vos.clips.dataset import ClipBatch
from oneshot_vos.errors import UserError
from oneshot_vos.interrupts import stop_requests
from oneshot_vos.networks.common.precision import choose_precision, training_precision
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Training
from oneshot_vos.supervision.strategy import Strategy
from oneshot_vos.training.batches import EndlessClips, Positions, load_batches
from oneshot_vos.training.checkpoint import Progress, StateFolder
from oneshot_vos.training.distributed import World
from oneshot_vos.training.schedule import build_optimiser, learning_rate_factor, set_learning_rate


@dataclass(frozen=True)
class Finished:
    """A training that has run to its end."""

    curve: list[dict[str, float]]  # one row per logged iteration; complete where the process leads
    seconds: float


def fit(
    strategy: Strategy,
    dataset: EndlessClips,
    recipe: Training,
    *,
    seed: int,
    state: StateFolder,
    world: World,
    title: str,
    snapshots: Collection[int] = (),
) -> Finished:
    """Train `strategy.network` in place for `recipe.iterations`, resuming from the last checkpoint if there is one.

    After the iterations `snapshots` the weights are also kept in the state folder, as `state.snapshot(iteration)`.
    Raises `UserError` when the loss is no longer finite, naming the iteration and the clips.
    """
    if recipe.batch_size % (world.size * recipe.accumulation):
        raise UserError(
            f"batch_size {recipe.batch_size} cannot be shared by {world.size} processes × {recipe.accumulation} "
            "accumulation steps: make it a multiple of their product"
        )
    network = strategy.network
    strategy.to(world.device).train()
    optimiser = build_optimiser(recipe.optimiser, network)
    resumed = state.load()
    if resumed:
        network.load_state_dict(resumed.network)
        optimiser.load_state_dict(resumed.optimiser)
        strategy.load_state(resumed.strategy)
    start, seconds = (resumed.iteration, resumed.seconds) if resumed else (0, 0.0)
    curve = list(resumed.curve) if resumed else []
    step = _Step(strategy, optimiser, recipe, seed, world)
    positions = Positions(world, recipe.batch_size, recipe.accumulation, start, recipe.iterations)
    batches = load_batches(dataset, positions, recipe.workers, world.device)
    clock = _Clock(seconds)

    def save(iteration: int) -> None:
        if world.leads:
            weights, moments, kept = network.state_dict(), optimiser.state_dict(), strategy.state()
            state.save(Progress(iteration, weights, moments, curve, clock.total(), kept))
        world.wait()

    bar = tqdm(total=recipe.iterations, initial=start, desc=title, unit="it", mininterval=2.0, disable=not world.leads)
    with bar, stop_requests() as stop:
        for iteration in range(start, recipe.iterations):
            micro = list(clock.waiting(islice(batches, recipe.accumulation)))
            terms = step(iteration, micro)
            done = iteration + 1
            bar.update()
            if world.leads and (done % recipe.log_every == 0 or done == recipe.iterations):
                waited, speed = clock.lap(recipe.batch_size * recipe.frames)
                curve.append({"iteration": done, **terms, "images_per_second": speed})
                bar.set_postfix(loss=f"{terms['loss']:.3f}", data_wait=f"{waited:.0%}", refresh=False)
            if done in snapshots and world.leads:
                save_weights(state.snapshot(done), network, {"run": title, "iteration": done})
            if done % recipe.checkpoint_every == 0 or stop.requested or done == recipe.iterations:
                save(done)
            stop.leave()
    return Finished(curve, clock.total())


class _Step:
    """One optimiser step over the micro-batches of an iteration."""

    def __init__(
        self,
        strategy: Strategy,
        optimiser: torch.optim.Optimizer,
        recipe: Training,
        seed: int,
        world: World,
    ) -> None:
        self._strategy = strategy
        self._compute = world.wrap(strategy)
        self._optimiser = optimiser
        self._recipe = recipe
        self._seed = seed
        self._device = world.device
        self._dtype = choose_precision(world.device, recipe.precision)

    def __call__(self, iteration: int, batches: list[ClipBatch]) -> dict[str, float]:
        """Returns the mean loss terms and the learning rate used."""
        recipe = self._recipe
        rate = recipe.optimiser.learning_rate
        rate *= learning_rate_factor(recipe.schedule, iteration, recipe.iterations)
        set_learning_rate(self._optimiser, rate)
        # Random choices of the strategy follow from seed and iteration, so that a resumed run makes the same ones.
        generator = torch.Generator().manual_seed((self._seed << 32) + iteration)
        sums: dict[str, float] = {}
        for batch in batches:
            with training_precision(self._device, self._dtype):
                terms: dict[str, Tensor] = self._compute(batch, iteration, generator)
            _require_finite(terms, iteration, batch.names)
            (terms["total"] / len(batches)).backward()
            for name, value in terms.items():
                key = "loss" if name == "total" else name
                sums[key] = sums.get(key, 0.0) + float(value.detach()) / len(batches)
        if recipe.optimiser.clip is not None:
            nn.utils.clip_grad_norm_(self._strategy.network.parameters(), recipe.optimiser.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._strategy.after_step(iteration)
        return {**sums, "learning_rate": rate}


def _require_finite(terms: dict[str, Tensor], iteration: int, names: list[str]) -> None:
    if not math.isfinite(float(terms["total"].detach())):
        values = ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in terms.items())
        raise UserError(
            f"the loss is not finite at iteration {iteration} ({values}) on the clips {', '.join(names)}. Lower the "
            "learning rate, set optimiser.clip, or use precision: float32; the last checkpoint is kept"
        )


class _Clock:
    """Time spent training, over all starts, and the share of it spent waiting for data."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._start = self._lap = time.perf_counter()
        self._waited = 0.0
        self._iterations = 0

    def waiting(self, items: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
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
        return self._before + time.perf_counter() - self._start
