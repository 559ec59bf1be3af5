"""Rules that tie several parts of `params.yaml` together. Each function returns one line per finding."""

import re
from collections.abc import Mapping

from oneshot_vos.networks import NETWORKS
from oneshot_vos.params.schema import Choices, Data, FigureChoice, Params, Profile, Run, YouTubeVideos
from oneshot_vos.registry import suggest
from oneshot_vos.supervision import STRATEGIES


def check_runs(params: Choices) -> list[str]:
    """Findings about the networks and the runs: names, and which goes with which."""
    lines = []
    if len(set(params.networks)) != len(params.networks):
        lines.append("networks: a network is named twice")
    for network in dict.fromkeys(params.networks):
        lines += _check_table1(params, network)
    for key, run in params.runs.items():
        lines += _check_run(params, key, run)
    return lines


def _check_table1(params: Choices, network: str) -> list[str]:
    strategy, where = params.table1_strategy.get(network), f"table1_strategy.{network}"
    if strategy is None:
        return [f"table1_strategy: no entry for the network '{network}', which networks names"]
    if strategy not in STRATEGIES:
        return [f"{where}: unknown '{strategy}'; {suggest(strategy, STRATEGIES)}"]
    spec = STRATEGIES[strategy]
    if not spec.one_shot:
        known = ", ".join(f"'{name}'" for name, each in STRATEGIES.items() if each.one_shot)
        return [f"{where}: '{strategy}' is no one-shot training from a first mask; expected one of {known}"]
    if not spec.recurrent and NETWORKS[network].recurrent:
        return [f"{where}: {_not_recurrent(strategy, network)}"]
    return []


def _check_run(params: Choices, key: str, run: Run) -> list[str]:
    where, lines = f"runs.{key}", []
    if run.network not in params.networks:
        lines.append(f"{where}.network: '{run.network}' is not in networks; {suggest(run.network, params.networks)}")
    if not _spelled(key, run):
        lines.append(
            f"{where}: its fields spell the name '{run.key}'; rename it, to '{run.key}-WORD' for a variant, or change "
            "the fields"
        )
    if run.strategy not in STRATEGIES:
        lines.append(f"{where}.strategy: unknown '{run.strategy}'; {suggest(run.strategy, STRATEGIES)}")
        return lines
    spec = STRATEGIES[run.strategy]
    if not spec.recurrent and run.network in NETWORKS and NETWORKS[run.network].recurrent:
        lines.append(f"{where}.strategy: {_not_recurrent(run.strategy, run.network)}")
    for field, needed in (("labels", spec.labels), ("given", spec.given)):
        value = getattr(run, field)
        if value != needed:
            lines.append(f"{where}.{field}: strategy '{run.strategy}' goes with {field} '{needed}', not '{value}'")
    return lines


def _spelled(key: str, run: Run) -> bool:
    """Whether the name is what the fields spell, or that and a word which does not look like a seed."""
    rest = key.removeprefix(run.key)
    return key.startswith(run.key) and (not rest or bool(re.fullmatch(r"-(?!s[0-9]+$)[A-Za-z0-9_.]+", rest)))


def _not_recurrent(strategy: str, network: str) -> str:
    return (
        f"'{strategy}' cannot train the recurrent network '{network}', whose state needs two steps to fill; choose "
        "'two_step' or 't_step'"
    )


def check_profile(params: Params, file: str) -> list[str]:
    """Findings about the profile in `file`: what its blocks must have for the networks and the runs, and its sets."""
    profile = params.profile
    where = f"{file}: "
    lines = _check_data(profile.data, f"{where}data")
    lines += _check_shown(profile, where)
    for key, run in params.runs.items():
        recipe, own = params.trainings[key], f"train.{run.network}"
        shortest = STRATEGIES[run.strategy].shortest_clip
        if recipe.max_skip is None:
            lines.append(f"{where}{own}.max_skip: training on videos needs values, not null")
        early = profile.figures.figure6.iteration
        if run.given == "empty" and early is not None and early >= recipe.iterations:
            lines.append(
                f"{where}figures.figure6.iteration: {early}, but the run {key} ends after {recipe.iterations}; name an "
                "earlier one, or null for the finished weights"
            )
        if recipe.frames < shortest:
            lines.append(
                f"{where}{own}.frames: the run {key} needs at least {shortest} frames per clip, not {recipe.frames}"
            )
    if not profile.data.pretrain:
        lines += [
            f"{where}data.pretrain: empty, but the run {key} starts from static pretraining; name a set, or choose "
            "init 'backbone'"
            for key, run in params.runs.items()
            if run.init == "static"
        ]
    if profile.init.backbone == "imagenet":
        lines += [
            f"{where}init.backbone: 'imagenet' fits the official architecture only; empty networks.{network} or "
            "choose 'random'"
            for network, settings in profile.networks.items()
            if settings
        ]
    return list(dict.fromkeys(lines))


def _check_shown(profile: Profile, where: str) -> list[str]:
    """Sets of the curve and of the figures: which are evaluated, and of a kind that the place can use."""
    data = profile.data
    shown = {"curve": profile.curve.set} | {
        f"figures.{figure}": choice.set for figure, choice in profile.figures if isinstance(choice, FigureChoice)
    }
    lines = []
    for place, name in shown.items():
        wanted = "youtube" if place == "figures.figure5" else "davis"
        if name not in data.evaluate:
            known = suggest(name, list(data.evaluate))
            lines.append(f"{where}{place}.set: '{name}' is not among data.evaluate; {known}")
        elif name in data.sets and data.sets[name].kind != wanted:
            lines.append(f"{where}{place}.set: '{name}' is of kind '{data.sets[name].kind}', not '{wanted}'")
    return lines


# What a stage can read: kinds of sets, and splits of YouTube-VOS.
_USES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("davis", "youtube"), ("train", "train-part")),
    "pretrain": (("pairs",), ()),
    "evaluate": (("davis", "youtube"), ("held-out", "valid")),
}


def _check_data(data: Data, where: str) -> list[str]:
    lines = []
    named = [(stage, stage, name) for stage in _USES for name in getattr(data, stage)]
    named += [("train", f"train_of.{network}", name) for network, sets in data.train_of.items() for name in sets]
    for stage, place, name in named:
        (kinds, splits), chosen = _USES[stage], data.sets.get(name)
        if chosen is None:
            lines.append(f"{where}.{place}: the set '{name}' is not among sets; {suggest(name, list(data.sets))}")
        elif chosen.kind not in kinds:
            expected = " or ".join(f"'{kind}'" for kind in kinds)
            lines.append(f"{where}.{place}: the set '{name}' is of kind '{chosen.kind}', not {expected}")
        elif isinstance(chosen, YouTubeVideos) and chosen.split not in splits:
            expected = " or ".join(f"'{split}'" for split in splits)
            lines.append(f"{where}.{place}: the set '{name}' is the split '{chosen.split}', not {expected}")
    lines += [
        f"{where}.train_of: unknown network '{network}'; {suggest(network, NETWORKS)}"
        for network in data.train_of
        if network not in NETWORKS
    ]
    if len(set(data.evaluate)) != len(data.evaluate):
        lines.append(f"{where}.evaluate: a set is named twice")
    # Names of sets become names of files.
    lines += [
        f"{where}.sets.{name}: a set's name may hold letters, digits, '_', '.' and '-' only"
        for name in data.sets
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name)
    ]
    return lines
