"""The network that ships: used where no weights are named, and good on real video."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.stages.clips import SIZE, write_folder, write_masks
from typer.testing import CliRunner

import oneshot_vos
from oneshot_vos import shipped
from oneshot_vos.cli import app
from oneshot_vos.evaluation.measures import region_similarity
from oneshot_vos.networks.common.weights import architecture, read_metadata
from oneshot_vos.videos.masks import read_mask


def test_the_file_is_small_and_says_what_it_is() -> None:
    assert shipped.WEIGHTS.stat().st_size <= 12 * 2**20
    assert architecture(shipped.WEIGHTS)[0] == "xmem"
    assert read_metadata(shipped.WEIGHTS)["run"] == "xmem-two_step-static"


def test_it_is_used_where_no_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, given = write_folder(tmp_path / "walk", 5), write_masks(tmp_path / "given", 0)
    result = CliRunner().invoke(app, ["segment", str(folder), "--mask", given[0], "--no-overlay"])
    assert result.exit_code == 0, result.output
    assert "no --weights: the network that ships (xmem-lite0)" in result.output
    masks = [read_mask(file) for file in (tmp_path / "segmented/walk/masks").iterdir()]
    assert [mask.shape for mask in masks] == [SIZE] * 5
    stamp = json.loads((tmp_path / "segmented/walk/segment.json").read_text(encoding="utf-8"))
    assert stamp["settings"]["short_side"] == 3 * min(SIZE)
    assert type(oneshot_vos.load_network(device="cpu")).__name__ == "XMem"


@pytest.mark.parametrize(("shorter", "inner"), [(1080, 384), (384, 384), (240, 384), (100, 300), (4, 16)])
def test_every_video_is_brought_to_the_size_it_was_scored_at_small_ones_within_reason(shorter: int, inner: int) -> None:
    assert shipped.short_side(shorter) == inner


def test_from_first_masks_alone_it_follows_a_real_dancer_better_than_the_mask_repeated(
    data_root: Path, tmp_path: Path
) -> None:
    name, frames = "parkour", 12
    for kind, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".png")):
        target = tmp_path / "set" / kind / name
        target.mkdir(parents=True)
        for t in range(frames):
            shutil.copy(data_root / "davis16" / kind / "480p" / name / f"{3 * t:05d}{suffix}", target)
    call = ["segment-all", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--first-only", "--no-overlay"]
    result = CliRunner().invoke(app, [*call, "--short-side", "240"])
    assert result.exit_code == 0, result.output
    truth = [read_mask(file) > 0 for file in sorted((tmp_path / "set/Annotations" / name).iterdir())]
    found = [read_mask(file) > 0 for file in sorted((tmp_path / "out" / name / "masks").iterdir())]
    ours = float(np.mean([region_similarity(one, other) for one, other in zip(found[1:], truth[1:], strict=True)]))
    repeated = float(np.mean([region_similarity(truth[0], other) for other in truth[1:]]))
    assert ours > 0.7 > 0.4 > repeated
