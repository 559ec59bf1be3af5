"""Stage `train`: from initial weights, videos and labels to trained weights and their curves."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.clips.dataset import ClipDataset, ClipSource
from oneshot_vos.clips.sampling import FULL_SAMPLERS, AnchoredSampler, ClipSampler, Curriculum, OneShotSampler
from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.errors import UserError
from oneshot_vos.params import Params, Training
from oneshot_vos.supervision import STRATEGIES
from oneshot_vos.training.job import Job, Outputs, Snapshots, train_network
from oneshot_vos.videos.index import read_index

# By the labels of a strategy; all others draw as the recipe says.
_SAMPLERS: dict[str, type[ClipSampler]] = {"some": OneShotSampler, "pseudo": AnchoredSampler}


def run(params: Params, run_key: str, weights: Path, labels: Path, out: Path, snapshots: Path, curves: Path) -> None:
    """Train the run `run_key` from `weights` on the videos and masks that `labels` names.

    Writes the trained weights `out`, the folder `snapshots` with the weights after each part of the training but the
    last (`<iteration>.safetensors`), and the folder `curves`. Of a run that is shown no object,
    `snapshots/figure6` has the weights that Figure 6 asks for.
    """
    profile, chosen, recipe = params.profile, params.runs[run_key], params.trainings[run_key]
    used = profile.data.train_sources(chosen.network)
    files = {name: labels / f"{name}.json" for name in used}
    sources = [
        ClipSource(name, read_index(files[name]), source.copies, source.skip_divisor, source.items == "frames")
        for name, source in used.items()
    ]
    dataset = clips_of_run(params, run_key, sources)
    for line in dataset.left_out:
        warnings.warn(f"left out of training: {line}", stacklevel=2)
    job = Job(
        run_key,
        chosen.network,
        profile.networks[chosen.network],
        chosen.strategy,
        chosen.strategy_settings,
        recipe,
        chosen.seed,
        {name: source.model_dump() for name, source in used.items()},
    )
    state = Path("state") / params.profile_name / run_key
    figure6 = profile.figures.figure6.iteration if chosen.given == "empty" else None
    outputs = Outputs(out, curves, Snapshots(snapshots, profile.curve.points, figure6))
    train_network(job, weights, dataset, list(files.values()), state, outputs, params.processes[chosen.network])


def clips_of_run(params: Params, run_key: str, sources: Sequence[ClipSource]) -> ClipDataset:
    """The clips that a run is trained on, cut from these sets as its recipe says."""
    chosen, recipe = params.runs[run_key], params.trainings[run_key]
    if recipe.max_skip is None:
        raise UserError(f"profile '{params.profile_name}': train.{chosen.network}.max_skip is null; videos need values")
    sampler = _SAMPLERS.get(STRATEGIES[chosen.strategy].labels, FULL_SAMPLERS[recipe.sampler])()
    return clips_of_recipe(recipe, sampler, chosen.seed, sources)


def clips_of_recipe(recipe: Training, sampler: ClipSampler, seed: int, sources: Sequence[ClipSource]) -> ClipDataset:
    """The clips that `sampler` cuts from these sets, as a recipe says, one of videos."""
    clips, skips = recipe.clips, recipe.max_skip
    assert skips is not None
    return ClipDataset(
        sources,
        sampler,
        CLIP_RECIPES[recipe.augmentation](
            recipe.crop,
            exact=recipe.transforms == "exact",
            affine_first=clips.affine_first,
            interpolation=clips.interpolation,
        ),
        objects=recipe.objects,
        frames=recipe.frames,
        seed=seed,
        max_skip=Curriculum(skips.values, skips.at, recipe.iterations, recipe.batch_size),
        drop_short=clips.short_videos == "drop",
        upright_from=None if clips.affine_until is None else clips.affine_until * recipe.batch_size,
        merge=clips.merge,
    )
