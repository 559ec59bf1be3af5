"""Stage `init`: the weights that a new network starts from."""

import logging
from pathlib import Path

import torch

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Params
from oneshot_vos.registry import resolve, wrong_arguments

_log = logging.getLogger(__name__)
_SEED = 14159265  # of the published training


def run(params: Params, network: str, out: Path) -> None:
    """Write a new network: trunks from ImageNet or at random, as `init.backbone` says, the rest at random."""
    findings = find_arguments(params, network)  # the files alone cannot tell
    if findings:
        raise UserError("\n  ".join(findings))
    settings = params.profile.networks[network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        built = build_network(network, settings)
    if params.profile.init.backbone == "imagenet":
        from oneshot_vos.networks.common.imagenet import load_imagenet  # torchvision takes seconds to import

        generator = torch.Generator().manual_seed(_SEED)
        load_imagenet(built, NETWORKS[network].trunks, generator, params.profile.init.files)
        built.start_as_published(torch.Generator().manual_seed(_SEED))
    backbone = params.profile.init.backbone
    save_weights(out, built, {"model": network, "settings": settings, "backbone": backbone})
    count = sum(weights.numel() for weights in built.parameters())
    _log.info("%s: a new %s, trunks %s, %.1f million weights", out, network, backbone, count / 1e6)


def find_arguments(params: Params, network: str) -> list[str]:
    """One line, with its file, for every wrong argument of the network and of its losses."""
    spec, layers = NETWORKS[network], params.layers
    architecture = layers[f"networks.{network}"]
    lines = [
        f"{architecture.place(name)}: {message}"
        for name, message in wrong_arguments(resolve(spec.network), architecture.values)
    ]
    pretrain = layers[f"pretrain.{network}"]
    unknown = dict(wrong_arguments(resolve(spec.network), {"single_object": True})).get("single_object")
    if unknown and pretrain.values["single_object"]:
        lines.append(f"{pretrain.place('single_object')}: {network} has no argument of this name; expected false")
    runs = [f"train.{key}" for key, run in params.runs.items() if run.network == network]
    for recipe in (layers[place] for place in (f"pretrain.{network}", f"train.{network}", *runs)):
        settings = recipe.values["loss"]
        wrong = wrong_arguments(resolve(spec.loss), settings)
        lines += [f"{recipe.place(f'loss.{name}')}: {message}" for name, message in wrong]
        try:
            if not wrong:
                build_loss(network, settings)
        except (UserError, TypeError) as error:
            lines.append(f"{recipe.place('loss')}: {error}")
    return list(dict.fromkeys(lines))
