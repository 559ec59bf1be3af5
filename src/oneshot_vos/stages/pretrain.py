"""Stage `pretrain`: full supervision on clips that are made from single images."""

from pathlib import Path

from oneshot_vos.clips.dataset import StaticDataset, StillSource
from oneshot_vos.clips.transforms import STATIC_RECIPES
from oneshot_vos.params import Params
from oneshot_vos.training.job import Job, Outputs, train_network
from oneshot_vos.videos.pairs import read_pairs_index

_SEED = 0  # one pretraining serves the runs of every seed


def run(params: Params, network: str, weights: Path, sets: Path, out: Path, curves: Path) -> None:
    """Train `network` from `weights` on the profile's pretraining sets; write `out` and `curves`."""
    profile = params.profile
    recipe = profile.pretrain[network]
    used = profile.data.pretrain
    files = {name: sets / f"{name}.json" for name in used}
    sources = [StillSource(name, read_pairs_index(files[name]), source.copies) for name, source in used.items()]
    transform = STATIC_RECIPES[recipe.augmentation](
        recipe.crop,
        frames=recipe.frames,
        exact=recipe.transforms == "exact",
        interpolation=recipe.clips.interpolation,
    )
    hard = recipe.clips.first_masks == "hard"
    dataset = StaticDataset(sources, transform, objects=recipe.objects, seed=_SEED, hard=hard)
    settings = profile.networks[network] | ({"single_object": True} if recipe.single_object else {})
    copies = {name: source.model_dump() for name, source in used.items()}
    job = Job(f"pretrain-{network}", network, settings, "full", {}, recipe, _SEED, copies)
    state = Path("state") / params.profile_name / job.name
    train_network(job, weights, dataset, list(files.values()), state, Outputs(out, curves), params.processes[network])
