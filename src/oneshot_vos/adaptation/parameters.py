"""The parameter files that do an adaptation again through the pipeline: one profile, one recipe, one run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from oneshot_vos.files import write_text
from oneshot_vos.inference_settings import settings_of
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params import Training
from oneshot_vos.sets.own import IMAGES

PROFILE, START, STRATEGY = "adapted", "given", "two_step"
_FIGURES = ("figure4", "figure6", "figure7")


def write_parameters(
    folder: Path,
    network: str,
    arguments: Mapping[str, Any],
    recipe: Training,
    seed: int,
    *,
    weights: str,
    root: Path,
    sets: Sequence[str],
    share: float,
) -> None:
    """Write `folder/params.yaml` and `folder/config`.

    weights: where the training starts, as `starts` of params.yaml takes it. root: the videos; sets: folders of masks
    below it, one mask per video each. share: of the trained weights in those that were kept.
    """
    training: dict[str, Any] = recipe.model_dump(mode="json")
    still = {**training, "max_skip": None}
    run = f"{network}-{STRATEGY}-{START}" + (f"-s{seed}" if seed else "")
    top = {
        "profile": PROFILE,
        "networks": [network],
        "table1_strategy": {network: STRATEGY},
        "starts": {START: {"network": network, "weights": weights}},
        "labels": {"first": {"frames": "first", "per_video": 1}},
        "pseudo": {},
        "runs": {run: {"network": network, "strategy": STRATEGY, "labels": "first", "init": START, "seed": seed}},
    }
    own = {
        "processes": 1,
        "network": dict(arguments),
        "pretrain": still,
        "train": training,
        "infer": asdict(settings_of(NETWORKS[network].inference)),
    }
    note = (
        "# What `oneshot-vos adapt` trained. In a checkout, copy this file and the folder config beside it over\n"
        f"# those there, and run `dvc repro train@{run}`. {_kept(share)}\n"
    )
    write_text(folder / "params.yaml", note + _yaml(top))
    write_text(folder / "config/recipes" / f"{network}.yaml", _yaml(own))
    write_text(folder / "config/profiles" / f"{PROFILE}.yaml", _yaml(_profile(network, root, sets)))


def _kept(share: float) -> str:
    if share in (0, 1):
        return "Its weights were kept." if share else "The weights it started from were better, and were kept."
    return f"Kept were {share:g} of its weights and {1 - share:g} of the start."


def _profile(network: str, root: Path, sets: Sequence[str]) -> dict[str, Any]:
    chosen = {"set": sets[0], "videos": None, "frames": 6}
    return {
        "data": {
            "root": str(root),
            "generate": None,
            "sets": {
                name: {"kind": "davis", "path": ".", "images": IMAGES, "annotations": name}
                | {"list": f"{name}.txt", "videos": None, "single_object": False}
                for name in sets
            },
            "train": {name: {"copies": 1, "skip_divisor": 1, "items": "videos"} for name in sets},
            "train_of": {},
            "pretrain": {},
            "evaluate": [sets[0]],
        },
        "init": {"backbone": "random", "files": {}},
        "networks": {network: {}},
        "training": {},
        "pretrain": {"all": {}, network: {}},
        "train": {"all": {}, network: {}},
        "infer": {"all": {}, network: {}},
        "processes": 1,
        "evaluate": {"tolerance": 0.008, "processes": 1},
        "curve": {"points": 1, "set": sets[0], "videos": 1},
        "figures": {
            "figure5": None,
            **{name: chosen | ({"iteration": None} if name == "figure6" else {}) for name in _FIGURES},
        },
    }


def _yaml(content: Any) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared as None
    yaml.width = 120
    stream = StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()
