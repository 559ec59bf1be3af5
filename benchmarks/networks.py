"""XMem and Cutie at the sizes at which the official programs were measured: a training step, and inference per frame.

    python benchmarks/networks.py [--only xmem cutie-small] [--threads 2] [--repeat 3]

Ours stands beside the plain form of the same arithmetic: the same network with its re-arrangements taken out, that is
convolutions over built concatenations, normalisations of their own, and a memory read that makes the whole affinity and
multiplies with it. Both are
measured in one run, in processes of their own, and must give equal numbers. The official seconds were taken on
another machine and are for orientation only.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.files import write_json
from oneshot_vos.inference import bank
from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common import memory
from oneshot_vos.networks.common.blocks import Conv3x3
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.ready import fold_norms
from oneshot_vos.supervision.full import FullSupervision
from oneshot_vos.supervision.rollout import RolloutOptions

SMALL = {"pixel_block": "basic", "pixel_depths": (2, 2, 2)}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "stcn": ("stcn", {}),
    "xmem": ("xmem", {}),
    "cutie-small": ("cutie", SMALL),
    "cutie-base": ("cutie", {}),
}
# Seconds of the official programs, 2 threads, float32: training step by number of frames, inference per frame.
OFFICIAL: dict[str, dict[str, float]] = {
    "stcn": {"train3": 3.34, "infer": 0.293},
    "xmem": {"train3": 3.2, "train8": 10.5, "infer": 0.316},
    "cutie-small": {"train3": 1.43, "infer": 0.118},
    "cutie-base": {"train3": 1.85, "infer": 0.165},
}
TOP_K, FRAMES = 30, 20


def be_plain() -> None:
    """Take the re-arrangements out of this process."""

    def convolve(self: Conv3x3, x: Tensor, shared: Tensor | None = None) -> Tensor:
        if shared is not None:
            shared = shared.repeat_interleave(x.shape[0] // shared.shape[0], 0)
            x = torch.cat([shared, x] if self.shared_first else [x, shared], 1)
        return F.conv2d(x, self.weight, self.bias, padding=1)

    def gather(winners: memory.Winners, values: Tensor) -> Tensor:
        dense = values.new_zeros(winners.positions.shape[0], values.shape[1])
        dense.scatter_(1, winners.positions, winners.weights)
        return torch.stack([dense @ table for table in values])

    Conv3x3.forward = convolve  # type: ignore[method-assign]
    bank.gather_winners = gather  # type: ignore[attr-defined]


def training_step(name: str, frames: int, plain: bool) -> Callable[[], list[float]]:
    """A function that does one step (batch 2, 192 x 192, 2 objects) and returns its loss."""
    model, settings = NETWORKS[name]
    torch.manual_seed(0)
    network = build_network(model, settings)
    if not plain:
        network.to(memory_format=torch.channels_last)
    supervision = FullSupervision(network, build_loss(model, {}), RolloutOptions(3, 0.2)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, frames, 12, 12), generator=draws).repeat_interleave(16, 2).repeat_interleave(16, 3)
    clip = ClipBatch(
        frames=torch.randn(2, frames, 3, 192, 192, generator=draws),
        first_masks=torch.stack([(labels[:, 0] == k).float() for k in (1, 2)], 1),
        targets=labels,
        labelled=torch.ones(2, frames, dtype=torch.bool),
        present=torch.ones(2, 2),
        names=["a", "b"],
    )

    def step() -> list[float]:
        total = supervision(clip, 0, Generators.of(1, 0, range(2)))["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        return [float(total.detach())]

    return step


def inference(name: str, plain: bool) -> Callable[[], list[float]]:
    """A function that segments 20 frames of 240 x 432 with one object and returns some of the last probabilities."""
    model, settings = NETWORKS[name]
    torch.manual_seed(0)
    network = build_network(model, settings).eval()
    if not plain:
        fold_norms(network)
        network.to(memory_format=torch.channels_last)
    draws = torch.Generator().manual_seed(0)
    frames = torch.randn(FRAMES, 3, 240, 432, generator=draws)
    mask = torch.zeros(1, 240, 432)
    mask[:, 60:180, 100:300] = 1
    chosen = InferenceSettings(memory_every=5, top_k=TOP_K)
    steps = plan_frames(range(FRAMES), {0}, chosen, recurrent=network.recurrent)

    def video() -> list[float]:
        *_, (_, last) = predict_frames(network, steps, frames, lambda _: Annotation((1,), mask), 1, chosen)
        values: list[float] = last.flatten()[::1009].tolist()
        return values

    return video


def measure(name: str, work: str, form: str, threads: int, repeat: int) -> dict[str, Any]:
    """Repeat one kind of work in this process."""
    torch.set_num_threads(threads)
    if form == "plain":
        be_plain()
    if work == "infer":
        run, units = inference(name, form == "plain"), FRAMES
    else:
        run, units = training_step(name, int(work.removeprefix("train")), form == "plain"), 1
    numbers = run()
    seconds, cpu = [], []
    for _ in range(repeat):
        wall, used = time.perf_counter(), time.process_time()
        run()
        seconds.append((time.perf_counter() - wall) / units)
        cpu.append((time.process_time() - used) / units)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(cpu),
        "peak_mb": peak,
        "numbers": numbers,
    }


def compare(name: str, work: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Ours beside plain, each in a fresh process; ends the program if their numbers differ."""
    forms = {}
    for form in ("plain", "ours"):
        command = [sys.executable, __file__, "--child", name, work, form]
        command += ["--threads", str(arguments.threads), "--repeat", str(arguments.repeat)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        forms[form] = json.loads(child.stdout.splitlines()[-1])
    pairs = zip(forms["plain"].pop("numbers"), forms["ours"].pop("numbers"), strict=True)
    difference = max(abs(a - b) / max(abs(a), 1) for a, b in pairs)
    if not difference < 1e-3:
        sys.exit(f"{name} {work}: ours and the plain form differ by {difference:.2g}")
    ratio = forms["ours"]["cpu_seconds"] / forms["plain"]["cpu_seconds"]
    official = OFFICIAL[name][work]
    print(
        f"{name:12} {work:7} ours {forms['ours']['seconds']:.3f} s  plain {forms['plain']['seconds']:.3f} s  "
        f"ratio {ratio:.2f}  official elsewhere {official} s  difference {difference:.1g}"
    )
    return {**forms, "ratio": ratio, "difference": difference, "official_elsewhere_seconds": official}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=["xmem", "cutie-small", "cutie-base"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/networks.json"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, work, form = arguments.child
        print(json.dumps(measure(name, work, form, arguments.threads, arguments.repeat)))
        return
    results = {name: {work: compare(name, work, arguments) for work in OFFICIAL[name]} for name in arguments.only}
    machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    write_json(arguments.out, {**machine, "threads": arguments.threads, "repeat": arguments.repeat, "results": results})


if __name__ == "__main__":
    main()
