"""The stage `evaluate` tells what it found: to a person, to `dvc metrics`, and in files."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.stages.clips import ids, write_folder

from oneshot_vos.files import write_zip
from oneshot_vos.params.schema import Evaluate
from oneshot_vos.stages import evaluate
from oneshot_vos.videos.index import write_index
from oneshot_vos.videos.masks import encode_mask, write_mask
from oneshot_vos.videos.video import Video

FRAMES = 5


def test_a_table_and_the_scores_are_told_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    videos, members = [], []
    for name, shift in (("good", 0), ("bad", 9)):
        folder = write_folder(tmp_path / name, FRAMES)
        frames = tuple(sorted(folder.iterdir()))
        for frame in frames:
            t = int(frame.stem)
            write_mask(tmp_path / f"true/{name}/{frame.stem}.png", ids(t))
            members.append((f"{name}/{frame.stem}.png", encode_mask(np.roll(ids(t), shift, axis=1))))
        videos.append(Video(name, frames, {f.stem: tmp_path / f"true/{name}/{f.stem}.png" for f in frames}))
    write_index(tmp_path / "sets/val.json", videos)
    write_zip(tmp_path / "masks/val.zip", members)
    (tmp_path / "masks/curve").mkdir()
    params = SimpleNamespace(
        runs={"stcn-full": SimpleNamespace(given="first")},
        trainings={"stcn-full": SimpleNamespace(iterations=8)},
        profile=SimpleNamespace(
            evaluate=Evaluate(processes=1, tolerance=0.008),
            data=SimpleNamespace(davis_sets=["val"], evaluate=["val"]),
            curve=SimpleNamespace(set="val", videos=2),
        ),
    )
    with caplog.at_level(logging.INFO, "oneshot_vos"):
        places = [tmp_path / part for part in ("masks", "sets", "metrics", "scores/run.json")]
        evaluate.run(params, "stcn-full", *places)  # type: ignore[arg-type]
    written = json.loads((tmp_path / "scores/run.json").read_text())
    official = json.loads((tmp_path / "metrics/val.json").read_text())["global"]
    names = {"JF": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
    assert written == {"val": {key: round(100 * official[name], 2) for key, name in names.items()}}
    lines = caplog.text.splitlines()
    places = [next(n for n, line in enumerate(lines) if line.startswith(start)) for start in ("bad ", "good ", "all 2")]
    assert places == sorted(places)  # the worst sequence first
    assert lines[places[1]].split() == ["good", "1", "100.0", "100.0", "100.0"]
    scores = ", ".join(f"{key} {written['val'][name]:.1f}" for key, name in (("J&F", "JF"), ("J", "J"), ("F", "F")))
    assert caplog.messages[-1] == f"stcn-full: val {scores}"
