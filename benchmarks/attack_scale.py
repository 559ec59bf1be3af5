"""What attack.py gives in quantity, and what must be refused by name: see there."""

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attack import ROOT, RUN, Ended, Row, last_line, run
from seeds import copy_checkout
from tests.parameters import read_document, write_document
from tests.reporting.results_folder import Project, matrix
from tests.stages.clips import ids, picture, tiny_weights

from oneshot_vos.cli import app
from oneshot_vos.videos.masks import encode_mask

VIDEOS, SEQUENCES, SEEDS = 2000, 500, 8
NAMES = ("; touch stolen", "$(touch stolen)", "`touch stolen`", " a", "'", '"', "../up", "&", "a\nb", "|cat")


def scale(work: Path, frames: int) -> Iterator[Row]:
    """Much of everything, in tiny pieces."""
    folder = work.resolve() / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield told(f"check-data, {VIDEOS} videos", _check_data(folder))
    yield told(f"score, {SEQUENCES} sequences", _score(folder))
    runs: dict[str, Any] = {}
    for seed in range(SEEDS):
        runs |= matrix(seed)
    yield told(f"tables, {len(runs)} runs", _tables(folder, runs))
    ended = _segment(folder, frames)
    masks = len(list((folder / "out/masks").glob("*.png")))
    row = told(f"segment, {frames} frames", ended)
    yield Row(row.test, 1, f"{row.outcome}, {masks} masks", row.held and masks == frames)


def told(test: str, ended: Ended) -> Row:
    """Time and memory, and the last line where it failed."""
    outcome = f"{ended.seconds:.0f} s, {ended.peak:.0f} MB" + (f": {last_line(ended.text)}" if ended.code else "")
    return Row(test, 1, outcome, not ended.code)


def _jpeg(number: int) -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(picture(number)[..., ::-1]))[1])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _check_data(folder: Path) -> Ended:
    frames, masks = ([make(t) for t in range(2)] for make in (_jpeg, lambda t: encode_mask(ids(t))))
    for video in range(VIDEOS):
        for t in range(2):
            _write(folder / f"videos/JPEGImages/{video:05d}/{t:05d}.jpg", frames[t])
            _write(folder / f"videos/Annotations/{video:05d}/{t:05d}.png", masks[t])
    return run(partial(app, ["check-data", str(folder / "videos")]), folder)


def _score(folder: Path) -> Ended:
    masks = [encode_mask(ids(t)) for t in range(4)]
    for sequence in range(SEQUENCES):
        for t in range(4):
            for kind, shift in (("truth", 0), ("masks", 1)):
                _write(folder / kind / f"{sequence:04d}/{t:05d}.png", masks[max(0, t - shift)])
    words = ["score", str(folder / "truth"), str(folder / "masks"), "--processes", "1", "--csv", str(folder / "s.csv")]
    return run(partial(app, words), folder)


def _tables(folder: Path, runs: dict[str, Any]) -> Ended:
    project = Project(folder / "results")
    project.label("first", 10, 100)
    project.label("every", 100, 100)
    for number, name in enumerate(runs):
        project.score(name, "mini-val", 0.5 + number / 1000, 0.5)
        project.curve(name, [1, 2], [50.0, 60.0])
    return run(lambda: project.write(["mini-val"], runs), folder)


def _segment(folder: Path, frames: int) -> Ended:
    pictures = [_jpeg(t) for t in range(75)]
    for t in range(frames):
        _write(folder / f"long/{t:06d}.jpg", pictures[t % len(pictures)])
    mask = encode_mask(ids(0))
    _write(folder / "given/000000.png", mask)
    weights = tiny_weights(folder / "tiny.safetensors", "stcn")
    words = ["segment", str(folder / "long"), "--mask", str(folder / "given/000000.png"), "--weights", str(weights)]
    return run(partial(app, [*words, "--out", str(folder / "out"), "--no-overlay"]), folder)


def refusals(work: Path) -> Iterator[Row]:
    """Names that a shell would act on, and a folder of results that is a link."""
    folder = work.resolve() / "refuse"
    shutil.rmtree(folder, ignore_errors=True)
    wrong = []
    for number, word in enumerate(NAMES):
        document = read_document(ROOT)
        document["runs"][f"{RUN}-{word}"] = document["runs"][RUN]
        place = folder / str(number)
        place.mkdir(parents=True)
        write_document(place / "params.yaml", document)
        ended = run(partial(app, ["check-params"]), place)
        if ended.code != 2 or "rename it" not in ended.text or (place / "stolen").exists():
            wrong.append(f"{word!r}: code {ended.code}, {last_line(ended.text)}")
    outcome = f"{len(wrong)} otherwise: {wrong[0]}" if wrong else "all refused by check-params"
    yield Row("names of runs that a shell would act on", len(NAMES), outcome, not wrong)

    copy_checkout(folder / "linked")
    (folder / "elsewhere").mkdir()
    (folder / "linked/results").rename(folder / "linked/old") if (folder / "linked/results").exists() else None
    (folder / "linked/results").symlink_to(folder / "elsewhere")
    import subprocess

    done = subprocess.run(
        [sys.executable, "workflow/scripts/repro.py"],
        cwd=folder / "linked",
        capture_output=True,
        text=True,
        check=False,
    )
    said = last_line(done.stderr or done.stdout).replace(f"{folder}/", "")
    held = done.returncode != 0 and "link" in said and not any((folder / "elsewhere").iterdir())
    yield Row("results as a link, make repro", 1, f"code {done.returncode}, “{said}”", held)
