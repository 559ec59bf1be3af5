"""Stage `init`: the weights that a new network starts from."""

from pathlib import Path

import torch

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.imagenet import load_imagenet
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Params
from oneshot_vos.registry import require_arguments, resolve

_SEED = 14159265  # of the published training


def run(params: Params, network: str, out: Path) -> None:
    """Write a new network: trunks from ImageNet or at random, as `init.backbone` says, the rest at random."""
    check_arguments(params, network)
    settings = params.profile.networks[network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        built = build_network(network, settings)
    if params.profile.init.backbone == "imagenet":
        load_imagenet(built, NETWORKS[network].trunks, torch.Generator().manual_seed(_SEED))
        built.start_as_published(torch.Generator().manual_seed(_SEED))
    save_weights(out, built, {"model": network, "settings": settings, "backbone": params.profile.init.backbone})


def check_arguments(params: Params, network: str) -> None:
    """Raise `UserError` if an argument of the network or of its losses is wrong; the files alone cannot tell."""
    profile = params.profile
    where = f"{network} in profile '{params.profile_name}': "
    require_arguments(resolve(NETWORKS[network].network), profile.networks[network], f"{where}networks.{network}")
    recipes = {f"pretrain.{network}": profile.pretrain[network]} | {
        f"train of {key}": params.training(key) for key, run in params.runs.items() if run.network == network
    }
    for section, recipe in recipes.items():
        place = f"{where}{section}.loss"
        require_arguments(resolve(NETWORKS[network].loss), recipe.loss, place)
        try:
            build_loss(network, recipe.loss)
        except (UserError, TypeError) as error:
            raise UserError(f"{place}: {error}") from error
