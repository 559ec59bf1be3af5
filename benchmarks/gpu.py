"""What one card does with the profile `paper`: training, inference, loading, `torch.compile`, waits for the device.

    python benchmarks/gpu.py --out results/benchmarks/gpu_h100.json [--davis DAVIS/2017/trainval]
    python benchmarks/gpu.py --only stcn,xmem --parts train,infer --seconds 10

The parts, in this order:

- train: one optimiser step of `training/loop.py`, 2-step and full supervision, on the share of the batch that one of
  `--processes` (2) gets, in the profile's parts, from the middle of the recipe; random clips that lie on the card.
- infer: frames per second of the stage `infer` on one video at 480p with 1 and 3 objects, decoding of JPEG and writing
  of PNG included; `network_fps` leaves reading and writing out. Frames of a DAVIS tree, or made ones; made masks.
- sync: what makes the processor wait for the card, per training step: counts of the profiler (on a CPU, of `item`),
  those of the optimiser apart, whose counts of steps lie on the processor; and the lines that torch's
  `set_sync_debug_mode` names.
- loader: the share of the time that a training with full supervision waits for clips (the recipe's workers, videos of
  640 x 640 made by `sets/generated`, which have DAVIS's number of pixels), and clips per second of the workers alone.
- compile: train (full) and infer (1 object) with the network's modules compiled; memory reading stays as it is.
  Compare with the same keys of train and infer.

Weights are random. A measurement takes about `--seconds` after warm-up; none starts after `--limit` seconds. A failure
is part of the result, and `--out` is written anew after every measurement. Compiling takes longer than all the rest:
`--parts compile --limit 500` by itself has room for it. `--small` is for trying it out: tiny networks and frames. The
part loader needs OpenCV; the others run without.
"""

import argparse
import gc
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import Bench
from PIL import Image
from torch import nn
from torch.profiler import ProfilerActivity, profile

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.files import write_json
from oneshot_vos.inference.writer import segment_set
from oneshot_vos.networks.common.precision import choose_precision, choose_training_precision
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.params import Training, load_params
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.training.batches import load_batches, positions
from oneshot_vos.training.distributed import World
from oneshot_vos.training.job import Job
from oneshot_vos.training.loop import Clock, TrainingStep
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("train", "infer", "sync", "loader", "compile")
STRATEGIES, OBJECTS = ("two_step", "full"), (1, 3)
WARM_UP, WARM_UP_FRAMES = 3, 12
# Events of the profiler in which the processor waits, or may wait, for the card.
WAITS = {"cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy", "aten::item", "aten::_local_scalar_dense"}
Measurement = Callable[[], dict[str, Any]]


# --- training -------------------------------------------------------------------------------------------------------


class Trained:
    """A run of the profile with the share of its batch that one process gets, in the middle of its recipe."""

    def __init__(self, bench: Bench, network: str, strategy: str, *, compiled: bool = False) -> None:
        self.run = f"{network}-{strategy}-static"
        recipe = bench.params.trainings[self.run]
        self.recipe: Training = recipe.model_copy(update={"batch_size": recipe.batch_size // bench.processes})
        settings = bench.params.profile.networks[network]
        job = Job(self.run, network, settings, strategy, {}, self.recipe, 0)
        self.world = World(0, 1, bench.device)
        built = job.build(bench.weights(network)).to(bench.device).train()
        if compiled:
            compile_modules(built.network)
        self.step = TrainingStep(built, self.recipe, 0, self.world)
        self._iterations = count(recipe.iterations // 2)
        self.images = self.recipe.batch_size * recipe.frames

    def advance(self, batches: list[ClipBatch]) -> None:
        """One optimiser step."""
        self.step(next(self._iterations), batches)

    def clips(self) -> list[ClipBatch]:
        """The micro-batches of one iteration, on the card: noise, with as many objects as a clip may have."""
        recipe, draws = self.recipe, torch.Generator().manual_seed(0)
        size, blocks = recipe.batch_size // recipe.accumulation, (recipe.crop // 16,) * 2
        batches = []
        for _ in range(recipe.accumulation):
            ids = torch.randint(0, recipe.objects + 1, (size, recipe.frames, *blocks), generator=draws)
            ids = ids.repeat_interleave(16, 2).repeat_interleave(16, 3)
            batch = ClipBatch(
                torch.randn(size, recipe.frames, 3, recipe.crop, recipe.crop, generator=draws),
                torch.stack([(ids[:, 0] == k).float() for k in range(1, recipe.objects + 1)], 1),
                ids,
                torch.ones(size, recipe.frames, dtype=torch.bool),
                torch.ones(size, recipe.objects),
                ["noise"] * size,
            )
            batches.append(batch.to(self.world.device))
        return batches

    def describe(self) -> dict[str, Any]:
        recipe = self.recipe
        dtype = choose_training_precision(self.world.device, recipe.precision)
        chosen = ("batch_size", "accumulation", "frames", "crop", "objects")
        return {**{key: getattr(recipe, key) for key in chosen}, "dtype": str(dtype).removeprefix("torch.")}


def train(bench: Bench, network: str, strategy: str, *, compiled: bool = False) -> dict[str, Any]:
    """Seconds and memory of one optimiser step."""
    bench.forget_peak()
    start = time.perf_counter()
    trained = Trained(bench, network, strategy, compiled=compiled)
    clips = trained.clips()
    for _ in range(WARM_UP):
        trained.advance(clips)
    bench.wait()
    warm_up = time.perf_counter() - start
    steps, seconds = bench.timed(lambda: trained.advance(clips))
    return {
        **trained.describe(),
        "seconds_per_step": round(seconds / steps, 4),
        "images_per_second": round(trained.images * steps / seconds, 1),
        "peak_gib": bench.peak_gib(),
        "steps": steps,
        "warm_up_seconds": round(warm_up, 1),
        "terms": {name: round(value, 4) for name, value in trained.step.terms.read().items()},
    }


def compile_modules(network: nn.Module) -> None:
    """Compile what encodes and decodes; what lies between, reading of the memory above all, stays as it is."""
    for module in network.children():
        module.compile()


# --- inference ------------------------------------------------------------------------------------------------------


def infer(bench: Bench, network: str, objects: int, *, compiled: bool = False) -> dict[str, Any]:
    """Frames per second of segmenting one video, files included."""
    frames = bench.frames()
    with Image.open(frames[0]) as image:
        width, height = image.size
    ids = np.zeros((height, width), np.uint8)
    for k in range(objects):
        left = (2 * k + 1) * width // (2 * objects + 1)
        ids[height // 4 : 3 * height // 4, left : left + width // (2 * objects + 1)] = k + 1
    mask = bench.folder / f"objects-{objects}.png"
    write_mask(mask, ids)
    bench.forget_peak()
    start = time.perf_counter()
    net = load_for_inference(network, bench.params.profile.networks[network], bench.weights(network), bench.device)
    if compiled:
        compile_modules(net)
    reports = []

    def segment(part: list[Path]) -> None:
        report = segment_set(
            net,
            [Video("video", tuple(part), {part[0].stem: mask})],
            bench.params.profile.infer[network],
            bench.folder / "masks.zip",
            state=bench.folder / "state",
            fingerprint="benchmark",
            dtype=choose_precision(bench.device, "auto"),
        )
        reports.append(report)
        shutil.rmtree(bench.folder / "state")

    segment(frames[:WARM_UP_FRAMES])
    warm_up = time.perf_counter() - start
    reports.clear()
    _, seconds = bench.timed(lambda: segment(frames))
    done = sum(report.frames for report in reports)
    return {
        "fps": round(done / seconds, 2),
        "network_fps": round(done / sum(report.seconds for report in reports), 2),
        "peak_gib": bench.peak_gib(),
        "objects": objects,
        "size": [height, width],
        "video_frames": len(frames),
        "frames": done,
        "dtype": str(choose_precision(bench.device, "auto")).removeprefix("torch."),
        "warm_up_seconds": round(warm_up, 1),
    }


# --- waiting for the card, and for clips ----------------------------------------------------------------------------


def sync(bench: Bench, network: str, strategy: str) -> dict[str, Any]:
    """What waits, or may wait, for the card in one training step; reading the loss terms comes after it."""
    trained = Trained(bench, network, strategy)
    clips = trained.clips()
    for _ in range(WARM_UP):
        trained.advance(clips)
    bench.wait()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        trained.advance(clips)
        bench.wait()  # one of cudaDeviceSynchronize, which is not counted
    counts: dict[str, Counter[str]] = {"step": Counter(), "optimiser": Counter()}
    for event in profiler.events():
        if event.name in WAITS or event.name.startswith("Memcpy DtoH"):
            counts["optimiser" if in_optimiser(event) else "step"][event.name] += 1
    places = waiting_places(lambda: trained.advance(clips)) if len(activities) > 1 else None
    return {"events": dict(counts["step"]), "events_in_optimiser": dict(counts["optimiser"]), "places": places}


def in_optimiser(event: Any) -> bool:
    """The optimiser's counts of steps lie on the processor: nothing waits for them."""
    while event is not None and not event.name.startswith("Optimizer.step"):
        event = event.cpu_parent
    return event is not None


def waiting_places(run: Callable[[], None]) -> dict[str, int]:
    """The lines of Python whose operations wait for the card, as torch sees them, and how often."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = (f"{Path(each.filename).name}:{each.lineno}" for each in caught if "synchroniz" in str(each.message))
    return dict(Counter(places).most_common())


def loader(bench: Bench, network: str) -> dict[str, Any]:
    """How long a training with full supervision waits for its clips."""
    # These need OpenCV, which a machine for quick measurements may lack.
    from oneshot_vos.clips.dataset import ClipSource
    from oneshot_vos.sets.generated import generate
    from oneshot_vos.stages.train import clips_of_run

    tree = bench.folder / "tree"
    if not tree.exists():
        videos, frames, size = (2, 6, 64) if bench.small else (16, 16, 640)
        generate(tree, seed=0, train=videos, val=1, static=1, frames=frames, size=size)
    trained = Trained(bench, network, "full")
    recipe = trained.recipe
    source = ClipSource("generated", read_davis(tree, list_file="ImageSets/2017/train.txt"))
    dataset = clips_of_run(bench.params, trained.run, [source])
    places = positions(trained.world, recipe.batch_size, recipe.accumulation, 0, recipe.iterations * 1000)
    batches = load_batches(dataset, places, recipe.workers, bench.device)
    list(islice(batches, max(1, recipe.workers)))  # until every worker has started
    taken, seconds = bench.timed(lambda: next(batches))  # no clip is ready ahead of its use after this
    for _ in range(WARM_UP):
        trained.advance(list(islice(batches, recipe.accumulation)))
    trained.step.terms.read()
    clock = Clock(0.0)
    steps, _ = bench.timed(lambda: trained.advance(list(clock.waiting(islice(batches, recipe.accumulation)))))
    waited, speed = clock.lap(trained.images)
    return {
        "waiting_share": round(waited, 4),
        "images_per_second": round(speed, 1),
        "loader_images_per_second": round(trained.images // recipe.accumulation * taken / seconds, 1),
        "workers": recipe.workers,
        "steps": steps,
        "cores": os.cpu_count(),
    }


# --- all of it ------------------------------------------------------------------------------------------------------


def measurements(bench: Bench, networks: list[str], parts: list[str]) -> Iterator[tuple[str, str, Measurement]]:
    """(part, name, what to call), in the order of `PARTS`."""
    trainings = [(network, strategy) for network in networks for strategy in STRATEGIES]
    every = [
        *(("train", " ".join(each), partial(train, bench, *each)) for each in trainings),
        *(("infer", f"{network} {k}", partial(infer, bench, network, k)) for network in networks for k in OBJECTS),
        *(("sync", " ".join(each), partial(sync, bench, *each)) for each in trainings),
        *(("loader", network, partial(loader, bench, network)) for network in networks),
        *(("compile", f"infer {network} 1", partial(infer, bench, network, 1, compiled=True)) for network in networks),
        *(("compile", f"train {n} full", partial(train, bench, n, "full", compiled=True)) for n in networks),
    ]
    return (each for each in every if each[0] in parts)


def attempt(measure: Measurement) -> dict[str, Any]:
    """The result of a measurement, or why there is none."""
    try:
        return measure()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a failure is a result, and the next measurement can go on
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        return {"failed": f"{type(error).__name__}: {first}"}
    finally:
        gc.collect()
        if "torch._dynamo" in sys.modules:  # whose import takes seconds
            torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def describe(bench: Bench) -> dict[str, Any]:
    """The machine, and what was asked for."""
    cuda = bench.device.type == "cuda"
    return {
        "card": torch.cuda.get_device_name(bench.device) if cuda else platform.processor() or platform.machine(),
        "card_gib": round(torch.cuda.get_device_properties(bench.device).total_memory / 2**30, 1) if cuda else None,
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "python": platform.python_version(),
        "profile": bench.params.profile_name,
        "processes": bench.processes,
        "seconds": bench.seconds,
        "frames": "made" if bench.davis is None else "DAVIS",
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="stcn,xmem,cutie", help="networks")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, default=2, help="of which this one is")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--limit", type=float, default=160.0, help="seconds after which no measurement starts")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args(arguments)
    networks, parts = options.only.split(","), options.parts.split(",")
    params = load_params(REPOSITORY / "params.yaml", "smoke" if options.small else "paper")
    for name, known in [*((name, params.networks) for name in networks), *((part, PARTS) for part in parts)]:
        if name not in known:
            parser.error(f"'{name}' is unknown; expected some of {', '.join(known)}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        device = torch.device(options.device)
        where = Path(folder)
        bench = Bench(params, device, options.seconds, options.processes, where, options.davis, options.small)
        report: dict[str, Any] = {**describe(bench), "results": {part: {} for part in PARTS if part in parts}}
        for part, name, measure in measurements(bench, networks, parts):
            late = time.perf_counter() - start > options.limit
            result = {"failed": f"not begun within {options.limit:g} seconds"} if late else attempt(measure)
            report["results"][part][name] = result
            report["total_seconds"] = round(time.perf_counter() - start, 1)
            print(f"{report['total_seconds']:6.1f} s  {part} {name}: {json.dumps(result)}", file=sys.stderr, flush=True)
            if options.out:
                write_json(options.out, report)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
