"""bfloat16 beside float32 on this processor: what `precision: auto` should choose.

    python benchmarks/precision.py [--repeat 7]

One thread, CPU time, in turns: a 3x3 convolution and a matrix product, and one training step (2-step backward pass) of
each network of the profile `mini`. A ratio above 1 says that bfloat16 is slower.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.files import write_json
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.params import load_params
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions

TYPES = (torch.float32, torch.bfloat16)
Work = Callable[[], object]


def convolution(dtype: torch.dtype) -> Work:
    """256 channels at 48 x 48, four images."""
    image = torch.randn(4, 256, 48, 48).to(dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype).to(memory_format=torch.channels_last)
    return lambda: F.conv2d(image, weight, padding=1)


def product(dtype: torch.dtype) -> Work:
    """1024 x 1024 matrices."""
    matrix = torch.randn(1024, 1024).to(dtype)
    return lambda: matrix @ matrix


def training_step(model: str, dtype: torch.dtype) -> Work:
    """Forward and backward pass of the profile `mini` on random frames."""
    profile = load_params(Path("params.yaml"), "mini").profile
    recipe = profile.train[model]
    network = build_network(model, profile.networks[model]).to(memory_format=torch.channels_last)
    rollout = RolloutOptions(recipe.memory_frames, recipe.deep_update)
    supervision = build_strategy("two_step", {}, network, build_loss(model, recipe.loss), rollout).train()
    batch, frames, crop, objects = recipe.batch_size, recipe.frames, recipe.crop, recipe.objects
    blocks = torch.randint(0, objects + 1, (batch, frames, crop // 16, crop // 16))
    labels = blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)
    clip = ClipBatch(
        frames=torch.randn(batch, frames, 3, crop, crop),
        first_masks=torch.stack([(labels[:, 0] == k).float() for k in range(1, objects + 1)], 1),
        targets=labels,
        labelled=torch.ones(batch, frames, dtype=torch.bool),
        present=torch.ones(batch, objects),
        names=["random"] * batch,
    )

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            total = supervision(clip, recipe.iterations // 2, Generators.of(0, 0, range(batch)))["total"]
        total.backward()
        network.zero_grad()

    return step


def compare(make: Callable[[torch.dtype], Work], repeat: int) -> dict[str, float]:
    """Median seconds of each type, in turns, and bfloat16 over float32."""
    works = {dtype: make(dtype) for dtype in TYPES}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in TYPES}
    for turn in range(repeat + 2):
        for dtype, work in works.items():
            start = time.process_time()
            work()
            if turn > 1:  # the first turns allocate and choose kernels
                seconds[dtype].append(time.process_time() - start)
    medians = {str(dtype).removeprefix("torch."): statistics.median(each) for dtype, each in seconds.items()}
    return {**medians, "ratio": medians["bfloat16"] / medians["float32"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/precision.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    works: dict[str, Callable[[torch.dtype], Work]] = {"convolution": convolution, "product": product}
    for model in ("stcn", "xmem", "cutie"):
        works[f"training step, {model}"] = lambda dtype, model=model: training_step(model, dtype)
    results = {name: compare(make, arguments.repeat) for name, make in works.items()}
    for name, figures in results.items():
        print(f"{name:22}", "  ".join(f"{key} {value:.4f}" for key, value in figures.items()))
    capabilities = {name: value for name, value in torch.cpu.get_capabilities().items() if "bf16" in name}
    chosen = str(choose_precision(torch.device("cpu"), "auto")).removeprefix("torch.")
    machine = {"machine": platform.machine(), "torch": torch.__version__, "capabilities": capabilities, "auto": chosen}
    write_json(arguments.out, {**machine, "results": results})


if __name__ == "__main__":
    main()
