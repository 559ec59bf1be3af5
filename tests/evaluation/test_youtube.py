"""Scores over seen and unseen categories, against a slow computation written from the definitions alone."""

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import mask_png
from tests.evaluation.reference import reference_f, reference_j

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.score_files import load_youtube_result, save_youtube_result, write_youtube_csv
from oneshot_vos.evaluation.youtube import YouTubeResult, evaluate_youtube
from oneshot_vos.files import write_zip
from oneshot_vos.videos.objects import ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.video import Video

SIZE = (19, 26)  # no multiple of anything
RADIUS = math.ceil(0.008 * math.hypot(*SIZE))  # in pixels, within which contours match


Case = tuple[str, dict[int, tuple[str, list[int]]], dict[int, np.ndarray], dict[int, np.ndarray]]


def oracle(cases: Sequence[Case], unseen: set[str]) -> dict[str, float]:
    """The five numbers; a case is (video, id -> category and frames, truth, prediction), masks by frame."""
    per_object: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _, objects, truth, predicted in cases:
        for number, (category, frames) in objects.items():
            scored = [t for t in frames if t > min(frames)]
            js = [reference_j(predicted[t] == number, truth[t] == number) for t in scored]
            fs = [reference_f(predicted[t] == number, truth[t] == number, RADIUS) for t in scored]
            if scored:
                per_object[category not in unseen].append((sum(js) / len(js), sum(fs) / len(fs)))
    means = {}
    for seen, name in ((True, "seen"), (False, "unseen")):
        values = per_object[seen]
        means[f"J_{name}"] = sum(j for j, _ in values) / len(values)
        means[f"F_{name}"] = sum(f for _, f in values) / len(values)
    return {"G": sum(means.values()) / 4, **means}


# --- cases ---


def blob(rng: np.random.Generator) -> np.ndarray:
    """A random area with ragged edges; it may touch the border of the image."""
    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0, height), rng.uniform(0, width)
    reach = rng.uniform(3, 9) + rng.normal(0, 0.7, SIZE)
    return np.hypot(y - centre[0], x - centre[1]) < reach


def make_case(rng: np.random.Generator, name: str, objects: dict[int, tuple[str, list[int]]]) -> Case:
    """Random masks; in some frames an object is hidden, missed, or wrongly predicted."""
    times = sorted({t for _, frames in objects.values() for t in frames})
    truth = {t: np.zeros(SIZE, np.uint8) for t in times}
    predicted = {t: np.zeros(SIZE, np.uint8) for t in times}
    for number, (_, frames) in objects.items():
        for t in frames:
            area = blob(rng)
            if t == min(frames) or rng.random() < 0.85:
                truth[t][area] = number
            if rng.random() < 0.85:
                predicted[t][np.roll(area, rng.integers(-2, 3, 2), (0, 1))] = number
    return name, objects, truth, predicted


def random_cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    every, late, leaving = [0, 5, 10, 15], [10, 15], [0, 5]
    return [
        make_case(rng, "two", {1: ("person", every), 2: ("zebra", every)}),
        make_case(rng, "late", {1: ("person", every), 4: ("dog", late), 7: ("zebra", [5, 10, 15])}),
        make_case(rng, "gone", {3: ("yak", leaving), 2: ("dog", every)}),
        make_case(rng, "once", {1: ("dog", [15]), 2: ("yak", late)}),  # object 1 is never scored
        make_case(rng, "gaps", {5: ("cat", [5, 15, 30])}),
    ]


def write_cases(cases: Sequence[Case], root: Path, unseen: set[str]) -> tuple[YouTubeSet, Path]:
    """The cases on disk: the set, and an archive of the predicted masks."""
    videos, members = [], []
    for name, objects, truth, predicted in cases:
        files = {}
        for t, ids in truth.items():
            files[f"{t:05d}"] = path = root / "truth" / name / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mask_png(ids))
            members.append((f"{name}/{t:05d}.png", mask_png(predicted[t])))
        tracked = tuple(
            TrackedObject(number, category, tuple(f"{t:05d}" for t in frames))
            for number, (category, frames) in sorted(objects.items())
        )
        videos.append(ObjectVideo(Video(name, (), {}), tracked, {}, files))
    write_zip(root / "masks.zip", members)
    return YouTubeSet("held-out", tuple(videos), frozenset(unseen)), root / "masks.zip"


UNSEEN = {"zebra", "yak"}


@pytest.mark.parametrize("seed", range(2))
def test_scores_equal_those_of_the_definitions(tmp_path: Path, seed: int) -> None:
    cases = random_cases(seed)
    result = evaluate_youtube(*write_cases(cases, tmp_path, UNSEEN))
    expected = oracle(cases, UNSEEN)
    assert list(result.summary) == ["G", "J_seen", "F_seen", "J_unseen", "F_unseen"]
    assert result.summary == pytest.approx(expected, abs=1e-15)
    for name, objects, truth, predicted in cases:
        for each in result.objects:
            if each.video == name:
                times = [int(stem) for stem in each.frames]
                number = each.scores.id
                assert times == objects[number][1][1:]
                # Per object and frame: every bit.
                pairs = [(predicted[t] == number, truth[t] == number) for t in times]
                assert each.scores.j == tuple(reference_j(*pair) for pair in pairs)
                assert each.scores.f == tuple(reference_f(*pair, RADIUS) for pair in pairs)
    assert result.unscored == ("once_1",)
    assert result.counts == {"videos": 5, "objects_seen": 5, "objects_unseen": 4, "objects_unscored": 1}


def test_g_is_the_mean_of_four_and_objects_count_the_same(tmp_path: Path) -> None:
    """Two perfect seen objects, one of a short and one of a long clip; an unseen one that is never predicted."""
    square = np.zeros(SIZE, np.uint8)
    square[5:15, 5:20] = 1
    times = {"short": [0, 5], "long": [0, 5, 10, 15, 20], "unseen": [0, 5, 10]}
    cases: list[Case] = [
        (name, {1: (name if name == "unseen" else "dog", frames)}, dict.fromkeys(frames, square),
         dict.fromkeys(frames, np.zeros_like(square) if name == "unseen" else square))
        for name, frames in times.items()
    ]  # fmt: skip
    cases[1][3][20] = np.zeros_like(square)  # missed once in four scored frames
    result = evaluate_youtube(*write_cases(cases, tmp_path, {"unseen"}))
    assert result.summary == {"G": 0.4375, "J_seen": 0.875, "F_seen": 0.875, "J_unseen": 0.0, "F_unseen": 0.0}


def test_the_frame_of_the_first_mask_is_not_scored_and_need_not_be_predicted(tmp_path: Path) -> None:
    cases = random_cases(0)
    chosen, archive = write_cases(cases, tmp_path, UNSEEN)
    expected = evaluate_youtube(chosen, archive)
    for _, objects, _, predicted in cases:
        for number, (_, frames) in objects.items():
            # Only the object that begins here loses its pixels: no other prediction changes.
            predicted[min(frames)][predicted[min(frames)] == number] = 0
    again, masks = write_cases(cases, tmp_path / "again", UNSEEN)
    rescored = evaluate_youtube(again, masks)
    assert rescored == expected
    firsts = {name: min(min(frames) for _, frames in objects.values()) for name, objects, _, _ in cases}
    kept = [
        (f"{name}/{t:05d}.png", mask_png(predicted[t]))
        for name, _, _, predicted in cases
        for t in predicted
        if t != firsts[name]
    ]
    write_zip(masks, kept)
    assert evaluate_youtube(again, masks) == expected


def test_a_group_without_objects_has_no_score_and_leaves_none_for_g(tmp_path: Path) -> None:
    result = evaluate_youtube(*write_cases(random_cases(1), tmp_path, set()))
    assert result.summary["G"] is None
    assert result.summary["J_unseen"] is None
    assert result.summary["J_seen"] is not None
    save_youtube_result(tmp_path / "scores.json", result)
    assert load_youtube_result(tmp_path / "scores.json") == result
    write_youtube_csv(tmp_path, "held-out", result)
    assert (tmp_path / "global_results-held-out.csv").read_text().splitlines()[1].startswith(",0.")


def test_processes_do_not_change_the_result(tmp_path: Path) -> None:
    chosen, archive = write_cases(random_cases(2), tmp_path, UNSEEN)
    one = evaluate_youtube(chosen, archive)
    assert evaluate_youtube(chosen, archive, processes=2) == one
    with pytest.raises(UserError, match="processes is 0"):
        evaluate_youtube(chosen, archive, processes=0)


def test_files_of_scores_keep_every_bit(tmp_path: Path) -> None:
    result = evaluate_youtube(*write_cases(random_cases(3), tmp_path, UNSEEN))
    save_youtube_result(tmp_path / "scores.json", result)
    assert load_youtube_result(tmp_path / "scores.json") == result
    global_path, object_path = write_youtube_csv(tmp_path, "held-out", result)
    (row,) = csv.DictReader(global_path.read_text().splitlines())
    assert row == {name: f"{value:.3f}" for name, value in result.summary.items()}
    rows = list(csv.DictReader(object_path.read_text().splitlines()))
    assert [each["Object"] for each in rows] == [
        "two_1", "two_2", "late_1", "late_4", "late_7", "gone_2", "gone_3", "once_2", "gaps_5",
    ]  # fmt: skip
    assert {each["Group"] for each in rows if each["Category"] in UNSEEN} == {"unseen"}
    assert rows[3]["Frames"] == "1"


def test_other_files_are_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("[]")
    with pytest.raises(UserError, match="no scores of YouTube-VOS"):
        load_youtube_result(path)
    path.write_text('{"format": "oneshot-vos youtube scores 1", "objects": [{}]}')
    with pytest.raises(UserError, match=r"incomplete .*scores"):
        load_youtube_result(path)
    with pytest.raises(UserError, match="not found"):
        load_youtube_result(tmp_path / "absent.json")


def score_with(tmp_path: Path, video: str, time: int, content: bytes | None) -> YouTubeResult:
    """Scores with one predicted file replaced, or taken away."""
    chosen, _ = write_cases(random_cases(0), tmp_path, UNSEEN)
    members = {
        f"{name}/{t:05d}.png": mask_png(ids) for name, _, _, masks in random_cases(0) for t, ids in masks.items()
    }
    name = f"{video}/{time:05d}.png"
    if content is None:
        del members[name]
    else:
        members[name] = content
    write_zip(tmp_path / "masks.zip", members.items())
    return evaluate_youtube(chosen, tmp_path / "masks.zip")


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (None, r"late/00010\.png: prediction not found; 1 of the 3"),
        (b"no image", r"late/00010\.png: not an image"),
        (mask_png(np.zeros((5, 5), np.uint8)), r"late/00010\.png: prediction of 5 x 5 pixels, but .* has 26 x 19"),
        (mask_png(np.full(SIZE, 2, np.uint8)), r"object id 2 is predicted, but the video's objects are 1, 4, 7"),
        (mask_png(np.full(SIZE, 255, np.uint8)), r"object id 255 is predicted"),
    ],
)
def test_unusable_predictions_are_named(tmp_path: Path, content: bytes | None, finding: str) -> None:
    with pytest.raises(UserError, match=finding):
        score_with(tmp_path, "late", 10, content)


def test_sets_without_ground_truth_or_objects_are_refused(tmp_path: Path) -> None:
    chosen, archive = write_cases(random_cases(0), tmp_path, UNSEEN)
    hidden = replace(chosen, split="valid", videos=tuple(replace(each, truth={}) for each in chosen.videos))
    with pytest.raises(UserError, match=r"no ground truth for frame '00005'.*the server scores it"):
        evaluate_youtube(hidden, archive)
    short = tuple(
        replace(each, objects=tuple(replace(item, frames=item.frames[:1]) for item in each.objects))
        for each in chosen.videos
    )
    with pytest.raises(UserError, match="nothing to score"):
        evaluate_youtube(replace(chosen, videos=short), archive)
