"""The parameters: what is accepted, and what they come to."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from pathlib import Path

import pytest
from tests.parameters import read_document
from tests.params.changes import DOCUMENT, REPOSITORY, message_after, put, write

from oneshot_vos.errors import UserError
from oneshot_vos.params import load_params, load_profiles, show_run
from oneshot_vos.registry import require_arguments

SHIPPED = REPOSITORY / "params.yaml"
RESOLVED = json.loads(Path(__file__).with_name("resolved.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["smoke", "mini", "small_gpu", "paper"])
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


@pytest.mark.parametrize("name", ["small", "small_gpu"])
def test_on_real_video_runs_from_scratch_have_the_iterations_of_pretraining_and_training_together(name: str) -> None:
    params = load_params(SHIPPED.with_name(f"{name}.yaml"))
    assert params.profile_name == name
    profile, trainings = params.profile, params.trainings
    for key, run in params.runs.items():
        pretraining = 0 if run.init == "static" else profile.pretrain[run.network].iterations
        assert trainings[key].iterations == profile.train[run.network].iterations + pretraining, key


def test_both_sizes_of_real_video_have_the_same_data_and_networks() -> None:
    small, large = (load_params(SHIPPED, name).profile for name in ("small", "small_gpu"))
    assert small.data == large.data
    assert small.networks == large.networks


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


def test_a_run_is_judged_under_the_profile_in_force_alone(tmp_path: Path) -> None:
    document, key = deepcopy(DOCUMENT), "stcn-two_step-static-long"
    document["runs"][key] = {**document["runs"]["stcn-two_step-static"], "train": {"iterations": 700}}
    profiles = load_profiles(write(tmp_path, document))
    assert [name for name, params in profiles.items() if key in params.runs] == ["mini"]
    with pytest.raises(UserError, match=rf"runs\.{key}\.train: the milestone 125000 is never reached"):
        load_params(tmp_path / "params.yaml", "paper")


def test_a_run_starts_from_what_another_one_makes(tmp_path: Path) -> None:
    document = deepcopy(DOCUMENT)
    document["starts"] = {
        "mine": {"network": "stcn", "weights": "results/mini/train/stcn-two_step-static/weights.safetensors"}
    }
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


def test_reading_parameters_needs_no_torch() -> None:
    code = "import sys, oneshot_vos.params, oneshot_vos.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
