"""The parameters: `params.yaml`, and beside it `config/recipes/<network>.yaml` and `config/profiles/<profile>.yaml`.

A recipe has a network's official values, once; a profile has its data and what differs; a run may differ again. Later
layers go over earlier ones (`layers.py`):

    recipe -> profile.training -> profile.train.all -> profile.train.<network> -> runs.<run>.train

All of it is checked before any work starts, and all findings are reported together, each with its file. Nothing heavy
is imported here: the command line reads parameters before it knows whether it needs torch.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params.layers import Layer, Layered, put_together
from oneshot_vos.params.rules import check_profile, check_runs
from oneshot_vos.params.schema import (
    Choices,
    ClipChoices,
    Data,
    DavisSet,
    EmptyFigure,
    FigureChoice,
    Infer,
    Labels,
    Optimiser,
    PairsSet,
    Params,
    Profile,
    ProfileFile,
    RecipeFile,
    Run,
    Schedule,
    Strict,
    Training,
    YouTubeVideos,
)
from oneshot_vos.registry import require_arguments, suggest
from oneshot_vos.strict_yaml import explain, read_yaml

__all__ = [
    "Choices",
    "ClipChoices",
    "Data",
    "DavisSet",
    "EmptyFigure",
    "FigureChoice",
    "Infer",
    "Labels",
    "Optimiser",
    "PairsSet",
    "Params",
    "Profile",
    "ProfileFile",
    "RecipeFile",
    "Run",
    "Schedule",
    "Strict",
    "Training",
    "YouTubeVideos",
    "load_params",
    "require_arguments",
    "show_run",
]

M = TypeVar("M", bound=BaseModel)
CONFIG = "config"  # folder of recipes and profiles, beside the file that names them


def load_params(path: Path, profile: str | None = None) -> Params:
    """Read and check `path` and the recipes and the profile that it names; `profile` takes the place of its own.

    Raises `UserError` with one line per finding.
    """
    return _Files(path, profile).params()


def show_run(path: Path, key: str, profile: str | None = None) -> list[str]:
    """The values that a run is trained and segmented with, one line each, with the file that each comes from."""
    files = _Files(path, profile)
    run = files.params().run(key)
    lines = []
    for section, layered in (("train", files.training(run, key)), ("infer", files.section("infer", run.network))):
        rows = [(f"{section}.{place}: {value}", origin) for place, value, origin in layered.lines()]
        width = max(len(text) for text, _ in rows)
        lines += [f"{text:<{width}}  # {origin}" for text, origin in rows]
    return lines


class _Files:
    """The parameter files, read one by one; what is wrong with any of them ends in one message."""

    def __init__(self, path: Path, profile: str | None) -> None:
        self.path = path
        self.choices = self._read(path, Choices)
        unknown = [name for name in self.choices.networks if name not in NETWORKS]
        if unknown:
            raise self.error([f"networks: unknown network '{name}'; {suggest(name, NETWORKS)}" for name in unknown])
        self.profile_name = profile if profile is not None else self.choices.profile_name
        self.profile = self._read(self._config("profiles", self.profile_name), ProfileFile)
        self.recipes = {
            name: self._read(self._config("recipes", name), RecipeFile) for name in dict.fromkeys(self.choices.networks)
        }

    def _config(self, kind: str, name: str) -> Path:
        folder = self.path.parent / CONFIG / kind
        known = [file.stem for file in folder.glob("*.yaml")]
        if not known:
            raise self.error([f"{folder}: no {kind} there; expected {name}.yaml. Copy the folder {CONFIG} beside it"])
        if name not in known:
            raise self.error([f"{kind.removesuffix('s')}: unknown '{name}'; {suggest(name, known)} ({folder})"])
        return folder / f"{name}.yaml"

    def _read(self, file: Path, model: type[M]) -> M:
        try:
            return model.model_validate(read_yaml(file))
        except ValidationError as error:
            raise _findings(file, explain(error, model)) from error

    def error(self, lines: Iterable[str]) -> UserError:
        return _findings(self.path, list(lines))

    def section(self, section: str, network: str) -> Layered:
        """`pretrain`, `train` or `infer` of a network, without what a run changes."""
        recipe, profile = f"{CONFIG}/recipes/{network}.yaml", f"{CONFIG}/profiles/{self.profile_name}.yaml"
        layers = [Layer(recipe, section, getattr(self.recipes[network], section))]
        if section != "infer":
            layers.append(Layer(profile, "training", self.profile.training))
        own = getattr(self.profile, section)
        layers += [Layer(profile, f"{section}.{name}", own.get(name, {})) for name in ("all", network)]
        return put_together(layers)

    def training(self, run: Run, key: str) -> Layered:
        """`train` of a run."""
        base = self.section("train", run.network)
        over = put_together([Layer("", "", base.values), Layer(self.path.name, f"runs.{key}.train", run.train)])
        origins = {
            place: base.origin(place) or ("", place) if not own[0] else own for place, own in over.origins.items()
        }
        return Layered(over.values, origins)

    def params(self) -> Params:
        """Everything, checked."""
        choices, lines = self.choices, check_runs(self.choices)
        lines += self._check_sections()
        resolved: dict[str, dict[str, Any]] = {}
        for section, model in (("pretrain", Training), ("train", Training), ("infer", Infer)):
            resolved[section] = {}
            for network in self.recipes:
                value = self._resolved(self.section(section, network), model, f"{section}.{network}", lines)
                if value is not None:
                    resolved[section][network] = value
        trainings = {}
        for key, run in choices.runs.items():
            if run.network not in self.recipes:
                continue  # found above
            if not run.train:
                trainings[key] = resolved["train"].get(run.network)
                continue
            trainings[key] = self._resolved(self.training(run, key), Training, f"runs.{key}.train", lines)
        if lines:
            raise self.error(dict.fromkeys(lines))
        own = self.profile
        profile = Profile.model_construct(
            data=own.data,
            init=own.init,
            networks={name: {**self.recipes[name].network, **own.networks.get(name, {})} for name in self.recipes},
            evaluate=own.evaluate,
            curve=own.curve,
            figures=own.figures,
            pretrain=resolved["pretrain"],
            train=resolved["train"],
            infer=resolved["infer"],
        )
        params = Params.model_construct(
            profile_name=self.profile_name,
            networks=choices.networks,
            table1_strategy=choices.table1_strategy,
            runs=choices.runs,
            profile=profile,
            trainings=trainings,
        )
        where = f"{CONFIG}/profiles/{self.profile_name}.yaml"
        lines = check_profile(params, where)
        if lines:
            raise self.error(lines)
        return params

    def _resolved(self, layered: Layered, model: type[M], where: str, lines: list[str]) -> M | None:
        """The values as a `model`; what is wrong is added to `lines`, in the words of the file that says it."""
        try:
            return model.model_validate(layered.values)
        except ValidationError as error:
            for line in explain(error, model):
                place, separator, message = line.partition(": ")
                origin = layered.origin(place)
                file, own = origin or (f"{CONFIG}/profiles/{self.profile_name}.yaml", f"{where}.{place}")
                if not separator or place == "the file":
                    file, own = f"{CONFIG}/profiles/{self.profile_name}.yaml", where
                named = own if file == self.path.name else f"{file}: {own}"
                lines.append(f"{named}: {message}")
            return None

    def _check_sections(self) -> list[str]:
        """Findings about the names below the profile's sections."""
        where = f"{CONFIG}/profiles/{self.profile_name}.yaml"
        return [
            f"{where}: {section}.{name}: unknown network; {suggest(name, [*NETWORKS, 'all'])}"
            for section in ("networks", "pretrain", "train", "infer")
            for name in getattr(self.profile, section)
            if name not in NETWORKS and (name != "all" or section == "networks")
        ]


def _findings(path: Path, lines: list[str]) -> UserError:
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return UserError(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in lines))
