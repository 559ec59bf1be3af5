"""Stage `pretrain`: full supervision on clips that are made from single images."""

from pathlib import Path

from oneshot_vos.datasets.clips import StaticDataset, StillSource
from oneshot_vos.datasets.pairs import read_pairs_index
from oneshot_vos.datasets.transforms import STATIC_RECIPES
from oneshot_vos.params import Params
from oneshot_vos.stages.train import train_network

_SEED = 0  # one pretraining serves the runs of every seed


def run(params: Params, model: str, weights: Path, sets: Path, out: Path, curves: Path) -> None:
    """Train `model` from `weights` on the profile's pretraining sets; write `out` and `curves`."""
    profile = params.profile
    recipe = profile.pretrain[model]
    used = profile.data.pretrain
    files = {name: sets / f"{name}.json" for name in used}
    sources = [StillSource(name, read_pairs_index(files[name]), source.copies) for name, source in used.items()]
    transform = STATIC_RECIPES[recipe.augmentation](
        recipe.crop, frames=recipe.frames, exact=recipe.transforms == "exact"
    )
    train_network(
        model=model,
        settings=profile.networks[model],
        supervision="full",
        recipe=recipe,
        dataset=StaticDataset(sources, transform, objects=recipe.objects, seed=_SEED),
        data_files=list(files.values()),
        weights=weights,
        seed=_SEED,
        name=f"pretrain-{model}",
        state=Path("state") / params.profile_name / f"pretrain-{model}",
        out=out,
        curves=curves,
        snapshots=None,
    )
