"""The ways that agreement is measured on, and that it is what its name says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.stages.clips import SIZE, ids, write_folder, write_masks

from oneshot_vos.adaptation import agreement
from oneshot_vos.adaptation.agreement import measure, plan_ways
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video


def video_of(folder: Path, frames: int, *labelled: int, objects: int = 1) -> Video:
    write_folder(folder / "frames", frames, objects)
    files = write_masks(folder / "masks", *labelled, objects=objects)
    masks = {f"{t:05}": Path(file) for t, file in zip(labelled, files, strict=True)}
    return Video("v", tuple(frame_files(folder / "frames")), masks)


def numbers(video: Video, step: int) -> list[list[int]]:
    return [[int(file.stem) for file in way.frames] for way in plan_ways(video, step)]


def test_a_first_mask_has_one_way_and_a_mask_inside_two(tmp_path: Path) -> None:
    assert numbers(video_of(tmp_path / "first", 6, 0), 1) == [[0, 1, 2, 3, 4, 5]]
    assert numbers(video_of(tmp_path / "inside", 6, 2), 1) == [[2, 3, 4, 5], [2, 1, 0]]
    assert numbers(video_of(tmp_path / "alone", 1, 0), 1) == []


def test_ways_take_larger_steps_where_the_video_is_long_enough(tmp_path: Path) -> None:
    long = video_of(tmp_path / "long", 30, 0)
    assert numbers(long, 1) == [list(range(9))]
    assert numbers(long, 3) == [list(range(0, 27, 3))]
    assert numbers(long, 10) == [list(range(0, 27, 3))]  # as far as the video reaches


def test_there_are_at_most_three_ways_and_none_from_an_empty_mask(tmp_path: Path) -> None:
    video = video_of(tmp_path, 12, 0, 3, 6, 9)
    assert [way[0] for way in numbers(video, 1)] == [0, 6, 9]
    write_mask(video.masks["00003"], np.zeros(SIZE, np.int32))
    assert all(way[0] != 3 for way in numbers(video, 1))


class Shifting:
    """In the place of a tracker: everything moves by `by` columns from frame to frame, there and back alike."""

    by = 0

    def __init__(self, *_: Any) -> None:
        self._ids = np.zeros(SIZE, np.int32)

    def step(self, _: Any, mask: np.ndarray | None = None) -> np.ndarray:
        self._ids = np.roll(self._ids, self.by, axis=1) if mask is None else mask.astype(np.int32)
        return self._ids


@pytest.mark.parametrize(("by", "agrees"), [(0, True), (2, False)])
def test_agreement_is_the_overlap_of_what_comes_home(
    by: int, agrees: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "Tracker", Shifting)
    monkeypatch.setattr(agreement, "default_settings", lambda _: None)
    monkeypatch.setattr(Shifting, "by", by)
    video = video_of(tmp_path, 3, 0, objects=2)
    found = measure(None, {"v": plan_ways(video, 1), "alone": []}, "agreement")  # type: ignore[arg-type]
    truth, moved = ids(0, 2), np.roll(ids(0, 2), 4 * by, axis=1)
    overlaps = [((truth == k) & (moved == k)).sum() / ((truth == k) | (moved == k)).sum() for k in (1, 2)]
    assert found.videos == {"v": pytest.approx(np.mean(overlaps)), "alone": 1.0}
    assert (found.videos["v"] == 1) == agrees
    assert found.pixels == 2 * 3 * SIZE[0] * SIZE[1]
