"""Scores of YouTube-VOS where ground truth is at hand: J and F over seen and unseen categories, and their mean G.

The measures are those of DAVIS, on each object and frame. The frames of an object are those that `meta.json` lists
for it, without the one in which its mask is given; a frame counts whether or not the object is visible in it. (The
server's own treatment of that first frame is not documented.) An object's J is the mean over its frames, J of seen
categories the mean over all objects of seen categories, whatever their videos; J of unseen ones and F likewise. G is
the mean of the four. Prediction and ground truth are matched by id. An object that nobody predicts is an empty mask.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.measures import DAVIS_TOLERANCE, Measures, measure, pack, tolerance_radius
from oneshot_vos.evaluation.parallel import score_videos
from oneshot_vos.evaluation.predictions import Predictions, require_same_size
from oneshot_vos.evaluation.results import ObjectScores
from oneshot_vos.videos.label_map import Color
from oneshot_vos.videos.masks import Ids, inspect_mask, require_same_colors
from oneshot_vos.videos.objects import ObjectVideo, TrackedObject, YouTubeSet

MEASURES = ("G", "J_seen", "F_seen", "J_unseen", "F_unseen")


@dataclass(frozen=True)
class CategorisedScores:
    """J and F of one object of `video` in the frames with the stems `frames`."""

    video: str
    category: str
    seen: bool
    frames: tuple[str, ...]
    scores: ObjectScores


@dataclass(frozen=True)
class YouTubeResult:
    """Scores of all objects of a set, by video and id, and the contour tolerance they were computed with.

    `unscored` are objects without a frame after the one in which their mask is given, as `<video>_<id>`.
    """

    objects: tuple[CategorisedScores, ...]
    unscored: tuple[str, ...]
    tolerance: float

    @cached_property
    def summary(self) -> dict[str, float | None]:
        """The benchmark's five numbers by `MEASURES`; None for a group without objects, and then for G."""
        numbers: dict[str, float | None] = {}
        for group, seen in (("seen", True), ("unseen", False)):
            scores = [scored.scores for scored in self.objects if scored.seen == seen]
            numbers[f"J_{group}"] = float(np.mean([item.region.mean for item in scores])) if scores else None
            numbers[f"F_{group}"] = float(np.mean([item.contour.mean for item in scores])) if scores else None
        four = [numbers[name] for name in MEASURES[1:]]
        known = [number for number in four if number is not None]
        total = sum(known) / 4 if len(known) == 4 else None
        return {name: total if name == "G" else numbers[name] for name in MEASURES}

    @property
    def counts(self) -> dict[str, int]:
        """How many videos, and how many objects of either group, the scores are over."""
        seen = sum(scored.seen for scored in self.objects)
        return {
            "videos": len({scored.video for scored in self.objects}),
            "objects_seen": seen,
            "objects_unseen": len(self.objects) - seen,
            "objects_unscored": len(self.unscored),
        }


def evaluate_youtube(
    dataset: YouTubeSet, predictions: Path, *, processes: int = 1, tolerance: float = DAVIS_TOLERANCE
) -> YouTubeResult:
    """Score the predicted masks of a set with ground truth (`held-out`, after `give_first_masks`).

    `predictions` is a zip or a folder with `<video>/<stem>.png` for every scored frame; other files are ignored.
    `tolerance` is the contour tolerance of F as a fraction of the image diagonal. The result does not depend on
    `processes`.

    Raises `UserError` for a set without ground truth, a missing, damaged or wrongly sized mask, a predicted id that is
    no object of the video, and a set without any object to score.
    """
    by_name = {video.name: video for video in dataset.videos}
    scored = {name: _scored_stems(video) for name, video in by_name.items()}
    for name, stems in scored.items():
        lacking = [stem for stem in stems if stem not in by_name[name].truth]
        if lacking:
            raise UserError(
                f"video '{name}': no ground truth for frame '{lacking[0]}'; expected a mask for every scored "
                f"frame. Where the masks of a split ('{dataset.split}') are not public, the server scores it"
            )
    score = partial(_score, unseen=dataset.unseen, tolerance=tolerance)
    found = score_videos(score, by_name, scored, predictions, processes)
    objects = tuple(scores for of_video in found for scores in of_video)
    if not objects:
        raise UserError(
            f"{predictions}: nothing to score, no object of the {len(dataset.videos)} video(s) has a frame after its "
            "first mask; expected at least one"
        )
    unscored = tuple(f"{video.name}_{item.id}" for video in dataset.videos for item in video.objects if not item.scored)
    return YouTubeResult(objects, unscored, tolerance)


def _scored_stems(video: ObjectVideo) -> list[str]:
    """Stems of the frames in which any object is scored, in time order."""
    scored = {stem for item in video.objects for stem in item.scored}
    return [stem for stem in video.required if stem in scored]


def _score(
    video: ObjectVideo, predictions: Predictions, *, unseen: Collection[str], tolerance: float
) -> list[CategorisedScores]:
    """Score one video frame by frame; one pair of masks is in memory at a time."""
    found: dict[int, list[Measures]] = {item.id: [] for item in video.objects}
    known = np.array([0, *found])
    colors: dict[int, tuple[Color, Path]] = {}
    for stem in _scored_stems(video):
        origin = predictions.origin(video.name, stem)
        given, found_mask = inspect_mask(video.truth[stem]), predictions.read_mask(video.name, stem)
        require_same_colors(colors, given.colors or {}, video.truth[stem])
        require_same_colors(colors, found_mask.colors or {}, origin)
        truth, predicted = given.ids, found_mask.ids
        require_same_size(predicted, truth, origin, video.truth[stem])
        _check_ids(predicted, known, origin)
        height, width = truth.shape
        radius = tolerance_radius(height, width, tolerance)
        for item in video.objects:
            if stem in item.scored:
                found[item.id].append(measure(pack(predicted == item.id), pack(truth == item.id), width, radius))
    return [_categorised(video, item, found[item.id], unseen) for item in video.objects if item.scored]


def _categorised(
    video: ObjectVideo, item: TrackedObject, values: Sequence[Measures], unseen: Collection[str]
) -> CategorisedScores:
    scores = ObjectScores(item.id, tuple(value.j for value in values), tuple(value.f for value in values))
    return CategorisedScores(video.name, item.category, item.category not in unseen, item.scored, scores)


def _check_ids(predicted: Ids, known: np.ndarray, origin: Path) -> None:
    strange = np.setdiff1d(np.unique(predicted), known)
    if strange.size:
        raise UserError(
            f"{origin}: object id {strange[0]} is predicted, but the video's objects are "
            f"{', '.join(map(str, known[1:]))}; expected the ids of the given masks. Run `infer` for this set again"
        )
