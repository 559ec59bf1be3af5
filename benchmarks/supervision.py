"""Cost of a one-shot iteration beside a fully supervised one of the same clip length, in one run.

    python benchmarks/supervision.py [--frames 3 8] [--repeat 3] [--threads 2] [--device cpu] [--small] [--out x.json]

The full-size STCN with random weights, batch 2, 192x192, 2 objects; one iteration is forward and backward pass of the
supervision. The two kinds take turns, so that a busy machine slows both. The JSON has medians of wall and CPU seconds
per iteration, and `ratio`, one-shot (2-step) over full. `--small` takes the network of the profile `small` instead.
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.params import load_params
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions

BATCH, OBJECTS, SIZE = 2, 2, 192
KINDS = ("full", "two_step")


def random_clips(frames: int, device: torch.device) -> ClipBatch:
    draws = torch.Generator().manual_seed(frames)
    targets = torch.randint(0, OBJECTS + 1, (BATCH, frames, SIZE, SIZE), generator=draws)
    masks = nn.functional.one_hot(targets[:, 0], OBJECTS + 1).movedim(-1, 1)[:, 1:].float()
    clips = ClipBatch(
        torch.randn(BATCH, frames, 3, SIZE, SIZE, generator=draws),
        masks,
        targets,
        torch.ones(BATCH, frames, dtype=torch.bool),
        torch.ones(BATCH, OBJECTS),
        ["random"] * BATCH,
    )
    return clips.to(device)


def iteration(supervision: nn.Module, clips: ClipBatch, number: int) -> tuple[float, float]:
    """Wall and CPU seconds of one forward and backward pass."""
    device = clips.frames.device
    wall, cpu = time.perf_counter(), time.process_time()
    supervision(clips, 0, Generators.of(0, number, range(BATCH)))["total"].backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    supervision.zero_grad(set_to_none=True)
    return seconds


def compare(network: STCN, frames: int, repeat: int, device: torch.device) -> dict[str, Any]:
    clips = random_clips(frames, device)
    kinds = {kind: build_strategy(kind, {}, network, BootstrappedCrossEntropy(), RolloutOptions()) for kind in KINDS}
    for supervision in kinds.values():
        iteration(supervision, clips, 0)  # warm up
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for number in range(repeat):
        for kind, supervision in kinds.items():
            times[kind].append(iteration(supervision, clips, number))
    medians = {
        kind: {
            "seconds": round(statistics.median(wall for wall, _ in values), 4),
            "cpu_seconds": round(statistics.median(cpu for _, cpu in values), 4),
        }
        for kind, values in times.items()
    }
    ratio = {key: round(medians["two_step"][key] / medians["full"][key], 3) for key in ("seconds", "cpu_seconds")}
    return {"frames": frames, **medians, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    settings = load_params(Path("params.yaml"), "small").profile.networks["stcn"] if options.small else {}
    network = STCN(**settings).to(device)
    results = [compare(network, frames, options.repeat, device) for frames in options.frames]
    report = {
        "network": settings or "published",
        "batch": BATCH,
        "objects": OBJECTS,
        "size": SIZE,
        "threads": options.threads,
        "device": str(device),
        "torch": torch.__version__,
        "results": results,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
