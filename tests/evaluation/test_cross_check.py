"""The comparison with the official package: its tree, its verdict, and what is said where it is not installed."""

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.cross_check import compare, cross_check
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.results import SetResult


def official_numbers(result: SetResult) -> dict[str, dict[str, list[float]]]:
    """`result` in the form the official package returns."""
    objects = [scores for sequence in result.sequences for scores in sequence.objects]
    return {
        name: dict(zip("MRD", (list(column) for column in zip(*values, strict=True)), strict=True))
        for name, values in (("J", [o.region for o in objects]), ("F", [o.contour for o in objects]))
    }


class FakeEvaluation:
    """Takes the place of the official class: checks the tree it is given, then answers or stops as it would."""

    answer: Any = None

    def __init__(self, davis_root: str, task: str, gt_set: str) -> None:
        assert task == "semi-supervised"
        self.root = Path(davis_root)
        self.names = (self.root / "ImageSets" / "2017" / f"{gt_set}.txt").read_text().split()

    def evaluate(self, results: str) -> Any:
        for name in self.names:
            annotations = sorted((self.root / "Annotations" / "480p" / name).glob("*.png"))
            predictions = sorted(Path(results, name).glob("*.png"))
            assert [path.name for path in annotations[1:-1]] == [path.name for path in predictions]
            assert list((self.root / "JPEGImages" / "480p" / name).glob("*.jpg"))
            for path in (*annotations, *predictions):
                assert np.asarray(Image.open(path)).max() <= 2
        if self.answer is None:
            sys.stdout.write("In your PNG files there is an index higher than the number of objects in the sequence!")
            sys.exit()
        return self.answer


@pytest.fixture
def official(monkeypatch) -> type[FakeEvaluation]:
    module = types.ModuleType("davis2017.evaluation")
    module.DAVISEvaluation = FakeEvaluation
    monkeypatch.setitem(sys.modules, "davis2017", types.ModuleType("davis2017"))
    monkeypatch.setitem(sys.modules, "davis2017.evaluation", module)
    monkeypatch.setattr(FakeEvaluation, "answer", None)
    return FakeEvaluation


def test_equal_numbers(tree, moving_squares, official) -> None:
    videos = [
        tree.add("two", *moving_squares),
        tree.add("one", *(np.where(ids > 0, 255, 0) for ids in moving_squares), single_object=True),
    ]
    result = evaluate_set(videos, tree.predictions)
    official.answer = official_numbers(result)
    for predictions in (tree.predictions, tree.zipped()):
        outcome = cross_check(videos, predictions, result)
        assert outcome.differences == ()
        assert outcome.compared == 3 * 2 * 3


def test_a_different_bit_is_named(tree, moving_squares) -> None:
    result = evaluate_set([tree.add("clip", *moving_squares)], tree.predictions)
    numbers = official_numbers(result)
    numbers["F"]["R"][1] = np.nextafter(numbers["F"]["R"][1], 2)
    outcome = compare(result, numbers)
    (line,) = outcome.differences
    assert line.startswith("clip_2 F-recall: ours ")


def test_another_number_of_objects(tree, moving_squares) -> None:
    result = evaluate_set([tree.add("clip", *moving_squares)], tree.predictions)
    assert compare(
        result, {key: {k: v[:1] for k, v in m.items()} for key, m in official_numbers(result).items()}
    ).differences == ("1 objects in the official result, 2 in ours",)


def test_decay_of_long_clips_is_left_out(tree) -> None:
    truth = np.zeros((260, 6, 8), np.uint8)
    truth[:, 2:4, 2:5] = 1
    result = evaluate_set([tree.add("long", truth, truth)], tree.predictions)
    numbers = official_numbers(result)
    numbers["J"]["D"] = numbers["F"]["D"] = [float("nan")]
    assert compare(result, numbers).differences == ()


def test_official_package_stops(tree, moving_squares, official) -> None:
    video = tree.add("clip", *moving_squares)
    with pytest.raises(UserError, match=r"the official package stopped: .*index higher"):
        cross_check([video], tree.predictions, evaluate_set([video], tree.predictions))


def test_package_absent(tree, moving_squares, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "davis2017", None)
    video = tree.add("clip", *moving_squares)
    with pytest.raises(UserError, match=r"--no-deps --group official-eval"):
        cross_check([video], tree.predictions, evaluate_set([video], tree.predictions))


@pytest.mark.skipif(importlib.util.find_spec("davis2017") is None, reason="davis2017-evaluation is not installed")
def test_real_package(tree, moving_squares) -> None:
    videos = [tree.add("a", *moving_squares), tree.add("b", *moving_squares, single_object=True)]
    outcome = cross_check(videos, tree.predictions, evaluate_set(videos, tree.predictions))
    assert outcome.differences == ()
    assert outcome.compared == 18
