"""Stage `init`: the weights that a new network starts from."""

from pathlib import Path

import torch

from oneshot_vos.networks import build_network
from oneshot_vos.networks.imagenet import load_imagenet
from oneshot_vos.networks.weights import save_weights
from oneshot_vos.params import Params

_SEED = 14159265  # of the published training


def run(params: Params, model: str, out: Path) -> None:
    """Write a new network: trunks from ImageNet or at random, as `init.backbone` says, the rest at random."""
    settings = params.profile.networks[model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = build_network(model, settings)
    if params.profile.init.backbone == "imagenet":
        load_imagenet(network, torch.Generator().manual_seed(_SEED))
    save_weights(out, network, {"model": model, "settings": settings, "backbone": params.profile.init.backbone})
