"""The parameters: what is accepted, and that everything else ends in one clear message."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.parameters import read_document, write_document

from oneshot_vos.errors import UserError
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params import load_params, load_profiles, show_run
from oneshot_vos.registry import require_arguments

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "params.yaml"
RESOLVED = json.loads(Path(__file__).with_name("resolved.json").read_text(encoding="utf-8"))


DOCUMENT: dict[str, Any] = read_document(REPOSITORY)
DOCUMENT["profiles"].pop("adapt")  # for another list of runs
FULL_AT_ONCE = {"max_frames": 5, "min_frames": 5, "prototypes": 128, "max_elements": 1000, "buffer": 0}
Change = Callable[[dict[str, Any]], object]


def write(folder: Path, document: dict[Any, Any]) -> Path:
    return write_document(folder / "params.yaml", document)


def message_after(folder: Path, change: Change) -> str:
    """The message about the shipped files after one change, under the profile that it concerns."""
    document = deepcopy(DOCUMENT)
    change(document)
    concerned = [name for name, content in document["profiles"].items() if content != DOCUMENT["profiles"][name]]
    with pytest.raises(UserError) as caught:
        load_params(write(folder, document), concerned[0] if concerned else None)
    return str(caught.value)


def put(path: str, value: object) -> Change:
    """A change that sets the entry at a dotted path."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for part in parents:
            document = document[part]
        document[last] = value

    return change


@pytest.mark.parametrize("name", ["smoke", "mini", "small", "paper"])
def test_every_shipped_profile_is_in_order(name: str) -> None:
    params = load_params(SHIPPED, name)
    assert params.profile_name == name
    for section in ("pretrain", "train", "infer"):
        blocks = getattr(params.profile, section)
        values = {name: asdict(each) if is_dataclass(each) else each.model_dump() for name, each in blocks.items()}
        assert json.loads(json.dumps(values)) == RESOLVED[name][section], section
    assert params.profile.networks == RESOLVED[name]["networks"]
    assert params.trainings == {key: params.profile.train[run.network] for key, run in params.runs.items()}


def test_runs_of_the_study_differ_in_strategy_and_start_alone_but_for_variants() -> None:
    params = load_params(SHIPPED.with_name("study.yaml"))
    mini = load_params(SHIPPED, "mini").profile
    assert params.profile.networks == mini.networks
    for network in params.networks:
        runs = {key: run for key, run in params.runs.items() if run.network == network}
        assert {f"{network}-{kind}" for kind in ("full-backbone", "two_step-backbone", "two_step-static")} <= set(runs)
        assert all(
            params.trainings[key] == params.profile.train[network] for key, run in runs.items() if key == run.key
        )
        variants = [key for key, run in runs.items() if key != run.key]
        assert all(params.trainings[key] != params.profile.train[network] for key in variants)
        # What mini has pretrained is what the study starts from.
        one, other = (each.pretrain[network].model_dump() for each in (mini, params.profile))
        assert one | {"precision": "float32"} == other


def test_labelled_frames_take_the_place_of_still_images_and_nothing_else_differs_from_the_study() -> None:
    study, labelled = (read_document(REPOSITORY)["profiles"][name] for name in ("study", "labelled"))
    data = labelled.pop("data")
    theirs = study.pop("data")
    assert labelled == study
    assert set(data["pretrain"]) == set(data["train"])
    assert data["generate"] == theirs["generate"] | {"static": 1}
    assert load_params(SHIPPED.with_name("labelled.yaml")).profile_name == "labelled"


def test_on_real_video_runs_from_scratch_have_the_iterations_of_pretraining_and_training_together() -> None:
    params = load_params(SHIPPED.with_name("small.yaml"))
    assert params.profile_name == "small"
    profile, trainings = params.profile, params.trainings
    for key, run in params.runs.items():
        pretraining = 0 if run.init == "static" else profile.pretrain[run.network].iterations
        assert trainings[key].iterations == profile.train[run.network].iterations + pretraining, key


def test_default_profile_is_mini() -> None:
    assert load_params(SHIPPED).profile_name == "mini"


def test_paper_profile_holds_the_official_recipe() -> None:
    params = load_params(SHIPPED, "paper")
    static, main = params.profile.pretrain["stcn"], params.profile.train["stcn"]
    assert (static.iterations, static.batch_size, static.schedule.milestones) == (300_000, 16, (150_000,))
    assert (main.iterations, main.batch_size, main.schedule.milestones) == (150_000, 8, (125_000,))
    for recipe in (static, main):
        assert (recipe.frames, recipe.crop, recipe.transforms, recipe.handover) == (3, 384, "exact", "soft")
        assert recipe.loss == {"start": 20_000, "end": 70_000, "top_p": 0.15}
        assert (recipe.optimiser.name, recipe.optimiser.learning_rate) == ("adam", 1e-5)
        assert (recipe.optimiser.weight_decay, recipe.optimiser.clip) == (1e-7, None)
    assert main.max_skip is not None
    assert main.max_skip.values == (5, 10, 15, 20, 25, 5)
    assert main.max_skip.at == (0.0, 0.1, 0.2, 0.3, 0.4, 0.8)
    data = params.profile.data
    described = {
        network: [(name, *source.model_dump().values()) for name, source in data.train_sources(network).items()]
        for network in params.networks
    }
    assert described["stcn"] == [("davis17-train", 5, 1, "videos"), ("youtube18-train", 1, 5, "videos")]
    assert described["xmem"] == described["stcn"]
    assert described["cutie"] == [("davis17-train", 2, 2, "frames"), ("youtube18-original", 1, 5, "frames")]
    assert (params.profile.infer["stcn"].top_k, params.profile.infer["stcn"].memory_every) == (20, 5)
    assert params.profile.init.backbone == "imagenet"
    assert params.profile.networks == {"stcn": {}, "xmem": {}, "cutie": {}}


def test_paper_profile_makes_clips_as_each_official_program_does() -> None:
    profile = load_params(SHIPPED, "paper").profile
    chosen = {
        (section, network): recipe.clips
        for section in ("pretrain", "train")
        for network, recipe in getattr(profile, section).items()
    }
    cutie, xmem, stcn = (chosen["train", name] for name in ("cutie", "xmem", "stcn"))
    assert (cutie.merge, cutie.affine_first, cutie.interpolation, cutie.affine_until) == (0.5, True, "bilinear", None)
    assert (xmem.merge, xmem.affine_first, xmem.interpolation, xmem.affine_until) == (0, False, "bilinear", 100_000)
    assert (stcn.merge, stcn.affine_first, stcn.interpolation, stcn.affine_until) == (0, False, "bicubic", None)
    assert profile.train["xmem"].iterations - 10_000 == xmem.affine_until
    static = {name: chosen["pretrain", name] for name in ("stcn", "xmem", "cutie")}
    assert {name: each.first_masks for name, each in static.items()} == {
        "stcn": "soft",
        "xmem": "hard",
        "cutie": "hard",
    }
    assert {name: each.interpolation for name, each in static.items()} == {
        "stcn": "bicubic",
        "xmem": "bicubic",
        "cutie": "bilinear",
    }
    assert {each.short_videos for each in chosen.values()} == {"drop"}
    assert all(recipe.single_object for recipe in profile.pretrain.values())
    assert not any(recipe.single_object for recipe in profile.train.values())
    assert profile.figures.figure6.iteration == 15_000


STCN, SAID = "profiles.mini.train.stcn", "config/profiles/mini.yaml: train.stcn"
MINI = "config/profiles/mini.yaml"
# Another seed of stcn-full-static, trained otherwise.
OTHER_CROP = {
    "network": "stcn",
    "strategy": "full",
    "labels": "every",
    "init": "static",
    "seed": 1,
    "train": {"crop": 48},
}
SKIP = {"values": [1, 2, 3, 2]}
SOURCE = {"mini-train": {"copies": 1, "skip_divisor": 1, "items": "videos"}}


def two_shot(document: dict[str, Any]) -> None:
    """A run with two masks of a video, whose name does not say so."""
    document["labels"]["two"] = {"frames": "random", "per_video": 2, "seed": 0}
    document["runs"]["stcn-two_step-static"]["labels"] = "two"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(f"{STCN}.batchsize", 4), f"{SAID}.batchsize: unknown key; did you mean 'batch_size'?"),
        (put(f"{STCN}.optimiser.learning_rat", 1.0), f"{SAID}.optimiser.learning_rat: unknown key; did you mean"),
        (put("netwroks", []), "netwroks: unknown key; did you mean 'networks'?"),
        (put("profiles.mini.data.sets.mini-val.lst", "x"), "data.sets.mini-val.lst: unknown key; did you mean 'list'?"),
        (put(f"{STCN}.iterations", "100"), f"{SAID}.iterations: should be a valid integer, not '100'"),
        (put(f"{STCN}.iterations", True), f"{SAID}.iterations: should be a valid integer, not True"),
        (put(f"{STCN}.iterations", 10.0), f"{SAID}.iterations: should be a valid integer, not 10.0"),
        (put(f"{STCN}.iterations", 0), f"{SAID}.iterations: should be greater than or equal to 1, not 0"),
        (put(f"{STCN}.crop", 100), f"{SAID}.crop: should be a multiple of 16, not 100"),
        (put(f"{STCN}.optimiser.learning_rate", "fast"), f"{SAID}.optimiser.learning_rate: should be a valid number"),
        (put(f"{STCN}.optimiser.learning_rate", float("nan")), f"{SAID}.optimiser.learning_rate: "),
        (put(f"{STCN}.accumulation", 3), f"{SAID}: batch_size 4 is not a multiple of accumulation 3"),
        (
            put(f"{STCN}.max_skip", {**SKIP, "at": [0, 0.5]}),
            f"{SAID}.max_skip: 4 values need as many entries in at, not 2",
        ),
        (
            put(f"{STCN}.max_skip", {**SKIP, "at": [0, 0.5, 0.4, 0.8]}),
            f"{SAID}.max_skip: at must start with 0 and rise",
        ),
        (put(f"{STCN}.max_skip", None), f"{SAID}.max_skip: training on videos needs values"),
        (put(f"{STCN}.single_object", True), f"{SAID}: single_object is for single images with objects: 1"),
        (put(f"{STCN}.clips", {"merge": 1.5}), f"{SAID}.clips.merge: should be less than or equal to 1, not 1.5"),
        (put(f"{STCN}.clips", {"short_videos": "dropp"}), f"{SAID}.clips.short_videos: "),
        (put("profiles.mini.data.train_of.xmen", SOURCE), f"{MINI}: data.train_of: unknown network 'xmen'; did you"),
        (
            put("profiles.mini.data.train_of.stcn", {"x": SOURCE["mini-train"]}),
            "data.train_of.stcn: the set 'x' is not",
        ),
        (
            put("profiles.mini.figures.figure6.iteration", 420),
            "figures.figure6.iteration: 420, but the run cutie-empty-backbone ends after 420",
        ),
        (put(f"{STCN}.frames", 2), "the run stcn-two_step-static and 1 more need at least 3 frames per clip, not 2"),
        (put("profiles.smoke.training.schedule.milestones", [4]), "the milestone 4 is never reached in 4 iterations"),
        (
            lambda document: document["recipes"].pop("xmem"),
            "config/recipes/xmem.yaml: no such file; expected the recipe of 'xmem'",
        ),
        (put("recipes.xmem.train.iteratoins", 3), "config/recipes/xmem.yaml: train.iteratoins: unknown key"),
        (put("recipes.xmem.train.deep_update", 2.0), "config/recipes/xmem.yaml: train.deep_update: "),
        (put("profiles.mini.train.xmen", {}), f"{MINI}: train.xmen: unknown network; did you mean"),
        (put("profiles.mini.data.evaluate", ["mini-vall"]), "'mini-vall' is not among sets; did you mean 'mini-val'?"),
        (
            put("profiles.mini.data.evaluate", ["mini-static"]),
            "'mini-static' is of kind 'pairs', not 'davis' or 'server' or 'youtube'",
        ),
        (put("profiles.mini.data.evaluate", []), "data.evaluate: "),
        (
            put("profiles.mini.data.sets.mini-val.kind", "davids"),
            "data.sets.mini-val.kind: must be 'davis', 'pairs', 'server' or 'youtube'",
        ),
        (
            put("profiles.mini.data.sets.mini-val", {"path": "."}),
            "mini-val.kind: must be 'davis', 'pairs', 'server' or 'youtube'",
        ),
        (put("profiles.paper.data.sets.youtube18-train.split", "test"), "data.sets.youtube18-train.split: "),
        (put("profiles.paper.data.sets.youtube18-train.videos", ["a"]), "youtube18-train.videos: unknown key"),
        (
            put("profiles.paper.data.sets.youtube18-train.split", "valid"),
            "data.train: the set 'youtube18-train' is the split 'valid', not 'train' or 'train-part'",
        ),
        (
            put("profiles.paper.data.evaluate", ["davis17-val", "youtube18-train"]),
            "data.evaluate: the set 'youtube18-train' is the split 'train', not 'held-out' or 'valid'",
        ),
        (put("profiles.paper.curve.set", "youtube18-valid"), "curve.set: 'youtube18-valid' is of kind 'youtube', not"),
        (
            put("profiles.paper.figures.figure5.set", "davis17-val"),
            "figure5.set: 'davis17-val' is of kind 'davis', not",
        ),
        (put("profiles.mini.data.sets.mini-val.path", "../up"), "data.sets.mini-val.path: must be a relative path"),
        (put("profiles.mini.data.sets.a/b", {"kind": "pairs", "path": "x"}), "sets.a/b: a set's name may hold"),
        (put("profiles.paper.networks.stcn", {"key_dim": 32}), "'imagenet' fits the official architecture"),
        (
            put("profiles.mini.init.files", {"tf_efficientnet_lite0": "w.pth"}),
            "init.files.tf_efficientnet_lite0: no network",
        ),
        (put("profiles.mini.networks.resnet", {}), "config/profiles/mini.yaml: networks.resnet: unknown network"),
        (put("profile", "minni"), "profile: unknown 'minni'; did you mean 'mini'?"),
        (put("networks", ["stcm"]), "networks: unknown network 'stcm'; did you mean 'stcn'?"),
        (put("networks", ["stcn", "stcn"]), "networks: a network is named twice"),
        (put("networks", []), "networks: "),
        (put("runs.stcn-full-static.seed", 3), "its fields spell the name 'stcn-full-static-s3'"),
        (put("runs.stcn-full-static.network", "xmem"), "its fields spell the name 'xmem-full-static'"),
        (put("runs.stcn-full-static.labels", "first"), "strategy 'full' goes with labels 'every', not 'first'"),
        (put("runs.stcn-two_step-static.labels", "every"), "strategy 'two_step' goes with labels 'first', not 'every'"),
        (
            put("profiles.small.networks.xmem.key_widths", [8, 8, 8]),
            "small.yaml: networks.xmem.key_widths: describes the trunk that trunk (",
        ),
        (put("runs.stcn-two_step-static.labels", "frist"), "labels: unknown 'frist'; did you mean 'first'?"),
        (put("labels.two", {"frames": "random", "per_video": 2}), "labels.two: frames: random needs seed"),
        (put("labels.two", {"frames": "first"}), "labels.two: frames: first needs per_video"),
        (put("labels.two", {"frames": 3, "per_video": 0}), "labels.two.per_video: should be greater than or equal to"),
        (put("labels.two", {"frames": -1, "per_video": 1}), "labels.two.frames"),
        (put("labels.two", {"frames": "every", "per_video": 2}), "labels.two: frames: every takes no per_video"),
        (put("labels.two", {"frames": 2, "per_video": 2, "seed": 0}), "labels.two: frames: 2 takes no seed"),
        (put("labels.first.per_video", 2), "labels.first: must be {frames: first, per_video: 1}, as its name says"),
        (put("labels.a/b", {"frames": "first", "per_video": 2}), "labels.a/b: a name may hold letters"),
        (lambda document: document.pop("labels"), "params.yaml: labels: missing"),
        (two_shot, "runs.stcn-two_step-static: its fields spell the name 'stcn-two_step-static-two'"),
        (put("runs.stcn-full-static.strategy", "two-step"), "strategy: unknown 'two-step'; did you mean 'two_step'?"),
        (put("networks", ["stcn", "xmem"]), "runs.cutie-full-static.network: 'cutie' is not in networks"),
        (put("table1_strategy.xmem", "full_step"), "table1_strategy.xmem: unknown 'full_step'"),
        (put("table1_strategy.xmem", "full"), "table1_strategy.xmem: 'full' is no one-shot training"),
        (put("table1_strategy.xmem", "empty"), "table1_strategy.xmem: 'empty' is no one-shot training"),
        (put("table1_strategy.xmem", "one_step"), "table1_strategy.xmem: 'one_step' cannot train the recurrent"),
        (put("runs.cutie-empty-backbone.given", "first"), "given: strategy 'empty' goes with given 'empty', not"),
        (put("runs.stcn-full-static.strategy", {"steps": 3}), "strategy: must be a strategy's name, or {name: …}"),
        (put("runs.stcn-full-static.train", {"iteratons": 3}), "runs.stcn-full-static.train.iteratons: unknown key"),
        (put("runs.stcn-full-static.train", {"crop": 50}), "runs.stcn-full-static.train.crop: should be a multiple"),
        (put("runs.stcn-full-static-s1", OTHER_CROP), "runs.stcn-full-static-s1.train: differs from runs.stcn-full-st"),
        (
            lambda document: document["profiles"]["mini"]["pretrain"].pop("xmem"),
            f"{MINI}: pretrain.xmem: missing; write",
        ),
        (put("table1_strategy", {"stcn": "full"}), "table1_strategy: no entry for the network 'xmem'"),
        (put("profiles.mini.curve.set", "mini-train"), f"{MINI}: curve.set: 'mini-train' is not among data.evaluate"),
        (put("profiles.mini.figures.figure6.set", "x"), f"{MINI}: figures.figure6.set: 'x' is not among data.evaluate"),
        (put("profiles.mini.infer.xmem.long_term", {"max_frames": 3}), "infer.xmem.long_term.min_frames: missing"),
        (put("profiles.mini.infer.xmem.long_term", FULL_AT_ONCE), f"{MINI}: infer.xmem.long_term: inference setting"),
        (
            put("recipes.xmem.infer.include_last", True),
            "xmem.yaml: infer: inference settings long_term and include_last",
        ),
        (put("profiles.mini.infer.stcn.short_side", 8), "infer.stcn.short_side: should be greater than or equal to 16"),
        (put("profiles.mini.infer.stcn.flip", 1), "infer.stcn.flip: should be a valid boolean, not 1"),
        (put("profiles.mini.infer.stcn.topk", 1), f"{MINI}: infer.stcn.topk: unknown key; did you mean 'top_k'"),
        (lambda document: document["recipes"]["stcn"]["infer"].pop("flip"), "stcn.yaml: infer.flip: missing"),
        (put("profiles.mini.train.xmem.sampler", "near"), "train.xmem.sampler: "),
        (put("runs.stcn-full-static", None), "runs.stcn-full-static: "),
        (lambda document: document.pop("networks"), "networks: missing"),
        (lambda document: document["profiles"].pop("mini"), "profile: unknown 'mini'"),
        (lambda document: document.update({1: 2}), "1: "),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, change: Change, expected: str) -> None:
    assert expected in message_after(tmp_path, change)


def test_all_mistakes_are_listed_together_and_once(tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        put(f"{STCN}.batchsize", 4)(document)
        put("profiles.mini.training.crop", "large")(document)  # of six trainings
        put("profiles.mini.infer.stcn.topk", 3)(document)

    message = message_after(tmp_path, change)
    assert message.splitlines()[0].endswith("params.yaml: 3 problems")
    assert len(message.splitlines()) == 4


def test_a_later_layer_goes_over_an_earlier_one(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    layers = ["recipes.stcn.train", "profiles.mini.training", "profiles.mini.train.all", "profiles.mini.train.stcn"]
    for number, place in enumerate(layers, 1):  # from the first that counts to the last
        put(f"{place}.deep_update", number / 10)(document)
        assert load_params(write(tmp_path, document)).profile.train["stcn"].deep_update == number / 10


def test_a_run_may_differ_and_is_named_so(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    run = {**document["runs"]["stcn-two_step-static"], "train": {"iterations": 700, "optimiser": {"clip": 1.0}}}
    document["runs"]["stcn-two_step-static-long"] = run
    params = load_params(write(tmp_path, document))
    changed, usual = params.trainings["stcn-two_step-static-long"], params.trainings["stcn-two_step-static"]
    assert (changed.iterations, changed.optimiser.clip) == (700, 1.0)
    assert changed.optimiser.learning_rate == usual.optimiser.learning_rate
    assert usual == load_params(SHIPPED).trainings["stcn-two_step-static"]
    described = params.runs["stcn-two_step-static-long"].described("stcn-two_step-static-long")
    assert described["strategy"] == "two_step-long"  # no repetition of the other one in the tables


@pytest.mark.parametrize("name", ["stcn-two_step-static-s1", "stcn-two_step", "stcn-two_step-staticlong"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    run = DOCUMENT["runs"]["stcn-two_step-static"]
    assert "its fields spell the name" in message_after(tmp_path, put(f"runs.{name}", run))


@pytest.mark.parametrize("block", ["schedule", "max_skip"])
def test_blocks_whose_keys_hang_together_are_replaced_whole(tmp_path: Path, block: str) -> None:
    known = {"schedule": {"name": "cosine"}, "max_skip": {"values": [1]}}[block]
    assert f"train.stcn.{block}." in message_after(tmp_path, put(f"{STCN}.{block}", known))


def test_a_strategy_may_have_settings(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    entry = {"name": "two_step", "steps": 3}
    document["runs"]["stcn-two_step-static-3"] = {**document["runs"]["stcn-two_step-static"], "strategy": entry}
    run = load_params(write(tmp_path, document)).runs["stcn-two_step-static-3"]
    assert (run.strategy, run.strategy_settings) == ("two_step", {"steps": 3})


def test_the_values_of_a_run_are_shown_with_their_files() -> None:
    lines = [" ".join(line.split()) for line in show_run(load_params(SHIPPED), "xmem-full-static")]
    assert f"train.iterations: 380 # {REPOSITORY}/config/profiles/mini.yaml: train.xmem.iterations" in lines
    assert f"train.handover: soft # {REPOSITORY}/config/recipes/xmem.yaml: train.handover" in lines
    assert f"infer.memory_every: 4 # {REPOSITORY}/config/profiles/mini.yaml: infer.all.memory_every" in lines


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


def test_a_run_is_judged_under_the_profile_in_force_alone(tmp_path: Path) -> None:
    document, key = deepcopy(DOCUMENT), "stcn-two_step-static-long"
    document["runs"][key] = {**document["runs"]["stcn-two_step-static"], "train": {"iterations": 700}}
    profiles = load_profiles(write(tmp_path, document))
    assert [name for name, params in profiles.items() if key in params.runs] == ["mini"]
    with pytest.raises(UserError, match=rf"runs\.{key}\.train: the milestone 125000 is never reached"):
        load_params(tmp_path / "params.yaml", "paper")


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


def test_a_run_starts_from_what_another_one_makes(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    document["starts"] = {"mine": {"network": "stcn", "weights": MADE.format("stcn-two_step-static")}}
    document["runs"]["stcn-full-mine"] = {**document["runs"]["stcn-full-static"], "init": "mine"}
    assert load_params(write(tmp_path, document)).starts["mine"].network == "stcn"
    assert "runs.stcn-full-mine.init: neither static nor backbone, nor one of starts: 'mine'" in message_after(
        tmp_path, put("runs.stcn-full-mine", document["runs"]["stcn-full-mine"])
    )


def test_seed_is_part_of_a_run_name(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    document["runs"]["stcn-full-static-s2"] = {**document["runs"]["stcn-full-static"], "seed": 2}
    params = load_params(write(tmp_path, document))
    assert params.runs["stcn-full-static-s2"].seed == 2


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    params = load_params(SHIPPED)
    with pytest.raises(UserError, match="did you mean 'stcn-full-static'"):
        params.runs["stcn-ful-static"]
    with pytest.raises(UserError, match="did you mean 'stcn'"):
        params.require_network("sctn")
    with pytest.raises(UserError, match="did you mean 'small'"):
        load_params(SHIPPED, "smal")


def test_keywords_of_a_constructor() -> None:
    def build(*, key_dim: int = 64, value_dim: int = 512) -> None:
        del key_dim, value_dim

    require_arguments(build, {"key_dim": 1}, "profiles.mini.networks.stcn")
    with pytest.raises(UserError, match=r"profiles\.mini\.networks\.stcn\.keydim: unknown key; did you mean 'key_dim'"):
        require_arguments(build, {"keydim": 1}, "profiles.mini.networks.stcn")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file: should be a valid dictionary"),
        (b"- 1\n", "the file: should be a valid dictionary"),
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


def test_reading_parameters_needs_no_torch() -> None:
    code = "import sys, oneshot_vos.params, oneshot_vos.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
