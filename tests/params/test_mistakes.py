"""Parameters that are refused: every mistake ends in one clear message."""

from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.params.changes import DOCUMENT, GONE, Change, message_after, put, write

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params import load_params

STCN, SAID = "profiles.mini.train.stcn", "config/profiles/mini.yaml: train.stcn"
MINI = "config/profiles/mini.yaml"
# Another seed of stcn-full-static, trained otherwise.
OTHER_CROP = {**DOCUMENT["runs"]["stcn-full-static"], "seed": 1, "train": {"crop": 48}}
SKIP = {"values": [1, 2, 3, 2]}
SOURCE = {"mini-train": {"copies": 1, "skip_divisor": 1, "items": "videos"}}
FULL_AT_ONCE = {"max_frames": 5, "min_frames": 5, "prototypes": 128, "max_elements": 1000, "buffer": 0}


def two_shot(document: dict[str, Any]) -> None:
    """A run with two masks of a video, whose name does not say so."""
    document["labels"]["two"] = {"frames": "random", "per_video": 2, "seed": 0}
    document["runs"]["stcn-two_step-static"]["labels"] = "two"


MISTAKES = [
    (f"{STCN}.batchsize", 4, f"{SAID}.batchsize: unknown key; did you mean 'batch_size'?"),
    (f"{STCN}.optimiser.learning_rat", 1.0, f"{SAID}.optimiser.learning_rat: unknown key; did you mean"),
    ("netwroks", [], "netwroks: unknown key; did you mean 'networks'?"),
    ("profiles.mini.data.sets.mini-val.lst", "x", "data.sets.mini-val.lst: unknown key; did you mean 'list'?"),
    (f"{STCN}.iterations", "100", f"{SAID}.iterations: should be a valid integer, not '100'"),
    (f"{STCN}.iterations", True, f"{SAID}.iterations: should be a valid integer, not True"),
    (f"{STCN}.iterations", 10.0, f"{SAID}.iterations: should be a valid integer, not 10.0"),
    (f"{STCN}.iterations", 0, f"{SAID}.iterations: should be greater than or equal to 1, not 0"),
    (f"{STCN}.crop", 100, f"{SAID}.crop: should be a multiple of 16, not 100"),
    (f"{STCN}.optimiser.learning_rate", "fast", f"{SAID}.optimiser.learning_rate: should be a valid number"),
    (f"{STCN}.optimiser.learning_rate", float("nan"), f"{SAID}.optimiser.learning_rate: "),
    (f"{STCN}.accumulation", 3, f"{SAID}: batch_size 4 is not a multiple of accumulation 3"),
    (f"{STCN}.max_skip", {**SKIP, "at": [0, 0.5]}, f"{SAID}.max_skip: 4 values need as many entries in at, not 2"),
    (f"{STCN}.max_skip", {**SKIP, "at": [0, 0.5, 0.4, 0.8]}, f"{SAID}.max_skip: at must start with 0 and rise"),
    (f"{STCN}.max_skip", None, f"{SAID}.max_skip: training on videos needs values"),
    (f"{STCN}.single_object", True, f"{SAID}: single_object is for single images with objects: 1"),
    (f"{STCN}.clips", {"merge": 1.5}, f"{SAID}.clips.merge: should be less than or equal to 1, not 1.5"),
    (f"{STCN}.clips", {"short_videos": "dropp"}, f"{SAID}.clips.short_videos: "),
    ("profiles.mini.data.train_of.xmen", SOURCE, f"{MINI}: data.train_of: unknown network 'xmen'; did you"),
    ("profiles.mini.data.train_of.stcn", {"x": SOURCE["mini-train"]}, "data.train_of.stcn: the set 'x' is not"),
    (
        "profiles.mini.figures.figure6.iteration",
        420,
        "figures.figure6.iteration: 420, but the run cutie-empty-backbone ends after 420",
    ),
    (f"{STCN}.frames", 2, "the run stcn-two_step-static and 1 more need at least 3 frames per clip, not 2"),
    ("profiles.smoke.training.schedule.milestones", [4], "the milestone 4 is never reached in 4 iterations"),
    ("recipes.xmem", GONE, "config/recipes/xmem.yaml: no such file; expected the recipe of 'xmem'"),
    ("recipes.xmem.train.iteratoins", 3, "config/recipes/xmem.yaml: train.iteratoins: unknown key"),
    ("recipes.xmem.train.deep_update", 2.0, "config/recipes/xmem.yaml: train.deep_update: "),
    ("profiles.mini.train.xmen", {}, f"{MINI}: train.xmen: unknown network; did you mean"),
    ("profiles.mini.data.evaluate", ["mini-vall"], "'mini-vall' is not among sets; did you mean 'mini-val'?"),
    (
        "profiles.mini.data.evaluate",
        ["mini-static"],
        "'mini-static' is of kind 'pairs', not 'davis' or 'server' or 'youtube'",
    ),
    ("profiles.mini.data.evaluate", [], "data.evaluate: "),
    (
        "profiles.mini.data.sets.mini-val.kind",
        "davids",
        "data.sets.mini-val.kind: must be 'davis', 'pairs', 'server' or 'youtube'",
    ),
    (
        "profiles.mini.data.sets.mini-val",
        {"path": "."},
        "mini-val.kind: must be 'davis', 'pairs', 'server' or 'youtube'",
    ),
    ("profiles.paper.data.sets.youtube18-train.split", "test", "data.sets.youtube18-train.split: "),
    ("profiles.paper.data.sets.youtube18-train.videos", ["a"], "youtube18-train.videos: unknown key"),
    (
        "profiles.paper.data.sets.youtube18-train.split",
        "valid",
        "data.train: the set 'youtube18-train' is the split 'valid', not 'train' or 'train-part'",
    ),
    (
        "profiles.paper.data.evaluate",
        ["davis17-val", "youtube18-train"],
        "data.evaluate: the set 'youtube18-train' is the split 'train', not 'held-out' or 'valid'",
    ),
    ("profiles.paper.curve.set", "youtube18-valid", "curve.set: 'youtube18-valid' is of kind 'youtube', not"),
    ("profiles.paper.figures.figure5.set", "davis17-val", "figure5.set: 'davis17-val' is of kind 'davis', not"),
    ("profiles.mini.data.sets.mini-val.path", "../up", "data.sets.mini-val.path: must be a relative path"),
    ("profiles.mini.data.sets.a/b", {"kind": "pairs", "path": "x"}, "sets.a/b: a set's name may hold"),
    ("profiles.paper.networks.stcn", {"key_dim": 32}, "'imagenet' fits the official architecture"),
    ("profiles.mini.init.files", {"tf_efficientnet_lite0": "w.pth"}, "init.files.tf_efficientnet_lite0: no network"),
    ("profiles.mini.networks.resnet", {}, "config/profiles/mini.yaml: networks.resnet: unknown network"),
    ("profile", "minni", "profile: unknown 'minni'; did you mean 'mini'?"),
    ("networks", ["stcm"], "networks: unknown network 'stcm'; did you mean 'stcn'?"),
    ("networks", ["stcn", "stcn"], "networks: a network is named twice"),
    ("networks", [], "networks: "),
    ("runs.stcn-full-static.seed", 3, "its fields spell the name 'stcn-full-static-s3'"),
    (
        "runs.stcn-full-static-low-lr",
        {"network": "stcn", "strategy": "full", "labels": "every", "init": "static", "seed": 0},
        "'stcn-full-static-WORD' for a variant (letters, digits, '_' and '.', not like a seed), or change the fields",
    ),
    ("runs.stcn-full-static.network", "xmem", "its fields spell the name 'xmem-full-static'"),
    ("runs.stcn-full-static.labels", "first", "strategy 'full' goes with labels 'every', not 'first'"),
    ("runs.stcn-two_step-static.labels", "every", "strategy 'two_step' goes with labels 'first', not 'every'"),
    (
        "profiles.small.networks.xmem.key_widths",
        [8, 8, 8],
        "small.yaml: networks.xmem.key_widths: describes the trunk that trunk (",
    ),
    ("runs.stcn-two_step-static.labels", "frist", "labels: unknown 'frist'; did you mean 'first'?"),
    ("labels.two", {"frames": "random", "per_video": 2}, "labels.two: frames: random needs seed"),
    ("labels.two", {"frames": "first"}, "labels.two: frames: first needs per_video"),
    ("labels.two", {"frames": 3, "per_video": 0}, "labels.two.per_video: should be greater than or equal to"),
    ("labels.two", {"frames": -1, "per_video": 1}, "labels.two.frames: should be 'every', "),
    (
        "labels.two",
        {"frames": "rnd", "per_video": 1},
        "labels.two.frames: should be 'every', 'first' or 'random', or a valid integer, not 'rnd'",
    ),
    ("labels.two", {"frames": "every", "per_video": 2}, "labels.two: frames: every takes no per_video"),
    ("labels.two", {"frames": 2, "per_video": 2, "seed": 0}, "labels.two: frames: 2 takes no seed"),
    ("labels.first.per_video", 2, "labels.first: must be {frames: first, per_video: 1}, as its name says"),
    ("labels.a/b", {"frames": "first", "per_video": 2}, "labels.a/b: a name may hold letters"),
    ("labels", GONE, "params.yaml: labels: missing"),
    ("runs.stcn-full-static.strategy", "two-step", "strategy: unknown 'two-step'; did you mean 'two_step'?"),
    ("networks", ["stcn", "xmem"], "runs.cutie-full-static.network: 'cutie' is not in networks"),
    ("table1_strategy.xmem", "full_step", "table1_strategy.xmem: unknown 'full_step'"),
    ("table1_strategy.xmem", "full", "table1_strategy.xmem: 'full' is no one-shot training"),
    ("table1_strategy.xmem", "empty", "table1_strategy.xmem: 'empty' is no one-shot training"),
    ("table1_strategy.xmem", "one_step", "table1_strategy.xmem: 'one_step' cannot train the recurrent"),
    ("runs.cutie-empty-backbone.given", "first", "given: strategy 'empty' goes with given 'empty', not"),
    ("runs.stcn-full-static.strategy", {"steps": 3}, "strategy: must be a strategy's name, or {name: …}"),
    ("runs.stcn-full-static.train", {"iteratons": 3}, "runs.stcn-full-static.train.iteratons: unknown key"),
    ("runs.stcn-full-static.train", {"crop": 50}, "runs.stcn-full-static.train.crop: should be a multiple"),
    ("runs.stcn-full-static-s1", OTHER_CROP, "runs.stcn-full-static-s1.train: differs from runs.stcn-full-st"),
    ("profiles.mini.pretrain.xmem", GONE, f"{MINI}: pretrain.xmem: missing; write"),
    ("table1_strategy", {"stcn": "full"}, "table1_strategy: no entry for the network 'xmem'"),
    ("profiles.mini.curve.set", "mini-train", f"{MINI}: curve.set: 'mini-train' is not among data.evaluate"),
    ("profiles.mini.figures.figure6.set", "x", f"{MINI}: figures.figure6.set: 'x' is not among data.evaluate"),
    ("profiles.mini.infer.xmem.long_term", {"max_frames": 3}, "infer.xmem.long_term.min_frames: missing"),
    ("profiles.mini.infer.xmem.long_term", FULL_AT_ONCE, f"{MINI}: infer.xmem.long_term: inference setting"),
    ("recipes.xmem.infer.include_last", True, "xmem.yaml: infer: inference settings long_term and include_last"),
    ("profiles.mini.infer.stcn.short_side", 8, "infer.stcn.short_side: should be greater than or equal to 16"),
    ("profiles.mini.infer.stcn.flip", 1, "infer.stcn.flip: should be a valid boolean, not 1"),
    ("profiles.mini.infer.stcn.topk", 1, f"{MINI}: infer.stcn.topk: unknown key; did you mean 'top_k'"),
    ("recipes.stcn.infer.flip", GONE, "stcn.yaml: infer.flip: missing"),
    ("profiles.mini.train.xmem.sampler", "near", "train.xmem.sampler: "),
    ("runs.stcn-full-static", None, "runs.stcn-full-static: "),
    ("networks", GONE, "networks: missing"),
    ("profiles.mini", GONE, "profile: unknown 'mini'"),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, path: str, value: object, expected: str) -> None:
    assert expected in message_after(tmp_path, put(path, value))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (two_shot, "runs.stcn-two_step-static: its fields spell the name 'stcn-two_step-static-two'"),
        (lambda document: document.update({1: 2}), "1: "),
    ],
)
def test_so_is_a_wrong_name(tmp_path: Path, change: Change, expected: str) -> None:
    assert expected in message_after(tmp_path, change)


def test_all_mistakes_are_listed_together_and_once(tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        put(f"{STCN}.batchsize", 4)(document)
        put("profiles.mini.training.crop", "large")(document)  # of six trainings
        put("profiles.mini.infer.stcn.topk", 3)(document)

    message = message_after(tmp_path, change)
    assert message.splitlines()[0].endswith("params.yaml: 3 problems")
    assert len(message.splitlines()) == 4


@pytest.mark.parametrize("name", ["stcn-two_step-static-s1", "stcn-two_step", "stcn-two_step-staticlong"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    run = DOCUMENT["runs"]["stcn-two_step-static"]
    assert "its fields spell the name" in message_after(tmp_path, put(f"runs.{name}", run))


@pytest.mark.parametrize("block", ["schedule", "max_skip"])
def test_blocks_whose_keys_hang_together_are_replaced_whole(tmp_path: Path, block: str) -> None:
    known = {"schedule": {"name": "cosine"}, "max_skip": {"values": [1]}}[block]
    assert f"train.stcn.{block}." in message_after(tmp_path, put(f"{STCN}.{block}", known))


def test_what_a_recipe_or_an_idle_profile_has_wrong_is_found_too(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    put("recipes.xmem.train.optimiser.weight_decay", "much")(document)  # mini has a value of its own
    put("recipes.stcn.train.memory_frames", -3)(document)  # of four runs, under four profiles
    put("profiles.small.training.batchsize", 4)(document)
    put("runs.stcn-full-static.labels", "first")(document)
    with pytest.raises(UserError) as caught:
        load_params(write(tmp_path, document), "mini")
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines[0] == "params.yaml: 4 problems"
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["  params.yaml", "runs.stcn-full-static.labels"],
        ["  config/recipes/stcn.yaml", "train.memory_frames"],
        ["  config/recipes/xmem.yaml", "train.optimiser.weight_decay"],
        ["  config/profiles/small.yaml", "training.batchsize"],
    ]


def test_a_recipe_is_complete_by_itself(tmp_path: Path) -> None:
    message = message_after(tmp_path, lambda document: document["recipes"]["xmem"]["train"].pop("optimiser"))
    assert "config/recipes/xmem.yaml: train.optimiser: missing" in message


def test_a_block_that_contains_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    file = tmp_path / MINI
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("\ntraining:\n", "\ntraining: &a\n  loss: *a\n"), encoding="utf-8")
    with pytest.raises(UserError, match="contains itself"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("network", [name for name, entry in NETWORKS.items() if entry.recurrent])
def test_recurrent_networks_refuse_one_step(tmp_path: Path, network: str) -> None:
    run = {"network": network, "strategy": "one_step", "labels": "first", "init": "static", "seed": 0}
    message = message_after(tmp_path, put(f"runs.{network}-one_step-static", run))
    assert f"'one_step' cannot train the recurrent network '{network}'" in message
    assert message.splitlines()[0].endswith("1 problem")


MADE = "results/mini/train/{}/weights.safetensors"


@pytest.mark.parametrize(
    ("name", "network", "weights", "expected"),
    [
        ("mine", "stcn", "nowhere.safetensors", "starts.mine.weights: nowhere.safetensors: no such file; expected"),
        ("static", "stcn", __file__, "starts.static: a name may hold letters, digits, '_' and '.', and is none of"),
        ("a-b", "stcn", __file__, "starts.a-b: a name may hold"),
        ("mine", "stnc", __file__, "starts.mine.network: 'stnc' is not in networks; did you mean 'stcn'?"),
        ("mine", "xmem", __file__, "runs.stcn-full-mine.init: 'mine' are weights of 'xmem', the run trains 'stcn'"),
        ("mine", "stcn", MADE.format("stcn-full-mine"), "weights: the run stcn-full-mine itself starts from them"),
        ("mine", "stcn", MADE.format("xmem-full-static"), "the run xmem-full-static trains 'xmem', not 'stcn'"),
        ("mine", "stcn", MADE.format("stcn-ful-static"), "no run of that name; did you mean 'stcn-full-static'?"),
    ],
)
def test_a_start_is_refused(tmp_path: Path, name: str, network: str, weights: str, expected: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["starts"] = {name: {"network": network, "weights": weights}}
        document["runs"]["stcn-full-mine"] = {**document["runs"]["stcn-full-static"], "init": "mine"}

    message = message_after(tmp_path, change)
    assert expected in message
    if name == "mine" and network != "xmem" and network != "stnc":
        assert message.splitlines()[0].endswith("1 problem")


@pytest.mark.parametrize(
    ("name", "run", "expected"),
    [
        ("every", "stcn-two_step-static", "pseudo.every: a name may hold letters, digits, '_' and '.', and is none of"),
        ("made", "stcn-two_stp-static", "pseudo.made.run: no run 'stcn-two_stp-static'; did you mean 'stcn-two_step-s"),
        ("made", "xmem-two_step-static", "pseudo.made.network: the run xmem-two_step-static trains 'xmem', not 'stcn'"),
        ("made", "stcn-pseudo-static-made", "pseudo.made.run: stcn-pseudo-static-made is trained on these labels"),
        ("other", "stcn-two_step-static", "runs.stcn-pseudo-static-made.labels: unknown 'made'"),
    ],
)
def test_pseudo_labels_are_refused(tmp_path: Path, name: str, run: str, expected: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["pseudo"] = {name: {"network": "stcn", "run": run, "confidence": 0.5, "agreement": 0.5}}
        own = {**document["runs"]["stcn-two_step-static"], "strategy": "pseudo", "labels": "made"}
        document["runs"]["stcn-pseudo-static-made"] = own

    assert expected in message_after(tmp_path, change)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file: should be entries `name: value`, not None"),
        (b"- 1\n", "the file: should be entries `name: value`, not [1]"),
        (b"profile: [", "not valid YAML"),
        (b"? [a]\n: b\n", ": "),
        (b"a: &a [*a]\n", ""),
    ],
)
def test_what_is_not_a_parameter_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=8
)


def places(value: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every entry of a tree."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, child in items for place in places(child, (*here, key)))]


# Beside what all profiles share, the entries that each of them has alone; the smaller a document, the faster.
ALONE = {
    name: {**DOCUMENT, "profile": name, "profiles": {name: DOCUMENT["profiles"][name]}} for name in DOCUMENT["profiles"]
}
PLACES = [(name, place) for name, document in ALONE.items() for place in places(document) if place]


@example(place=("small", ("profiles", "small", "networks", "xmem", "value_trunk", "name")), value=[])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=TREES)
def test_any_value_anywhere_is_accepted_or_explained(
    tmp_path: Path, place: tuple[str, tuple[Any, ...]], value: object
) -> None:
    profile, parts = place
    document = deepcopy(ALONE[profile])
    parent: Any = document
    for part in parts[:-1]:
        parent = parent[part]
    parent[parts[-1]] = value
    if not all(isinstance(document.get(kind), dict) for kind in ("profiles", "recipes")):
        return  # these are folders
    path = write(tmp_path, document)
    with suppress(UserError):
        load_params(path)
