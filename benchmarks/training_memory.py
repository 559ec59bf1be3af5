"""Count what a training step of the profile `paper` keeps for its backward pass, without computing anything.

    python benchmarks/training_memory.py [--networks stcn xmem cutie] [--out FILE]

Each network of the published size walks through one clip of its recipe (crop, frames, objects) with PyTorch's
fake tensors, as full supervision does, and as one-shot training does on its way back; the tensors that autograd saves
are counted once each. The JSON has GiB per clip in float32, half of it as the estimate for 16 bits, and with it what a
process needs for its part of the batch: activations, weights, gradients, both moments of the optimiser, in GiB; the
workspace of convolutions and the loss come on top (reckon with a quarter more).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.params import Training, load_params
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

GIB = 2**30


class NothingDrawn(RolloutOptions):
    """Every frame is read, and every update deep: fake tensors have no values to draw. It adds a little."""

    def draw_deep_updates(self, frames: int, generator: torch.Generator) -> list[bool]:
        return [True] * frames


def saved_bytes(name: str, recipe: Training, order: list[int]) -> int:
    """Bytes that autograd keeps of a walk in this order, in float32."""
    with FakeTensorMode(), torch.random.fork_rng():
        network = build_network(name, {})
        return _saved(network, recipe, order)


def _saved(network: Network, recipe: Training, order: list[int]) -> int:
    frames = torch.empty(1, recipe.frames, 3, recipe.crop, recipe.crop)
    masks = torch.empty(1, recipe.objects, recipe.crop, recipe.crop)
    present = torch.ones(1, recipe.objects)
    kept: dict[int, int] = {p.untyped_storage()._cdata: 0 for p in network.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage._cdata, storage.nbytes())
        alive.append(storage)  # so that no other takes its number
        return tensor

    alive: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        features = encode_clip(network, frames, learn=order)
        propagate(network, features, order, masks, present, NothingDrawn(), Generators.of(0, 0, range(1)))
    return sum(kept.values())


def describe(name: str, recipe: Training) -> dict[str, Any]:
    """The figures of one network."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build_network(name, {}).parameters())
    last = recipe.frames - 1
    walks = {"full": list(range(recipe.frames)), "t_step": list(range(last, -1, -1)), "two_step": [last, last // 2, 0]}
    found: dict[str, Any] = {"parameters": parameters, "batch_size": recipe.batch_size, "crop": recipe.crop}
    fixed = 16 * parameters / GIB  # weights, gradients and two moments, 4 bytes each
    for strategy, order in walks.items():
        clip = saved_bytes(name, recipe, order) / GIB
        found[strategy] = {
            "gib_per_clip_float32": round(clip, 2),
            **{
                f"gib_16_bits_{processes}_process(es)": round(clip / 2 * recipe.batch_size / processes + fixed, 1)
                for processes in (1, 2)
            },
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["stcn", "xmem", "cutie"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    trainings = load_params(Path("params.yaml"), "paper").profile.train
    report = {name: describe(name, trainings[name]) for name in options.networks}
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
