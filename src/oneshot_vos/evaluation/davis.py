"""The semi-supervised protocol of DAVIS 2016 and 2017.

The frames of a video are its annotated frames, in the natural order of their names; the first and the last of them
are not scored. (Videos annotated on some frames only are scored on those, again without the first and the last: the
frames of a video are the list of its annotations, as in the official tool.) The objects of a video are 1 to K, K
being the largest id in the first annotation; prediction and ground truth are matched by id. An object nobody predicts
is an empty mask. Value 255 in the ground truth is void, which in this task counts as background, unless the first
annotation has ids above 255. With `single_object` (DAVIS 2016) every id above 0 is object 1 in both.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.measures import DAVIS_TOLERANCE, measure, pack, tolerance_radius
from oneshot_vos.evaluation.parallel import score_videos
from oneshot_vos.evaluation.predictions import Predictions, require_same_size, size_text
from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult
from oneshot_vos.videos.label_map import Color
from oneshot_vos.videos.mask_rules import counts_colors
from oneshot_vos.videos.masks import VOID, Ids, MaskReading, inspect_mask, object_ids, require_same_colors
from oneshot_vos.videos.scorable import annotated_stems, count_objects
from oneshot_vos.videos.video import Video

_SINGLE = "set `single_object: true` for this set"
_FORMS = {True: "a mask of colours", False: "one of ids"}


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
    by_name: dict[str, Video] = {}
    for video in videos:
        if video.name in by_name:
            raise UserError(f"video '{video.name}' is listed twice in the evaluation set; remove one of the entries")
        by_name[video.name] = video
    scored = {name: _stems(video, left_out)[1] for name, video in by_name.items()}
    score = partial(_score, tolerance=tolerance, left_out=left_out)
    sequences = score_videos(score, by_name, scored, predictions, processes)
    if not any(sequence.objects for sequence in sequences):
        raise UserError(
            f"{predictions}: nothing to score, no annotation of the {len(videos)} video(s) shows an object in its "
            "first annotated frame; expected at least one. Check the set's list and its annotation folder"
        )
    return SetResult(tuple(sequences), tolerance)


def _stems(video: Video, left_out: int) -> tuple[str, tuple[str, ...]]:
    """The first annotated frame, and those that are scored."""
    stems = annotated_stems(video, least=2 * left_out + 1)
    return stems[0], stems[left_out : len(stems) - left_out]


def _score(video: Video, predictions: Predictions, *, tolerance: float, left_out: int) -> SequenceScores:
    """Score one video frame by frame; one pair of masks is in memory at a time."""
    start, scored = _stems(video, left_out)
    given, single = video.masks[start], video.single_object
    colors: dict[int, tuple[Color, Path]] = {}  # of all masks, if they are RGB

    def checked(reading: MaskReading, file: Path) -> Ids:
        if not single:
            require_same_colors(colors, reading.colors or {}, file)
        return reading.ids

    start_mask = inspect_mask(given)
    first = checked(start_mask, given)
    count = count_objects(first, given, single_object=single)
    frames = []
    for stem in scored:
        path, origin = video.masks[stem], predictions.origin(video.name, stem)
        truth = checked(inspect_mask(path), path)
        found = predictions.read_mask(video.name, stem)
        if not single:
            _require_one_count(start_mask, found, origin, given)
        predicted = checked(found, origin)
        if truth.shape != first.shape:
            raise UserError(
                f"{path}: annotation of {size_text(truth)} pixels, but {given} of the same video has "
                f"{size_text(first)}; expected one size. Correct the file or take it out of the annotations"
            )
        require_same_size(predicted, truth, origin, path)
        if single and count:
            pairs = [(pack(predicted), pack(truth))]
        else:
            _check_ids(predicted, count, origin, video.name, given)
            pairs = [(pack(predicted == k), pack(truth == k)) for k in range(1, count + 1)]
        height, width = truth.shape
        radius = tolerance_radius(height, width, tolerance)
        frames.append([measure(*pair, width, radius) for pair in pairs])
    objects = (
        ObjectScores(k + 1, tuple(frame[k].j for frame in frames), tuple(frame[k].f for frame in frames))
        for k in range(count)
    )
    return SequenceScores(video.name, scored, tuple(objects))


def _require_one_count(truth: MaskReading, predicted: MaskReading, origin: Path, given: Path) -> None:
    """Refuse several colours, numbered in their own order, against ids or the other way round: nothing relates them."""
    ranked = [counts_colors(reading, file) for reading, file in ((truth, given), (predicted, origin))]
    if ranked[0] != ranked[1] and len(object_ids(truth.ids)) > 1 and predicted.ids.any():
        raise UserError(
            f"{origin}: {_FORMS[ranked[1]]}, and {given} is {_FORMS[ranked[0]]}: which colour is which id is not said; "
            "expected one form. Save the masks with one palette, or as grey PNG files of ids"
        )


def _check_ids(predicted: Ids, count: int, origin: Path, name: str, given: Path) -> None:
    largest = int(predicted.max())
    if largest <= count:
        return
    hint = "Predict with the ids of the first annotation, or correct that annotation"
    if largest == VOID:
        binary = object_ids(predicted) == [VOID]
        hint = (
            f"For binary 0/255 masks (DAVIS 2016) {_SINGLE}" if binary else "If 255 is a border to ignore, set it to 0"
        )
    raise UserError(
        f"{origin}: object id {largest} is predicted, but the first annotation of video '{name}' "
        f"({given}) has {count} object(s); expected ids 0 to {count}. {hint}"
    )
