"""The profile `paper` on tiny trees laid out as DAVIS 2017 and YouTube-VOS: from folders to archives and scores."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from tests.parameters import read_document, write_document
from tests.sets import fake_trees
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.clips.dataset import ClipDataset, ClipSource
from oneshot_vos.clips.sampling import FULL_SAMPLERS, OneShotSampler
from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.score_files import load_youtube_result
from oneshot_vos.evaluation.server_zip import check_server_zip
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import save_weights
from oneshot_vos.params import Params, load_params
from oneshot_vos.stages import baseline, data, evaluate, figures, infer, init, labels, pretrain, probe, tables, train
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.objects_index import read_youtube_index

RUN, FULL, EMPTY = "stcn-two_step-static", "stcn-full-static", "cutie-empty-backbone"
TRAIN, ORIGINAL, HELD_OUT = "youtube18-train", "youtube18-original", "youtube-held-out"
SERVER = ("youtube18-valid", "youtube19-valid")
LATE = fake_trees.VALID_CLEAN[1]  # object 3 begins at frame 10
Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Finished:
    """What the stages made, each in the folder of its name below `root`."""

    root: Path
    params: Params


def add_held_out(profile: dict[str, Any]) -> None:
    sets = profile["data"]["sets"]
    sets[HELD_OUT] = {**sets[TRAIN], "split": "held-out"}
    profile["data"]["evaluate"].append(HELD_OUT)


def train_on_a_part(profile: dict[str, Any]) -> None:
    for name in (TRAIN, ORIGINAL):
        profile["data"]["sets"][name]["split"] = "train-part"


def make_small(profile: dict[str, Any], tiny: dict[str, Any]) -> None:
    """Tiny networks, a few iterations, and no process beside this one."""
    profile["networks"] = tiny["networks"]
    profile["training"] = {**tiny["training"], "transforms": "exact"}
    profile["pretrain"], profile["train"] = tiny["pretrain"], tiny["train"]
    profile["curve"]["points"] = tiny["curve"]["points"]
    profile["init"] = {"backbone": "random", "files": {}}
    profile["evaluate"]["processes"] = 1
    for settings in profile["infer"].values():
        settings["short_side"] = None
    profile["figures"] |= {name: tiny["figures"][name] | {"set": "davis17-val"} for name in ("figure6", "figure7")}
    profile["figures"]["figure6"]["iteration"] = 2  # of 4


def paper(repository: Path, root: Path, file: Path, *changes: Change) -> Params:
    document = read_document(repository)
    profile = document["profiles"]["paper"]
    profile["data"]["root"] = str(root)
    make_small(profile, document["profiles"]["smoke"])
    for change in changes:
        change(profile)
    return load_params(write_document(file, document), "paper")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trees that `fetch paper` and `resize-youtube` leave."""
    root = tmp_path_factory.mktemp("raw")
    fake_trees.make_raw(root)
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, raw: Path, repository: Path) -> Iterator[Finished]:
    """The stages from the data to the figures with barely trained networks, but for one that is not trained at all."""
    root = tmp_path_factory.mktemp("work")
    params = paper(repository, raw, root / "params.yaml", add_held_out, train_on_a_part)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        data.run(params, root / "sets")
        for kind in ("first", "every"):
            labels.run(params, kind, root / "sets/train", root / "labels" / kind)
        start, pretrained = root / "init.safetensors", root / "pretrained.safetensors"
        init.run(params, "stcn", start)
        pretrain.run(params, "stcn", start, root / "sets/pretrain", pretrained, root / "curves/pretrain-stcn")
        sets = root / "sets/evaluate"
        for run in (RUN, FULL, EMPTY):
            network, weights = params.runs[run].network, root / f"{run}.safetensors"
            snapshots, curves = root / "snapshots" / run, root / "curves" / run
            if run == EMPTY:
                (snapshots / "figure6").mkdir(parents=True)
                save_weights(weights, build_network(network, params.profile.networks[network]), {"model": network})
                shutil.copyfile(weights, snapshots / "figure6/0000002.safetensors")
            else:
                given = root / "labels" / params.runs[run].labels
                train.run(params, run, pretrained, given, weights, snapshots, curves)
            infer.run(params, run, weights, snapshots, sets, root / "masks" / run)
            evaluate.run(params, run, root / "masks" / run, sets, root / "metrics" / run, root / f"scores/{run}.json")
            probe.run(params, run, weights, snapshots, sets, root / "probe" / f"{run}.tsv")
        baseline.run(params, sets, root / "masks/copy_first", root / "metrics/copy_first")
        (root / "server_scores.yaml").write_text(
            f"scores:\n  - {{run: {RUN}, set: youtube18, G: 71.0, Js: 70.0, Fs: 74.0, Ju: 66.0, Fu: 74.0, "
            "date: 2026-01-31, source: example}\n",
            encoding="utf-8",
        )
        folders = [root / name for name in ("metrics", "labels", "curves", "probe")]
        tables.run(params, *folders, root / "server_scores.yaml", root / "tables")
        figures.run(params, root / "masks", sets, root / "figures")
        yield Finished(root, params)


def test_the_profile_as_shipped_trains_on_every_video_but_the_faulty_ones(
    raw: Path, repository: Path, tmp_path: Path
) -> None:
    params = paper(repository, raw, tmp_path / "params.yaml")
    data.run(params, tmp_path / "sets")
    trained = read_index(tmp_path / f"sets/train/{TRAIN}.json")
    assert [video.name for video in trained] == sorted(fake_trees.YOUTUBE_TRAIN)
    assert all("train_480p" in str(path) for video in trained for path in (*video.frames, *video.masks.values()))
    assert sorted(path.stem for path in (tmp_path / "sets/evaluate").iterdir()) == sorted(
        ["davis16-val", "davis17-val", *SERVER]
    )


def test_videos_that_are_trained_on_are_not_scored(raw: Path, repository: Path, tmp_path: Path) -> None:
    params = paper(repository, raw, tmp_path / "params.yaml", add_held_out)
    with pytest.raises(UserError, match=rf"set '{HELD_OUT}': .*are trained on, too .*Train on the split 'train-part'"):
        data.run(params, tmp_path / "sets")
    assert not (tmp_path / "sets/report.json").exists()


def test_held_out_videos_are_shown_new_objects_alone(finished: Finished) -> None:
    chosen = read_youtube_index(finished.root / f"sets/evaluate/{HELD_OUT}.json")
    assert chosen is not None
    trained = {video.name for video in read_index(finished.root / f"sets/train/{TRAIN}.json")}
    assert trained.isdisjoint(each.name for each in chosen.videos)
    shown = finished.root / "sets/evaluate/shown" / HELD_OUT
    for each in chosen.videos:
        assert all(path.is_relative_to(shown) and path.is_file() for path in each.video.masks.values())
        assert all("train_480p" in str(path) for path in each.truth.values())


@pytest.mark.parametrize("kind", ["first", "every"])
def test_clips_come_from_both_training_sets(finished: Finished, kind: str) -> None:
    folder = finished.root / "labels" / kind
    sources = [
        ClipSource(name, read_index(folder / f"{name}.json"), each.copies, each.skip_divisor)
        for name, each in finished.params.profile.data.train.items()
    ]
    recipe = finished.params.profile.train["stcn"]
    dataset = ClipDataset(
        sources,
        OneShotSampler() if kind == "first" else FULL_SAMPLERS[recipe.sampler](),
        CLIP_RECIPES[recipe.augmentation](32, exact=recipe.transforms == "exact"),
        objects=recipe.objects,
        frames=recipe.frames,
        seed=0,
        max_skip=lambda position: 5,
    )
    assert [source.skip_divisor for source in sources] == [1, 5]
    # Full supervision needs two masks of a video; one mask is enough for one-shot training.
    left_out = [] if kind == "first" else [f"{TRAIN}/{fake_trees.ONE_FRAME}: 1 of its 1 frames has a mask"]
    assert [line.split(";")[0] for line in dataset.left_out] == left_out
    assert len(dataset) == 5 * len(sources[0].videos) + len(sources[1].videos) - len(left_out)
    clips = [dataset[position] for position in range(len(dataset))]
    assert all(clip.frames.shape == (3, 3, 32, 32) for clip in clips)
    assert all(clip.labelled.sum() == (1 if kind == "first" else 3) for clip in clips)
    names = " ".join(clip.name for clip in clips)
    trained = {video.name for source in sources for video in source.videos}
    assert all((name in names) == (not left_out or name != fake_trees.ONE_FRAME) for name in trained)
    if kind == "first":  # a clip begins at the first mask that shows an object
        assert all(clip.first_masks.any() for clip in clips)
        assert f"{fake_trees.EMPTY_FIRST}@00005" in names


@pytest.mark.parametrize("name", SERVER)
def test_archives_for_the_server_are_ready_to_hand_in(finished: Finished, name: str) -> None:
    index = finished.root / f"sets/evaluate/{name}.json"
    archive = finished.root / f"metrics/{RUN}/{name}-server.zip"
    chosen = read_youtube_index(index)
    assert chosen is not None
    assert len(chosen.videos[1].video) == 22  # the network runs on all frames
    check_server_zip(archive, chosen)
    with zipfile.ZipFile(archive) as opened, Image.open(opened.open(f"Annotations/{LATE}/00010.png")) as image:
        assert 3 in np.unique(np.asarray(image))  # the object that begins there
    result = CliRunner().invoke(app, ["check-server-zip", str(archive), "--index", str(index)])
    assert result.exit_code == 0
    assert "in order; 5 videos, 19 masks" in result.output
    other = finished.root / "sets/evaluate/davis17-val.json"
    result = CliRunner().invoke(app, ["check-server-zip", str(archive), "--index", str(other)])
    assert result.exit_code == 2
    assert "holds no set that a server scores" in result.output


def test_the_flaws_of_the_trees_are_counted_in_the_report_and_the_log(
    raw: Path, repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data.run(paper(repository, raw, tmp_path / "params.yaml"), tmp_path / "sets")
    report = json.loads((tmp_path / "sets/report.json").read_text(encoding="utf-8"))["sets"]
    empty = f"{fake_trees.EMPTY_FIRST}/00000.png", f"{fake_trees.RETURNING}/00000.png"
    assert report[f"train/{TRAIN}"]["warnings"]["first mask without an object"] == {
        "count": 2,
        "examples": list(empty),
    }
    lines = [record.getMessage() for record in caplog.records if record.name == data.__name__]
    assert f"set '{TRAIN}': first mask without an object: 2 ({', '.join(empty)})" in lines
    for name, found in report.items():
        kinds = [line.split(": ")[1] for line in lines if line.startswith(f"set '{name.split('/')[1]}'")]
        assert kinds == list(found["warnings"])


def test_networks_are_trained_on_the_first_masks_that_show_an_object(finished: Finished) -> None:
    ratio = json.loads((finished.root / "labels/first/label_ratio.json").read_text(encoding="utf-8"))["sets"][TRAIN]
    videos = read_index(finished.root / f"labels/first/{TRAIN}.json")
    assert ratio["labelled"] == len(videos) == 6
    assert {video.name: [*video.masks] for video in videos}[fake_trees.EMPTY_FIRST] == ["00005"]
    assert ratio["annotated"] == sum(
        len(video.masks) for video in read_index(finished.root / f"sets/train/{TRAIN}.json")
    )
    for run in (RUN, FULL):
        assert (finished.root / f"{run}.safetensors").is_file()
        assert list((finished.root / "curves" / run).iterdir())


def test_late_objects_of_held_out_videos_are_given_where_they_are_first_shown(finished: Finished) -> None:
    chosen = read_youtube_index(finished.root / f"sets/evaluate/{HELD_OUT}.json")
    assert chosen is not None
    (video,) = (each for each in chosen.videos if each.name == fake_trees.RETURNING)
    assert [(item.id, item.frames) for item in video.objects] == [(k, ("00010", "00015", "00020")) for k in (1, 2)]
    assert sorted(video.video.masks) == ["00010"]
    result = load_youtube_result(finished.root / "metrics" / RUN / f"{HELD_OUT}.json")
    # Object 2 is hidden at frame 15 and scored there all the same; object 3 is never shown and has no score.
    assert {scored.scores.id: scored.frames for scored in result.objects if scored.video == fake_trees.RETURNING} == {
        1: ("00015", "00020"),
        2: ("00015", "00020"),
    }


def test_held_out_videos_are_scored_here(finished: Finished) -> None:
    folder = finished.root / "metrics" / RUN
    result = load_youtube_result(folder / f"{HELD_OUT}.json")
    chosen = read_youtube_index(finished.root / f"sets/evaluate/{HELD_OUT}.json")
    assert chosen is not None
    assert {each.video for each in result.objects} == {each.name for each in chosen.videos}
    assert (folder / f"global_results-{HELD_OUT}.csv").is_file()
    assert not (folder / f"{HELD_OUT}-server.zip").exists()
    assert {path.name for path in folder.glob("*.json")} == {
        *("davis16-val.json", "davis17-val.json", f"{HELD_OUT}.json", "curve.json")
    }


def test_a_network_that_is_shown_no_object_segments_no_such_set(finished: Finished) -> None:
    names = {"davis16-val", "davis17-val"}
    assert {path.stem for path in (finished.root / "masks" / EMPTY).glob("*.zip")} == {*names, "figure6"}
    assert {path.stem for path in (finished.root / "masks/copy_first").glob("*.zip")} == names
    assert not list((finished.root / "metrics" / EMPTY).glob("youtube*"))


def test_table_2_has_the_servers_scores_and_our_own(finished: Finished) -> None:
    folder = finished.root / "tables"
    with (folder / "table2.csv").open(encoding="utf-8") as file:
        (row,) = [row for row in csv.DictReader(file) if row["method"] == "1-shot STCN"]
    assert (row["youtube18_G"], row["youtube18_source"]) == ("71.00", "server")
    assert row[f"{HELD_OUT}_source"] == "local"
    assert "evaluates no set" not in (folder / "table2.md").read_text(encoding="utf-8")
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "## Table 2" in summary
    assert "figure5.png" in summary
    assert "youtube" not in (folder / "table1.md").read_text(encoding="utf-8")


def test_figure_5_is_drawn_from_the_validation_set(finished: Finished) -> None:
    with Image.open(finished.root / "figures/figure5.png") as image:
        colours = image.convert("RGB").getcolors(image.width * image.height)
    assert len(colours or []) > 300  # frames, not texts alone


def test_figure_6_is_drawn_from_the_early_weights(finished: Finished, tmp_path: Path) -> None:
    with zipfile.ZipFile(finished.root / "masks" / EMPTY / "figure6.zip") as opened:
        assert {name.split("/")[0] for name in opened.namelist()} == set(fake_trees.DAVIS_VAL)
    before = (finished.root / "figures/figure6.png").read_bytes()
    shutil.copytree(finished.root / "masks", tmp_path / "masks")
    (tmp_path / "masks" / EMPTY / "davis17-val.zip").unlink()
    figures.run(finished.params, tmp_path / "masks", finished.root / "sets/evaluate", tmp_path / "with")
    assert (tmp_path / "with/figure6.png").read_bytes() == before
    (tmp_path / "masks" / EMPTY / "figure6.zip").unlink()
    figures.run(finished.params, tmp_path / "masks", finished.root / "sets/evaluate", tmp_path / "without")
    assert (tmp_path / "without/figure6.png").read_bytes() != before


def test_davis_2016_is_scored_with_its_own_masks(finished: Finished) -> None:
    videos = read_index(finished.root / "sets/evaluate/davis16-val.json")
    assert [video.name for video in videos] == list(fake_trees.DAVIS_2016_VAL)
    for video in videos:
        assert video.single_object
        for path in (*video.frames, *video.masks.values()):
            assert "DAVIS/2016/" in path.as_posix()
        with Image.open(next(iter(video.masks.values()))) as mask:
            assert set(np.unique(np.asarray(mask)).tolist()) == {0, 255}


def test_masks_are_counted_once(finished: Finished) -> None:
    for kind in ("first", "every"):
        ratio = json.loads((finished.root / f"labels/{kind}/label_ratio.json").read_text(encoding="utf-8"))
        assert list(ratio["sets"]) == ["davis17-train", TRAIN]


def test_cutie_reads_youtube_at_its_original_size(finished: Finished) -> None:
    sources = finished.params.profile.data.train_sources("cutie")
    assert list(sources) == ["davis17-train", ORIGINAL]
    (root,) = {
        path.parents[2].name
        for video in read_index(finished.root / f"labels/every/{ORIGINAL}.json")
        for path in (*video.frames, *video.masks.values())
    }
    assert root == "train"


def train_briefly(profile: dict[str, Any]) -> None:
    """Two iterations of small clips; all else is the recipes'."""
    profile["training"] = {
        "iterations": 2,
        "batch_size": 2,
        "crop": 32,
        "workers": 0,
        "precision": "float32",
        "schedule": {"name": "multistep", "milestones": [], "factor": 0.1, "warmup": 0},
        "clips": {"affine_until": 1},
    }
    profile["train"]["all"] = {"frames": 4, "max_skip": {"values": [5], "at": [0.0]}}
    profile["train"]["cutie"] = profile["pretrain"]["cutie"] = {"loss": {"points": 64}}
    profile["figures"]["figure6"]["iteration"] = 1


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_static_weights_know_one_object_and_videos_add_the_others(
    network: str, finished: Finished, raw: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = paper(repository, raw, tmp_path / "params.yaml", add_held_out, train_on_a_part, train_briefly)
    monkeypatch.chdir(tmp_path)
    backbone, static, trained = (tmp_path / f"{name}.safetensors" for name in ("backbone", "static", "trained"))
    init.run(params, network, backbone)
    pretrain.run(params, network, backbone, finished.root / "sets/pretrain", static, tmp_path / "curves")
    inputs = []
    for labels_kind, strategy in (("every", "full"), ("first", "two_step")):
        run, folder = f"{network}-{strategy}-static", finished.root / "labels" / labels_kind
        train.run(params, run, static, folder, trained, tmp_path / "snapshots", tmp_path / "curves")
        assert not (tmp_path / "snapshots/figure6").exists()
    if network == "cutie":
        train.run(params, EMPTY, backbone, folder, trained, tmp_path / "snapshots", tmp_path / "curves")
        assert (tmp_path / "snapshots/figure6/0000001.safetensors").is_file()
    name = build_network(network, params.profile.networks[network]).others_channels[0]
    for path in (backbone, static, trained):
        with safe_open(path, framework="pt") as file:
            inputs.append(file.get_tensor(name).shape[1])
    assert inputs == [5, 4, 5]


def test_a_profile_without_youtube_says_so(finished: Finished, repository: Path, tmp_path: Path) -> None:
    smoke = load_params(repository / "params.yaml", "smoke")
    root = finished.root
    folders = [root / name for name in ("metrics", "labels", "curves", "probe")]
    tables.run(smoke, *folders, root / "server_scores.yaml", tmp_path)
    text = (tmp_path / "table2.md").read_text(encoding="utf-8")
    assert "The profile `smoke` evaluates no set of YouTube-VOS." in text
    assert "71.0 |" not in text  # a score of another profile
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "Table 2" not in summary
    assert "figure5" not in summary
