import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.stages.clips import TINY
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.inference.writer import Report, copy_first, segment_set
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.videos.masks import read_mask
from oneshot_vos.videos.video import Video

Squares = Callable[..., np.ndarray]
MakeVideo = Callable[..., Video]
SIZE = (32, 32)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def videos(make_video: MakeVideo, squares: Squares) -> list[Video]:
    return [make_video(name, 4, SIZE, {0: squares(SIZE, 2, 9)}, seed=ord(name)) for name in "cab"]


def segment(network: STCN, videos: list[Video], out: Path, **rest) -> Report:
    options = {"state": out.parent / f"{out.stem}-state", "fingerprint": "f"} | rest
    return segment_set(network, videos, InferenceSettings(), out, **options)


def count_encoded(network: STCN, monkeypatch: pytest.MonkeyPatch, *, die_at: int | None = None) -> list[int]:
    """Count the frames that reach the network; on frame `die_at` the run is killed."""
    seen: list[int] = []
    encode = STCN.encode

    def counted(self: STCN, image: Tensor):
        if len(seen) == die_at:
            raise Killed
        seen.append(1)
        return encode(self, image)

    monkeypatch.setattr(STCN, "encode", counted)
    return seen


def test_the_archive_is_sorted_and_depends_on_the_masks_alone(tiny: STCN, videos: list[Video], tmp_path: Path) -> None:
    report = segment(tiny, videos, tmp_path / "one.zip")
    segment(tiny, videos[::-1], tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == [f"{video}/{t:05}.png" for video in "abc" for t in range(4)]
        (tmp_path / "mask.png").write_bytes(archive.read("a/00000.png"))
    assert np.array_equal(read_mask(tmp_path / "mask.png"), read_mask(videos[0].masks["00000"]))
    assert report.frames == 12
    assert report.seconds > 0


def test_a_killed_run_goes_on_with_the_unfinished_video(
    tiny: STCN, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(tiny, videos, tmp_path / "whole.zip")
    out = tmp_path / "killed.zip"
    with monkeypatch.context() as patch:
        count_encoded(tiny, patch, die_at=6)
        with pytest.raises(Killed):
            segment(tiny, videos, out)
    assert not out.exists()
    seen = count_encoded(tiny, monkeypatch)
    report = segment(tiny, videos, out)
    assert len(seen) == 8  # the first video was finished, the second is done again from its start
    assert report.frames == 12
    assert out.read_bytes() == (tmp_path / "whole.zip").read_bytes()


@pytest.mark.parametrize("emptied", ["a.masks.zip", "a.report.json", "fingerprint.json"])
def test_an_empty_file_of_the_state_counts_as_none(
    tiny: STCN, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emptied: str
) -> None:
    segment(tiny, videos, tmp_path / "whole.zip")
    out = tmp_path / "killed.zip"
    with monkeypatch.context() as patch:
        count_encoded(tiny, patch, die_at=6)
        with pytest.raises(Killed):
            segment(tiny, videos, out)
    (tmp_path / "killed-state" / emptied).write_bytes(b"")
    segment(tiny, videos, out)
    assert out.read_bytes() == (tmp_path / "whole.zip").read_bytes()


_KILLED_RUN = """
import json, os, signal, sys
from pathlib import Path
import torch
from oneshot_vos.videos.video import Video
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.inference.writer import segment_set
from oneshot_vos.networks.stcn.network import STCN

job = json.loads(sys.argv[1])
frames = 0

class Dying(STCN):
    def encode(self, image):
        global frames
        frames += 1
        if frames == job["die_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(image)

network = Dying(**job["network"])
network.load_state_dict(torch.load(job["weights"], weights_only=True))
videos = [
    Video(name, tuple(map(Path, paths)), {stem: Path(mask) for stem, mask in masks.items()})
    for name, paths, masks in job["videos"]
]
segment_set(
    network, videos, InferenceSettings(), Path(job["out"]), state=Path(job["state"]), fingerprint="f"
)
"""


def test_kill_9_leaves_no_archive_and_the_next_run_completes_it(
    tiny: STCN, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(tiny, videos, tmp_path / "whole.zip")
    torch.save(tiny.state_dict(), tmp_path / "weights.pt")
    out = tmp_path / "masks" / "killed.zip"
    job = {
        "die_at": 7,
        "network": TINY["stcn"],
        "weights": str(tmp_path / "weights.pt"),
        "videos": [
            (v.name, [str(path) for path in v.frames], {stem: str(mask) for stem, mask in v.masks.items()})
            for v in videos
        ],
        "out": str(out),
        "state": str(tmp_path / "masks" / "killed-state"),
    }
    done = subprocess.run([sys.executable, "-c", _KILLED_RUN, json.dumps(job)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    seen = count_encoded(tiny, monkeypatch)
    segment(tiny, videos, out)
    assert len(seen) == 8
    assert out.read_bytes() == (tmp_path / "whole.zip").read_bytes()


@pytest.mark.parametrize("stamp", ['"other"', "{damaged"])
def test_state_of_another_run_is_not_used(
    tiny: STCN, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: str
) -> None:
    out = tmp_path / "masks.zip"
    with monkeypatch.context() as patch:
        count_encoded(tiny, patch, die_at=6)
        with pytest.raises(Killed):
            segment(tiny, videos, out)
    (tmp_path / "masks-state" / "fingerprint.json").write_text(stamp)
    seen = count_encoded(tiny, monkeypatch)
    segment(tiny, videos, out)
    assert len(seen) == 12


def test_kept_state_saves_all_the_work(
    tiny: STCN, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = segment(tiny, videos, tmp_path / "masks.zip")
    (tmp_path / "masks.zip").unlink()
    seen = count_encoded(tiny, monkeypatch)
    assert segment(tiny, videos, tmp_path / "masks.zip") == first
    assert not seen


def test_only_required_frames_are_written(tiny: STCN, videos: list[Video], tmp_path: Path) -> None:
    report = segment(tiny, videos, tmp_path / "masks.zip", required={"a": ["00001"], "c": {"00000", "00003"}})
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        assert archive.namelist() == ["a/00001.png", "c/00000.png", "c/00003.png"]
    assert report.frames == 3
    with pytest.raises(UserError, match="no such video; did you mean 'a'"):
        segment(tiny, videos, tmp_path / "masks.zip", required={"aa": ["00001"]})


def test_a_name_that_occurs_twice(tiny: STCN, videos: list[Video], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two videos are named 'a'"):
        segment(tiny, [*videos, videos[1]], tmp_path / "masks.zip")


def test_sixteen_bit_masks_beyond_255(tiny: STCN, make_video: MakeVideo, squares: Squares, tmp_path: Path) -> None:
    video = make_video("v", 2, SIZE, {0: squares(SIZE, 256, 60_000)})
    segment(tiny, [video], tmp_path / "masks.zip")
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        (tmp_path / "mask.png").write_bytes(archive.read("v/00000.png"))
    assert np.array_equal(read_mask(tmp_path / "mask.png"), squares(SIZE, 256, 60_000))


def test_copy_first_repeats_the_first_mask(make_video: MakeVideo, squares: Squares, tmp_path: Path) -> None:
    late = make_video("late", 3, SIZE, {1: squares(SIZE, 4, 8)}, single_object=True)
    plain = make_video("plain", 2, SIZE, {0: squares(SIZE, 4, 8), 1: squares(SIZE, 5)})
    copy_first([plain, late], tmp_path / "masks.zip")
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        assert archive.namelist() == [*(f"late/{t:05}.png" for t in range(3)), *(f"plain/{t:05}.png" for t in range(2))]
        archive.extractall(tmp_path / "masks")
    for t, expected in enumerate([np.zeros(SIZE, np.int32), *[(squares(SIZE, 4, 8) > 0).astype(np.int32)] * 2]):
        assert np.array_equal(read_mask(tmp_path / "masks" / "late" / f"{t:05}.png"), expected)
    assert np.array_equal(read_mask(tmp_path / "masks" / "plain" / "00001.png"), squares(SIZE, 4, 8))


def test_copy_first_checks_sizes(make_video: MakeVideo, squares: Squares, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the same size"):
        copy_first([make_video("v", 2, SIZE, {0: squares((16, 16), 1)})], tmp_path / "masks.zip")
