"""Rules that tie several parts of `params.yaml` together. Each function returns one line per finding."""

import re
from collections.abc import Mapping

from oneshot_vos.networks import NETWORKS
from oneshot_vos.params.schema import Data, FigureChoice, Params, Profile, YouTubeVideos
from oneshot_vos.registry import suggest
from oneshot_vos.supervision import STRATEGIES


def check_runs(params: Params) -> list[str]:
    """Findings about the networks and the runs: names, and which goes with which."""
    lines = [
        f"networks: unknown network '{name}'; {suggest(name, list(NETWORKS))}"
        for name in params.networks
        if name not in NETWORKS
    ]
    if len(set(params.networks)) != len(params.networks):
        lines.append("networks: a network is named twice")
    for network in params.networks:
        strategy = params.table1_strategy.get(network)
        if strategy is None:
            lines.append(f"table1_strategy: no entry for the network '{network}', which networks names")
        elif strategy not in STRATEGIES:
            lines.append(f"table1_strategy.{network}: unknown '{strategy}'; {suggest(strategy, list(STRATEGIES))}")
    for key, run in params.runs.items():
        where = f"runs.{key}"
        if run.network not in params.networks:
            lines.append(
                f"{where}.network: '{run.network}' is not in networks; {suggest(run.network, list(params.networks))}"
            )
        if key != run.key:
            lines.append(f"{where}: its fields spell the name '{run.key}'; rename it or change the fields")
        if run.strategy not in STRATEGIES:
            lines.append(f"{where}.strategy: unknown '{run.strategy}'; {suggest(run.strategy, list(STRATEGIES))}")
            continue
        entry = STRATEGIES[run.strategy]
        if not entry.recurrent and run.network in NETWORKS and NETWORKS[run.network].recurrent:
            lines.append(
                f"{where}.strategy: '{run.strategy}' cannot train the recurrent network '{run.network}', whose state "
                "needs two steps to fill; choose 'two_step' or 't_step'"
            )
        needed = entry.labels
        if run.labels != needed:
            lines.append(f"{where}.labels: strategy '{run.strategy}' goes with labels '{needed}', not '{run.labels}'")
    return lines


def check_profile(params: Params, name: str) -> list[str]:
    """Findings about one profile: what its blocks must have for the networks and the runs, and its sets."""
    profile = params.profiles[name]
    where = f"profiles.{name}"
    lines = _check_data(profile.data, f"{where}.data")
    lines += _check_shown(profile, where)
    for section in ("networks", "pretrain", "train", "infer"):
        entries: Mapping[str, object] = getattr(profile, section)
        missing = [network for network in params.networks if network not in entries]
        lines += [
            f"{where}.{section}: no entry for the network '{network}', which networks names" for network in missing
        ]
        lines += [
            f"{where}.{section}.{entry}: unknown network; {suggest(entry, list(NETWORKS))}"
            for entry in entries
            if entry not in NETWORKS
        ]
    lines += [
        f"{where}.train.{network}.max_skip: training on videos needs values, not null"
        for network, recipe in profile.train.items()
        if recipe.max_skip is None
    ]
    for key, run in params.runs.items():
        recipe = profile.train.get(run.network)
        shortest = STRATEGIES[run.strategy].shortest_clip if run.strategy in STRATEGIES else 0
        if recipe is not None and recipe.frames < shortest:
            lines.append(
                f"{where}.train.{run.network}.frames: the run {key} needs at least {shortest} frames per clip, not "
                f"{recipe.frames}"
            )
    if not profile.data.pretrain:
        lines += [
            f"{where}.data.pretrain: empty, but the run {key} starts from static pretraining; name a set, or choose "
            "init 'backbone'"
            for key, run in params.runs.items()
            if run.init == "static"
        ]
    if profile.init.backbone == "imagenet":
        lines += [
            f"{where}.init.backbone: 'imagenet' fits the official architecture only; empty networks.{network} or "
            "choose 'random'"
            for network, settings in profile.networks.items()
            if settings
        ]
    return lines


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
            lines.append(f"{where}.{place}.set: '{name}' is not among data.evaluate; {known}")
        elif name in data.sets and data.sets[name].kind != wanted:
            lines.append(f"{where}.{place}.set: '{name}' is of kind '{data.sets[name].kind}', not '{wanted}'")
    return lines


# What a stage can read: kinds of sets, and splits of YouTube-VOS.
_USES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("davis", "youtube"), ("train", "train-part")),
    "pretrain": (("pairs",), ()),
    "evaluate": (("davis", "youtube"), ("held-out", "valid")),
}


def _check_data(data: Data, where: str) -> list[str]:
    lines = []
    for stage, (kinds, splits) in _USES.items():
        for name in getattr(data, stage):
            chosen = data.sets.get(name)
            if chosen is None:
                lines.append(f"{where}.{stage}: the set '{name}' is not among sets; {suggest(name, list(data.sets))}")
            elif chosen.kind not in kinds:
                expected = " or ".join(f"'{kind}'" for kind in kinds)
                lines.append(f"{where}.{stage}: the set '{name}' is of kind '{chosen.kind}', not {expected}")
            elif isinstance(chosen, YouTubeVideos) and chosen.split not in splits:
                expected = " or ".join(f"'{split}'" for split in splits)
                lines.append(f"{where}.{stage}: the set '{name}' is the split '{chosen.split}', not {expected}")
    if len(set(data.evaluate)) != len(data.evaluate):
        lines.append(f"{where}.evaluate: a set is named twice")
    # Names of sets become names of files.
    lines += [
        f"{where}.sets.{name}: a set's name may hold letters, digits, '_', '.' and '-' only"
        for name in data.sets
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name)
    ]
    return lines
