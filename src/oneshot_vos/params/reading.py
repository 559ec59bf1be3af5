"""Reading the parameter files, and checking all of them together."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.inference_settings import settings_of
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params.layers import Layer, Layered, put_together
from oneshot_vos.params.rules import (
    check_names,
    check_profile,
    check_pseudo,
    check_runs,
    check_starts,
    check_trainings,
    check_trunks,
    check_weight_files,
)
from oneshot_vos.params.schema import Choices, InferBlock, Params, Profile, ProfileFile, RecipeFile, Training
from oneshot_vos.registry import Registry, suggest
from oneshot_vos.strict_yaml import explain, read_yaml

M = TypeVar("M", bound=BaseModel)
SECTIONS: dict[str, type[BaseModel]] = {"pretrain": Training, "train": Training, "infer": InferBlock}


def load_params(path: Path, profile: str | None = None) -> Params:
    """Read and check `path` and what it uses of `config` beside it; `profile` takes the place of its own.

    Raises `UserError` with one line per finding.
    """
    return next(_load(path, profile))


def load_profiles(path: Path, profile: str | None = None) -> dict[str, Params]:
    """The parameters under every profile, that of `load_params` first.

    The others are checked by themselves and have no runs: these are for the profile in force, and need not fit one with
    other data or lengths of training.
    """
    return {params.profile_name: params for params in _load(path, profile)}


def _load(path: Path, profile: str | None) -> Iterator[Params]:
    """Every profile, that in force first; what is wrong with it is raised before it is given."""
    files = _Files(path)
    try:
        for params in files.profiles(profile):
            if not files.findings:
                yield params
    except RecursionError as error:
        raise UserError(
            f"{path}: a value in it, or in a file beside it, contains itself; expected plain YAML"
        ) from error
    require_none(path, files.findings)


def require_none(path: Path, findings: Iterable[str]) -> None:
    """Raise one `UserError` with all findings about the parameters at `path`, each once, if there are any."""
    lines = list(dict.fromkeys(findings))  # a wrong value of a recipe is found once per profile
    if lines:
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        raise UserError("\n  ".join([f"{path}: {count}", *lines]))


def show_run(params: Params, key: str) -> list[str]:
    """The values that a run is trained and segmented with, as YAML; behind each, the file and the place it is from."""
    run = params.runs[key]
    blocks = {
        "run": params.layers[f"runs.{key}"],
        "network": params.layers[f"networks.{run.network}"],
        "train": params.layers[f"train.{key}"],
        "infer": params.layers[f"infer.{run.network}"],
    }
    rows = [
        (f"{block}.{place}: {value if isinstance(value, str) else json.dumps(value)}", origin)
        for block, layered in blocks.items()
        for place, value, origin in layered.lines()
    ]
    width = min(60, max(len(text) for text, _ in rows))
    return [f"{text:<{width}}  # {origin}" for text, origin in rows]


@dataclass
class _Files:
    """The files beside `path`, and what is wrong with them so far."""

    path: Path
    findings: list[str] = field(default_factory=list)

    def profiles(self, wanted: str | None) -> Iterator[Params]:
        """Every profile, checked, that in force first; incomplete where there are findings."""
        choices = self._content(self.path, Choices)
        if choices is None:
            return
        recipes = dict(self._recipes(choices))
        found = {file.stem: file for file in sorted(self._config("profiles").glob("*.yaml"))}
        first = choices.profile_name if wanted is None else wanted
        lines = [*check_runs(choices), *check_starts(choices, first), *check_pseudo(choices)]
        self.findings[:0] = [f"{self.path}: {line}" for line in lines]
        if first not in found:
            known = suggest(first, found) if found else "there is none. Copy the folder config beside it"
            self.findings.append(f"{self.path}: profile: unknown '{first}'; {known} ({self._config('profiles')})")
        for name in sorted(found, key=lambda name: name != first):
            own = self._file(found[name], ProfileFile)
            if own is None:
                continue
            chosen = choices if name == first else _by_itself(choices, own)
            used = {network: recipe for network, recipe in recipes.items() if network in chosen.networks}
            yield self._params(chosen, used, str(found[name]), own)

    def _config(self, kind: str) -> Path:
        return self.path.parent / "config" / kind

    def _file(self, file: Path, model: type[M]) -> M | None:
        try:
            return self._content(file, model)
        except UserError as error:
            self.findings.append(str(error))
            return None

    def _content(self, file: Path, model: type[M]) -> M | None:
        """What a file holds; raises `UserError` if it cannot be read."""
        return self._validated(read_yaml(file), model, lambda where: f"{file}: {where or 'the file'}")

    def _validated(self, values: object, model: type[M], place: Callable[[str], str]) -> M | None:
        """The values as a `model`; None if something is wrong, which is found at the `place` of its dotted path."""
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self.findings += [f"{place(where)}: {message}" for where, message in explain(error, model)]
            return None

    def _recipes(self, choices: Choices) -> Iterator[tuple[str, RecipeFile]]:
        """The recipe of every network; it must be complete by itself, as no profile may need to fill it."""
        for network in dict.fromkeys(choices.networks):
            file = self._config("recipes") / f"{network}.yaml"
            if network not in NETWORKS:
                continue  # found by check_runs
            if not file.is_file():
                self.findings.append(f"{file}: no such file; expected the recipe of '{network}'")
                continue
            recipe = self._file(file, RecipeFile)
            if recipe is None:
                continue
            for section, model in SECTIONS.items():
                self._resolved(put_together(Layer(str(file), section, getattr(recipe, section))), model)
            yield network, recipe

    def _resolved(self, layered: Layered, model: type[M]) -> M | None:
        """The values as a `model`; what is wrong is named in the words of the file that says it."""
        return self._validated(layered.values, model, layered.place)

    def _params(self, choices: Choices, recipes: dict[str, RecipeFile], file: str, own: ProfileFile) -> Params:
        """The parameters under one profile."""
        self.findings += [f"{file}: {line}" for line in check_names(own, recipes)]
        layers = {}
        for network, recipe in recipes.items():
            start = str(self._config("recipes") / f"{network}.yaml")
            layers[f"networks.{network}"] = put_together(
                Layer(start, "network", recipe.network),
                Layer(file, f"networks.{network}", own.networks.get(network, {})),
            )
            for section in SECTIONS:
                layers[f"{section}.{network}"] = put_together(*_section(start, recipe, file, own, section, network))
        resolved: dict[str, dict[str, Any]] = {
            section: {network: self._resolved(layers[f"{section}.{network}"], model) for network in recipes}
            for section, model in SECTIONS.items()
        }
        trainings: dict[str, Any] = {}  # None where the values are wrong: `params` then has findings and is not used
        for key, run in choices.runs.items():
            if run.network not in recipes:
                continue  # found above
            values = run.model_dump(by_alias=True, exclude={"train"})
            layers[f"runs.{key}"] = put_together(Layer(str(self.path), f"runs.{key}", values))
            of_run = Layer(str(self.path), f"runs.{key}.train", run.train)
            layers[f"train.{key}"] = put_together(*layers[f"train.{run.network}"].layers, of_run)
            trainings[key] = self._resolved(layers[f"train.{key}"], Training)
        profile = Profile.model_construct(
            data=own.data,
            init=own.init,
            evaluate=own.evaluate,
            curve=own.curve,
            figures=own.figures,
            networks={network: layers[f"networks.{network}"].values for network in recipes},
            pretrain=resolved["pretrain"],
            train=resolved["train"],
            infer={network: block and settings_of(block.model_dump()) for network, block in resolved["infer"].items()},
        )
        processes = {network: own.processes or recipe.processes for network, recipe in recipes.items()}
        params = Params.model_construct(
            profile_name=Path(file).stem,
            profile=profile,
            networks=choices.networks,
            table1_strategy=choices.table1_strategy,
            labels=Registry("labels", choices.labels),
            starts=Registry("start", choices.starts),
            pseudo=Registry("pseudo labels", choices.pseudo),
            runs=Registry("run", choices.runs),
            trainings=Registry("run", trainings),
            processes=processes,
            layers=layers,
        )
        self.findings += [f"{file}: {line}" for line in (*check_profile(params), *check_weight_files(profile, own))]
        self.findings += [*check_trainings(params), *check_trunks(params)]
        return params


def _by_itself(choices: Choices, own: ProfileFile) -> Choices:
    """What a profile that is not in force is checked for: the networks that it has values for, and no run."""
    networks = tuple(network for network in choices.networks if network in own.train)
    return choices.model_copy(update={"runs": {}, "starts": {}, "pseudo": {}, "networks": networks})


def _section(
    start: str, recipe: RecipeFile, file: str, own: ProfileFile, section: str, network: str
) -> Iterator[Layer]:
    """The layers of `pretrain`, `train` or `infer`, the strongest last."""
    yield Layer(start, section, getattr(recipe, section))
    if section != "infer":
        yield Layer(file, "training", own.training)
    for name in ("all", network):
        yield Layer(file, f"{section}.{name}", getattr(own, section).get(name, {}))
