"""Phase two through the whole pipeline: labels by a trained network, a training on them, its row in the tables."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.parameters import read_document, write_document

from oneshot_vos.cli import app
from oneshot_vos.clips.dataset import ClipSource
from oneshot_vos.params import load_params
from oneshot_vos.stages.train import clips_of_run
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.masks import VOID, read_mask

RUNS = {
    "stcn-two_step-static": {"strategy": "two_step", "labels": "first"},
    "stcn-pseudo-static-sure": {"strategy": "pseudo", "labels": "sure"},
    "stcn-pseudo-static-all": {"strategy": "pseudo", "labels": "all"},
    "stcn-full-static": {"strategy": "full", "labels": "every"},
}
PSEUDO = {
    "sure": {"network": "stcn", "run": "stcn-two_step-static", "confidence": 0.5, "agreement": 0.1},
    "all": {"network": "stcn", "run": "stcn-two_step-static", "confidence": 0.0, "agreement": 0.0},
}


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    document = read_document(repository)
    runs = {key: {"network": "stcn", "init": "static", "seed": 0, **run} for key, run in RUNS.items()}
    document |= {"profile": "smoke", "networks": ["stcn"], "table1_strategy": {"stcn": "two_step"}}
    document |= {"pseudo": PSEUDO, "runs": runs}
    write_document(tmp_path / "params.yaml", document)
    for file in ("dvc.yaml", "server_scores.yaml"):
        shutil.copy2(repository / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(repository / "workflow")
    return tmp_path


def run_all(project: Path) -> None:
    """Every job of the pipeline, each after those whose outputs it reads."""
    from stages import Pipeline  # type: ignore[import-not-found]  # lies beside the Snakefile

    waiting = [(stage, item) for stage in Pipeline(project).stages for item in stage.items]
    while waiting:
        for stage, item in waiting:
            needs = [Path(dep) for dep in stage.declared(item)["deps"] if not dep.startswith("src/")]
            outs = [Path(out) for other, each in waiting if (other, each) != (stage, item) for out in other.outs(each)]
            if not any(out.is_relative_to(need) or need.is_relative_to(out) for need in needs for out in outs):
                break
        waiting.remove((stage, item))
        assert int(app(shlex.split(stage.command(item))[1:], standalone_mode=False) or 0) == 0


def test_a_network_learns_from_the_labels_of_another(project: Path) -> None:
    run_all(project)
    labels = Path("data/smoke/labels")
    (given,), (sure,), (every,) = (
        [read_index(file) for file in sorted((labels / name).glob("*-train.json"))] for name in ("first", "sure", "all")
    )
    assert all(mask.is_file() for video in every for mask in video.masks.values())
    for one, some, all_ in zip(given, sure, every, strict=True):
        assert one.anchor is None
        assert some.anchor == all_.anchor == one.stem(one.first_mask)
        for video in (some, all_):  # what a person has drawn stays as it is
            assert np.array_equal(read_mask(video.masks[video.anchor]), read_mask(one.masks[video.anchor]))
        assert len(all_.masks) == len(one.frames)
        assert all((read_mask(file) < VOID).all() for file in all_.masks.values())
        assert set(some.masks) <= set(all_.masks)
    void = [(read_mask(file) == VOID).mean() for video in sure for file in video.masks.values()]
    assert max(void) > 0

    params = load_params(Path("params.yaml"))
    clips = clips_of_run(params, "stcn-pseudo-static-sure", [ClipSource("s", sure)])
    assert len(clips) + len(clips.left_out) == len(sure)
    for position in range(8):
        clip = clips[position]
        assert clip.name.partition("@")[2].split(",")[0] == sure[0].anchor
        assert clip.labelled.all()
        assert (clip.targets[0] >= 0).all()
    assert any((clips[position].targets < 0).any() for position in range(8))

    table1 = Path("results/smoke/tables/table1.csv").read_text(encoding="utf-8")
    for name in ("sure", "all"):
        assert f"\n1-shot + pseudo stcn,pseudo-{name},static," in table1
        assert yaml.safe_load((labels / name / "label_ratio.json").read_text()) == yaml.safe_load(
            (labels / "first/label_ratio.json").read_text()
        )
