"""Rules that tie several parts of `params.yaml` together. Each function yields one line per finding."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oneshot_vos.networks import NETWORKS
from oneshot_vos.params.data import Data, YouTubeVideos
from oneshot_vos.params.schema import (
    PAPER_LABELS,
    Choices,
    FigureChoice,
    LabelChoice,
    Params,
    Profile,
    ProfileFile,
    Run,
    Training,
)
from oneshot_vos.registry import suggest
from oneshot_vos.shipped import WEIGHTS
from oneshot_vos.supervision import STRATEGIES

INITS = ("static", "backbone")  # what every run can start from; further ones are named under `starts`
_WORD = "(?!s[0-9]+$)[A-Za-z0-9_.]+"  # what tells names apart: no path, and nothing like a seed
_BY_NETWORK = ("networks", "pretrain", "train", "infer")  # sections of a profile with an entry per network


def check_runs(params: Choices) -> Iterator[str]:
    """Findings about the networks and the runs: names, and which goes with which."""
    networks = dict.fromkeys(params.networks)
    for name in networks:
        if name not in NETWORKS:
            yield f"networks: unknown network '{name}'; {suggest(name, NETWORKS)}"
    if len(networks) != len(params.networks):
        yield "networks: a network is named twice"
    for network in networks:
        yield from _check_table1(params, network)
    for name, choice in params.labels.items():
        yield from _check_labels(name, choice)
    for key, run in params.runs.items():
        yield from _check_run(params, key, run)
    yield from _check_seeds(params)


# What the paper's own labels are; the tables rely on their names.
_AS_PUBLISHED = {"first": LabelChoice(frames="first", per_video=1), "every": LabelChoice(frames="every")}


def _check_labels(name: str, choice: LabelChoice) -> Iterator[str]:
    if not re.fullmatch(_WORD, name):
        yield f"labels.{name}: a name may hold letters, digits, '_' and '.' only, and not look like a seed"
    elif name in PAPER_LABELS and choice != _AS_PUBLISHED[name]:
        published = _AS_PUBLISHED[name].model_dump(exclude_none=True)
        values = ", ".join(f"{key}: {value}" for key, value in published.items())
        yield f"labels.{name}: must be {{{values}}}, as its name says; give others a name of their own"


def _check_seeds(params: Choices) -> Iterator[str]:
    """Tables average runs that differ in seed: nothing else may differ between them."""
    firsts: dict[tuple[Any, ...], str] = {}
    for key, run in params.runs.items():
        experiment = tuple(value for name, value in run.described(key).items() if name != "seed")
        first = firsts.setdefault(experiment, key)
        other = params.runs[first]
        for field, one, two in (("strategy", run.entry, other.entry), ("train", run.train, other.train)):
            if one != two:
                yield (
                    f"runs.{key}.{field}: differs from runs.{first}, and tables average the two as seeds of one "
                    f"experiment; make them equal, or name one '{run.key}-WORD'"
                )


def _check_table1(params: Choices, network: str) -> Iterator[str]:
    strategy, where = params.table1_strategy.get(network), f"table1_strategy.{network}"
    if strategy is None:
        yield f"table1_strategy: no entry for the network '{network}', which networks names"
    elif strategy not in STRATEGIES:
        yield f"{where}: unknown '{strategy}'; {suggest(strategy, STRATEGIES)}"
    elif not STRATEGIES[strategy].one_shot:
        known = ", ".join(f"'{name}'" for name, each in STRATEGIES.items() if each.one_shot)
        yield f"{where}: '{strategy}' is no one-shot training from a first mask; expected one of {known}"
    else:
        yield from _check_recurrent(where, strategy, network)


def _check_run(params: Choices, key: str, run: Run) -> Iterator[str]:
    where = f"runs.{key}"
    if run.network not in params.networks:
        yield f"{where}.network: '{run.network}' is not in networks; {suggest(run.network, params.networks)}"
    if not _spelled(key, run):
        yield (
            f"{where}: its fields spell the name '{run.key}'; rename it, to '{run.key}-WORD' for a variant (letters, "
            "digits, '_' and '.', not like a seed), or change the fields"
        )
    if run.strategy not in STRATEGIES:
        yield f"{where}.strategy: unknown '{run.strategy}'; {suggest(run.strategy, STRATEGIES)}"
        return
    spec = STRATEGIES[run.strategy]
    yield from _check_recurrent(f"{where}.strategy", run.strategy, run.network)
    yield from _check_init(params, where, run)
    fitting = [name for name, choice in params.labels.items() if (choice.frames == "every") == (spec.labels == "every")]
    fitting = list(params.pseudo) if spec.labels == "pseudo" else fitting
    for field, needed in (("labels", fitting), ("given", [spec.given])):
        value = getattr(run, field)
        if field == "labels" and value not in {**params.labels, **params.pseudo}:
            yield f"{where}.labels: unknown '{value}'; {suggest(value, [*params.labels, *params.pseudo])}"
        elif value not in needed:
            place = "pseudo" if spec.labels == "pseudo" else "labels"
            known = " or ".join(f"'{name}'" for name in needed) or f"other than {value}, which {place} has to name"
            yield f"{where}.{field}: strategy '{run.strategy}' goes with {field} {known}, not '{value}'"


def _check_init(params: Choices, where: str, run: Run) -> Iterator[str]:
    if run.init in INITS:
        return
    if run.init not in params.starts:
        known = suggest(run.init, [*INITS, *params.starts])
        yield f"{where}.init: neither {' nor '.join(INITS)}, nor one of starts: '{run.init}'; {known}"
    elif params.starts[run.init].network != run.network:
        network = params.starts[run.init].network
        yield f"{where}.init: '{run.init}' are weights of '{network}', the run trains '{run.network}'"


def check_starts(params: Choices, profile: str) -> Iterator[str]:
    """Findings about the starting weights: names, networks, and files that are not there and that no run makes."""
    for name, start in params.starts.items():
        where = f"starts.{name}"
        if name in INITS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", name):
            yield f"{where}: a name may hold letters, digits, '_' and '.', and is none of {', '.join(INITS)}"
        if start.network not in params.networks:
            known = suggest(start.network, params.networks)
            yield f"{where}.network: '{start.network}' is not in networks; {known}"
        made = re.fullmatch(rf"results/{re.escape(profile)}/train/([^/]+)/weights\.safetensors", start.weights)
        if made and made[1] in params.runs:
            run = params.runs[made[1]]
            if run.init == name:
                yield f"{where}.weights: the run {made[1]} itself starts from them"
            if run.network != start.network:
                yield f"{where}.weights: the run {made[1]} trains '{run.network}', not '{start.network}'"
        elif made:
            yield f"{where}.weights: {start.weights}: no run of that name; {suggest(made[1], params.runs)}"
        elif not Path(start.weights).is_file():
            # A word that `segment` knows; the pipelines follow a file.
            shipped = f". The network that ships is {WEIGHTS}" if start.weights == "shipped" else ""
            yield (
                f"{where}.weights: {start.weights}: no such file; expected weights, or those of a run of this profile, "
                f"results/{profile}/train/RUN/weights.safetensors{shipped}"
            )


def check_pseudo(params: Choices) -> Iterator[str]:
    """Findings about pseudo labels: names, and the runs whose networks make them."""
    for name, choice in params.pseudo.items():
        where, run = f"pseudo.{name}", params.runs.get(choice.run)
        if name in params.labels or not re.fullmatch(_WORD, name):
            yield f"{where}: a name may hold letters, digits, '_' and '.', and is none of labels"
        if "first" not in params.labels:
            yield f"{where}: needs the labels 'first'; add first: {{frames: first, per_video: 1}} to labels"
        if run is None:
            yield f"{where}.run: no run '{choice.run}'; {suggest(choice.run, params.runs)}"
        elif run.network != choice.network:
            yield f"{where}.network: the run {choice.run} trains '{run.network}', not '{choice.network}'"
        elif run.labels == name:
            yield f"{where}.run: {choice.run} is trained on these labels itself"
        elif run.given == "empty":
            yield f"{where}.run: {choice.run} is shown no object; expected a run that inference gives a mask"


def _spelled(key: str, run: Run) -> bool:
    """Whether the name is what the fields spell, or that and a word which does not look like a seed."""
    rest = key.removeprefix(run.key)
    return key.startswith(run.key) and (not rest or bool(re.fullmatch(f"-{_WORD}", rest)))


def _check_recurrent(where: str, strategy: str, network: str) -> Iterator[str]:
    if network in NETWORKS and NETWORKS[network].recurrent and not STRATEGIES[strategy].recurrent:
        yield (
            f"{where}: '{strategy}' cannot train the recurrent network '{network}', whose state needs two steps to "
            "fill; choose 'two_step' or 't_step'"
        )


def check_names(profile: ProfileFile, networks: Iterable[str]) -> Iterator[str]:
    """Findings about the names below the sections of a profile's file, in which every one of `networks` has to stand.

    An empty entry says that nothing differs from the recipe; the engines refuse to depend on a place that is not there.
    """
    for section in _BY_NETWORK:
        for name in getattr(profile, section):
            if name not in NETWORKS and (name != "all" or section == "networks"):
                yield f"{section}.{name}: unknown network; {suggest(name, [*NETWORKS, 'all'])}"
    needed = [(section, name) for name in dict.fromkeys(networks) if name in NETWORKS for section in _BY_NETWORK]
    needed += [(section, "all") for section in _BY_NETWORK[1:]]
    for section, name in needed:
        if name not in getattr(profile, section):
            yield f"{section}.{name}: missing; write `{name}: {{}}` there if nothing differs from the recipe"


def check_profile(params: Params) -> Iterator[str]:
    """Findings about a profile's sets and initial weights."""
    profile = params.profile
    yield from _check_data(profile.data)
    yield from _check_shown(profile)
    pretrained = [key for key, run in params.runs.items() if run.init == "static"]
    if pretrained and not profile.data.pretrain:
        yield (
            f"data.pretrain: empty, but {_named(pretrained, 'start')} from static pretraining; name a set, or choose "
            "init 'backbone'"
        )
    for network, settings in profile.networks.items():
        if profile.init.backbone == "imagenet" and settings and not {"trunk", "value_trunk"} <= settings.keys():
            yield (
                f"init.backbone: 'imagenet' fits the official architecture and backbones of timm only; empty "
                f"networks.{network}, give it trunk and value_trunk, or choose 'random'"
            )
    early = profile.figures.figure6.iteration
    trainings: Mapping[str, Training | None] = params.trainings
    for key, recipe in trainings.items():
        if early is not None and recipe and params.runs[key].given == "empty" and early >= recipe.iterations:
            yield (
                f"figures.figure6.iteration: {early}, but the run {key} ends after {recipe.iterations}; name an "
                "earlier one, or null for the finished weights"
            )


def check_trainings(params: Params) -> Iterator[str]:
    """Findings, each with its file, about what the runs need of their trainings."""
    endless: dict[str, None] = {}
    short: dict[tuple[str, int, int], list[str]] = {}
    trainings: Mapping[str, Training | None] = params.trainings
    for key, recipe in trainings.items():
        strategy, layered = params.runs[key].strategy, params.layers[f"train.{key}"]
        if recipe is None:
            continue  # found above
        if recipe.max_skip is None:
            endless[layered.place("max_skip")] = None
        if strategy in STRATEGIES and recipe.frames < STRATEGIES[strategy].shortest_clip:
            place = layered.place("frames")
            short.setdefault((place, STRATEGIES[strategy].shortest_clip, recipe.frames), []).append(key)
    for place in endless:
        yield f"{place}: training on videos needs values, not null"
    for (place, needed, frames), keys in short.items():
        yield f"{place}: {_named(keys, 'need')} at least {needed} frames per clip, not {frames}"


# Arguments of residual trunks, by what takes their place.
_RESIDUAL = {
    replaced: tuple(f"{part}_{what}" for part in parts for what in ("block", "widths", "depths"))
    for replaced, parts in (("trunk", ("key", "pixel")), ("value_trunk", ("value", "mask")))
}


def check_trunks(params: Params) -> Iterator[str]:
    """Findings, each with its file, about arguments of a trunk in whose place there is another: they change nothing."""
    layered_networks = [params.layers.get(f"networks.{network}") for network in params.networks]
    for layered in filter(None, layered_networks):
        for trunk, residual in _RESIDUAL.items():
            for name in residual:
                if layered.values.get(trunk) and name in layered.values:
                    yield (
                        f"{layered.place(name)}: describes the trunk that {trunk} ({layered.place(trunk)}) takes the "
                        "place of; leave one of the two out"
                    )


def _named(keys: list[str], verb: str) -> str:
    return f"the run {keys[0]} {verb}s" if len(keys) == 1 else f"the run {keys[0]} and {len(keys) - 1} more {verb}"


def _check_shown(profile: Profile) -> Iterator[str]:
    """Sets of the curve and of the figures: which are evaluated, and of a kind that the place can use."""
    data = profile.data
    shown = {"curve": profile.curve.set} | {
        f"figures.{figure}": choice.set for figure, choice in profile.figures if isinstance(choice, FigureChoice)
    }
    for place, name in shown.items():
        wanted = "youtube" if place == "figures.figure5" else "davis"
        if name not in data.evaluate:
            known = suggest(name, list(data.evaluate))
            yield f"{place}.set: '{name}' is not among data.evaluate; {known}"
        elif name in data.sets and data.sets[name].kind != wanted:
            yield f"{place}.set: '{name}' is of kind '{data.sets[name].kind}', not '{wanted}'"


# What a stage can read: kinds of sets, and splits of YouTube-VOS.
_USES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("davis", "youtube"), ("train", "train-part")),
    "pretrain": (("pairs", "davis"), ()),
    "evaluate": (("davis", "server", "youtube"), ("held-out", "valid")),
}


def check_weight_files(profile: Profile, own: ProfileFile) -> Iterator[str]:
    """Findings about weights for a trunk that no network has: they would be passed over, and others taken.

    A network that the profile describes counts, also where `networks` leaves it out.
    """
    networks = [*own.networks.values(), *profile.networks.values()]
    named = [settings[key] for settings in networks for key in ("trunk", "value_trunk") if settings.get(key)]
    names = [trunk.get("name") for trunk in named if isinstance(trunk, Mapping)]
    trunks = {name for name in names if isinstance(name, str)}
    for name in profile.init.files:
        if name not in trunks:
            known = suggest(name, trunks) if trunks else "none has one of timm"
            yield f"init.files.{name}: no network has this trunk; {known}"


def _check_data(data: Data) -> Iterator[str]:
    named = [(stage, stage, name) for stage in _USES for name in getattr(data, stage)]
    named += [("train", f"train_of.{network}", name) for network, sets in data.train_of.items() for name in sets]
    for stage, place, name in named:
        (kinds, splits), chosen = _USES[stage], data.sets.get(name)
        if chosen is None:
            yield f"data.{place}: the set '{name}' is not among sets; {suggest(name, list(data.sets))}"
        elif chosen.kind not in kinds:
            expected = " or ".join(f"'{kind}'" for kind in kinds)
            yield f"data.{place}: the set '{name}' is of kind '{chosen.kind}', not {expected}"
        elif isinstance(chosen, YouTubeVideos) and chosen.split not in splits:
            expected = " or ".join(f"'{split}'" for split in splits)
            yield f"data.{place}: the set '{name}' is the split '{chosen.split}', not {expected}"
    for network in data.train_of:
        if network not in NETWORKS:
            yield f"data.train_of: unknown network '{network}'; {suggest(network, NETWORKS)}"
    if len(set(data.evaluate)) != len(data.evaluate):
        yield "data.evaluate: a set is named twice"
    for name in data.sets:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):  # names of sets become names of files
            yield f"data.sets.{name}: a set's name may hold letters, digits, '_', '.' and '-' only"
