"""The semi-supervised protocol of DAVIS 2016 and 2017.

The frames of a video are its annotated frames, in the natural order of their names; the first and the last of them
are not scored. (Videos annotated on some frames only are scored on those, again without the first and the last: the
frames of a video are the list of its annotations, as in the official tool.) The objects of a video are 1 to K, K
being the largest id in the first annotation; prediction and ground truth are matched by id. An object nobody predicts
is an empty mask. Value 255 in the ground truth is void, which in this task counts as background, unless the first
annotation has ids above 255. With `single_object` (DAVIS 2016) every id above 0 is object 1 in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.measures import DAVIS_TOLERANCE, measure, pack, tolerance_radius
from oneshot_vos.evaluation.parallel import map_longest_first
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult
from oneshot_vos.videos.label_map import Color
from oneshot_vos.videos.masks import Ids, MaskReading, inspect_mask, require_same_colors
from oneshot_vos.videos.scorable import VOID, annotated_stems, count_objects
from oneshot_vos.videos.video import Video


def evaluate_set(
    videos: Sequence[Video],
    predictions: Path,
    *,
    processes: int = 1,
    tolerance: float = DAVIS_TOLERANCE,
    left_out: int = 1,
) -> SetResult:
    """Score the predicted masks of `videos`.

    `predictions` is a zip or a folder with `<video>/<frame stem>.png` for every scored frame; other files are
    ignored. `tolerance` is the contour tolerance of F as a fraction of the image diagonal (pixels when >= 1).
    `left_out`: annotated frames at either end of a video that are not scored, 1 in the protocol.
    The videos are shared out to `processes` worker processes, longest first; the result does not depend on it.

    Raises `UserError` for a missing, damaged or wrongly sized mask, a predicted id above K, a video with fewer than
    three annotated frames, ground truth of 0 and 255 only that is not `single_object`, and a set without objects.
    """
    if processes < 1:
        raise UserError(f"evaluate: processes is {processes}, expected 1 or more")
    tasks = [_task(video, left_out) for video in videos]
    _check_names(tasks)
    with Predictions(predictions) as opened:
        for task in tasks:
            opened.require(task.name, task.scored)
        if processes == 1 or len(tasks) < 2:
            sequences = [_score(task, opened, tolerance) for task in tasks]
        else:
            score = partial(_score_in_worker, predictions=predictions, tolerance=tolerance)
            sequences = map_longest_first(score, tasks, [len(task.stems) for task in tasks], processes)
    if not any(sequence.objects for sequence in sequences):
        raise UserError(
            f"{predictions}: nothing to score, no annotation of the {len(tasks)} video(s) shows an object in its first "
            "annotated frame; expected at least one. Check the set's list and its annotation folder"
        )
    return SetResult(tuple(sequences), tolerance)


@dataclass(frozen=True)
class _Task:
    """One video to score: plain values, cheap to send to a worker."""

    name: str
    stems: tuple[str, ...]
    truths: tuple[Path, ...]
    single_object: bool
    left_out: int

    @property
    def scored(self) -> tuple[str, ...]:
        return self.stems[self.between]

    @property
    def between(self) -> slice:
        return slice(self.left_out, len(self.stems) - self.left_out)


def _task(video: Video, left_out: int) -> _Task:
    stems = annotated_stems(video, least=2 * left_out + 1)
    return _Task(video.name, stems, tuple(video.masks[stem] for stem in stems), video.single_object, left_out)


def _check_names(tasks: Sequence[_Task]) -> None:
    seen: set[str] = set()
    for task in tasks:
        if task.name in seen:
            raise UserError(f"video '{task.name}' is listed twice in the evaluation set; remove one of the entries")
        seen.add(task.name)


def _score_in_worker(task: _Task, predictions: Path, tolerance: float) -> SequenceScores:
    with Predictions(predictions) as opened:
        return _score(task, opened, tolerance)


def _score(task: _Task, predictions: Predictions, tolerance: float) -> SequenceScores:
    """Score one video frame by frame; one pair of masks is in memory at a time."""
    colors: dict[int, tuple[Color, Path]] = {}  # of all masks, if they are RGB
    first = _read(inspect_mask(task.truths[0]), task.truths[0], task, colors)
    count = count_objects(first, task.truths[0], single_object=task.single_object)
    frames = []
    for stem, path in zip(task.scored, task.truths[task.between], strict=True):
        origin = predictions.origin(task.name, stem)
        truth = _read(inspect_mask(path), path, task, colors)
        predicted = _read(predictions.read_mask(task.name, stem), origin, task, colors)
        if truth.shape != first.shape:
            raise UserError(
                f"{path}: annotation of {_size(truth)} pixels, but {task.truths[0]} of the same video has "
                f"{_size(first)}; expected one size. Correct the file or take it out of the annotations"
            )
        if predicted.shape != truth.shape:
            raise UserError(
                f"{origin}: prediction of {_size(predicted)} pixels, but its annotation {path} has {_size(truth)}; "
                "expected the same size. Write the predictions at the size of the annotations"
            )
        if task.single_object and count:
            pairs = [(pack(predicted), pack(truth))]
        else:
            _check_ids(predicted, count, origin, task)
            pairs = [(pack(predicted == k), pack(truth == k)) for k in range(1, count + 1)]
        height, width = truth.shape
        radius = tolerance_radius(height, width, tolerance)
        frames.append([measure(*pair, width, radius) for pair in pairs])
    objects = (
        ObjectScores(k + 1, tuple(frame[k].j for frame in frames), tuple(frame[k].f for frame in frames))
        for k in range(count)
    )
    return SequenceScores(task.name, task.scored, tuple(objects))


def _read(reading: MaskReading, file: Path, task: _Task, colors: dict[int, tuple[Color, Path]]) -> Ids:
    if not task.single_object:
        require_same_colors(colors, reading.colors or {}, file)
    return reading.ids


def _size(ids: Ids) -> str:
    return " x ".join(str(side) for side in reversed(ids.shape))


def _check_ids(predicted: Ids, count: int, origin: Path, task: _Task) -> None:
    largest = int(predicted.max())
    if largest <= count:
        return
    hint = (
        "For binary 0/255 masks (DAVIS 2016) set `single_object: true` for this set"
        if largest == VOID
        else "Predict with the ids of the first annotation, or correct that annotation"
    )
    raise UserError(
        f"{origin}: object id {largest} is predicted, but the first annotation of video '{task.name}' "
        f"({task.truths[0]}) has {count} object(s); expected ids 0 to {count}. {hint}"
    )
