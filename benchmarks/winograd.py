"""Time one frame of inference with and without minimal filtering, side by side on one thread of this processor.

    python benchmarks/winograd.py [--networks stcn xmem cutie] [--repeat 3] [--out FILE]

A frame of 480 x 864 pixels with one object is encoded, memorised, and segmented from that memory, by networks of the
published size with random weights, both prepared as for inference but for the convolutions. The two forms take turns;
the JSON has the least CPU seconds of each, their ratio, and the largest difference of a probability.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.ready import fold_norms
from oneshot_vos.networks.common.winograd import use_winograd

SIZE = (480, 864)


def prepare(name: str, *, fast: bool) -> Network:
    """The network as `load_for_inference` leaves it, with or without minimal filtering."""
    torch.manual_seed(0)
    network = build_network(name, {}).eval()
    fold_norms(network)
    if fast:
        use_winograd(network)
    return network.to(memory_format=torch.channels_last)


@torch.inference_mode()
def segment_frame(network: Network) -> tuple[float, Tensor]:
    """CPU seconds, and the probabilities."""
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 1, *SIZE)
    masks[:, :, 100:300, 200:500] = 1
    began = time.process_time()
    features = network.encode(image.to(memory_format=torch.channels_last))
    frame, state = network.memorise(features, masks, network.initial_state(features, 1))
    memory = ClipMemory()
    memory.add(frame)
    found = network.segment(features, memory, state, masks)[0].masks
    return time.process_time() - began, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["stcn", "xmem", "cutie"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    for name in options.networks:
        plain, fast = prepare(name, fast=False), prepare(name, fast=True)
        seconds: dict[str, list[float]] = {"plain": [], "winograd": []}
        for _ in range(1 + options.repeat):  # the first warms up
            spent, expected = segment_frame(plain)
            seconds["plain"].append(spent)
            spent, found = segment_frame(fast)
            seconds["winograd"].append(spent)
        best = {form: round(min(spent[1:]), 3) for form, spent in seconds.items()}
        report[name] = {
            **best,
            "ratio": round(best["winograd"] / best["plain"], 3),
            "largest_difference": float((expected - found).abs().max()),
        }
        print(name, json.dumps(report[name]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
