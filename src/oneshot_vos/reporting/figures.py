"""Figures 4 to 7 of the paper from the masks of our runs.

A run whose masks of the set are not there shows as `not run`; every figure is drawn all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.registry import suggest
from oneshot_vos.reporting.canvas import Pixels, Row, grid
from oneshot_vos.reporting.overlay import draw_mask, draw_masks, fit_height, fit_ids, intersection_over_union
from oneshot_vos.reporting.previews import spaced
from oneshot_vos.reporting.results import EXPERIMENT, select
from oneshot_vos.reporting.text import NOT_RUN
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import read_mask
from oneshot_vos.videos.video import Video

FIGURE6_VIDEOS = ("motocross-jump", "drift-chicane")  # the paper's
FIGURE7_VIDEO = "drift-chicane"
_HEIGHT = 136  # of a panel, in pixels
_RED, _GREEN = (230, 20, 20), (0, 190, 0)

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Scenes:
    """What a figure is drawn from: a set of videos, and the folder with the masks of all runs, `<run>/<set>.zip`.

    videos: by name. chosen: names of those to show, None for the figure's own rule. frames: columns. archive_name: of
    the masks, if not that of the set.
    """

    set: str
    videos: Mapping[str, Video]
    masks: Path
    chosen: tuple[str, ...] | None
    frames: int
    archive_name: str | None = None

    def choose(self, preferred: Sequence[str], otherwise: Sequence[str]) -> tuple[str, ...]:
        """The chosen videos; else those of `preferred` that the set has; else `otherwise`."""
        unknown = [name for name in self.chosen or () if name not in self.videos]
        if unknown:
            raise UserError(
                f"figure: set '{self.set}' has no video '{unknown[0]}'; {suggest(unknown[0], list(self.videos))}"
            )
        present = tuple(name for name in preferred if name in self.videos)
        return self.chosen or present or tuple(otherwise)

    def archive(self, run: str | None) -> Path | None:
        """The masks of a run; None if it is not in the list or has not been inferred."""
        path = self.masks / run / f"{self.archive_name or self.set}.zip" if run else None
        return path if path and path.exists() else None


def draw_figure4(scenes: Scenes, runs: pd.DataFrame, one_shot: Mapping[str, str], *, number: int = 4) -> Image.Image:
    """Full supervision above one-shot training, the same frames, for each network; one video per network.

    Figure 5 is the same on YouTube-VOS, with another `number`. `one_shot` is the strategy per network that stands
    for one-shot training. Videos: the chosen ones in turn, or spread evenly over the names of the set.
    """
    networks = runs["network"].unique()
    names = sorted(scenes.videos)
    spread = [names[index] for index in spaced(len(names), max(len(networks), 2))]
    chosen = scenes.choose((), spread)
    rows = []
    for index, network in enumerate(networks):
        video = scenes.videos[chosen[index % len(chosen)]]
        times = _spaced_times(video, scenes.frames)
        for title, strategy in (("full", "full"), ("1-shot", one_shot[network])):
            run = find_run(runs, network, strategy, "static")
            label = (f"{network}, {title}", f"({strategy})" if title != strategy else "", video.name)
            rows.append(_row(scenes, run, label, video, times))
    title = f"Figure {number}: full supervision and one-shot training, {scenes.set}"
    return grid(title, rows, height=_HEIGHT, notes=["The first column shows the given mask."])


def draw_nothing(title: str, reason: str) -> Image.Image:
    """A figure that a profile has no set for: its title and why there is nothing to see."""
    return grid(title, [], height=_HEIGHT, notes=[reason])


def draw_figure6(scenes: Scenes, runs: pd.DataFrame, iteration: int | None = None) -> Image.Image:
    """Masks of the networks that were trained with an empty reference and get an empty one; up to two videos each.

    `iteration`: after which the masks were made, for the title; None: at the end.
    Videos: the chosen ones, else the paper's where the set has them, else the first two by name.
    """
    chosen = scenes.choose(FIGURE6_VIDEOS, sorted(scenes.videos)[:2])[:2]
    trained = select(runs, comparable=False).sort_values("seed").drop_duplicates(EXPERIMENT).sort_index()
    shown = list(zip(trained["run"], trained["network"] + ", " + trained["strategy"], strict=True))
    rows = []
    for run, title in shown or [(None, "empty")]:
        for name in chosen:
            video = scenes.videos[name]
            label = (title, "reference", name)
            rows.append(_row(scenes, run, label, video, _spaced_times(video, scenes.frames), merged=True))
    notes = ["No mask is given, not even on the first frame; all objects count as one."]
    when = "" if iteration is None else f" for {iteration:,} iterations"
    return grid(
        f"Figure 6: trained with an empty reference mask{when}, {scenes.set}", rows, height=_HEIGHT, notes=notes
    )


def draw_figure7(scenes: Scenes, runs: pd.DataFrame, network: str = "cutie") -> Image.Image:
    """T-step from scratch: the truth in green, the prediction in red, one row per video.

    Videos: the chosen ones, else drift-chicane if the set has it, else the one whose objects move most, that is, whose
    last labelled mask overlaps least with its first. Only frames with a true mask are shown. The numbers below
    each say how much the prediction overlaps with the first mask, and how much with the truth: a network that copies
    the first mask has a high first and a low second.
    """
    run = find_run(runs, network, "t_step", "backbone")
    chosen = scenes.choose((FIGURE7_VIDEO,), ())
    if not chosen:
        chosen = (most_motion(list(scenes.videos.values())),)
    rows = []
    for name in chosen:
        video = scenes.videos[name]
        times = [video.labelled[index] for index in spaced(len(video.labelled), scenes.frames)]
        rows.append(_truth_row(scenes, run, (f"{network}, t_step", "from scratch", name), video, times))
    notes = ["Green: truth. Red: prediction. IoU of the prediction with the first mask / with the truth."]
    return grid(f"Figure 7: T-step from scratch, {scenes.set}", rows, height=_HEIGHT, notes=notes)


def find_run(runs: pd.DataFrame, network: str, strategy: str, init: str) -> str | None:
    """The run with the first seed among those of this description; None if the list has none."""
    found = select(runs, network=network, strategy=strategy, init=init).sort_values("seed")
    return found["run"].iloc[0] if len(found) else None


def most_motion(videos: Sequence[Video]) -> str:
    """The video whose last mask overlaps least with its first (all objects as one); the first name of equals.

    Videos with one mask alone count as standing still.
    """

    def overlap(video: Video) -> float:
        first, last = (_true_mask(video, video.labelled[index]) for index in (0, -1))
        return intersection_over_union(first, last)

    return min(sorted(videos, key=lambda video: video.name), key=overlap).name


def _spaced_times(video: Video, wanted: int) -> list[int]:
    """Frames spread evenly from the one with the first mask to the last."""
    start = video.first_mask
    return [start + index for index in spaced(len(video) - start, wanted)]


def _row(
    scenes: Scenes,
    run: str | None,
    label: tuple[str, ...],
    video: Video,
    times: Sequence[int],
    *,
    merged: bool = False,
) -> Row:
    """One run's masks on one video, or `not run` for each of them."""
    lines = tuple(line for line in label if line)
    captions = tuple(f"frame {video.stem(t)}" for t in times)
    archive = scenes.archive(run)
    if archive is None:
        return Row(lines, tuple(NOT_RUN for _ in times), captions)
    panels = []
    predicted = list(_predicted(archive, video, times))
    objects = sorted({int(number) for _, ids in predicted for number in np.unique(ids)})
    for frame, ids in predicted:
        picture, small = fit_height(frame, _HEIGHT), fit_ids(ids, _HEIGHT)
        panels.append(draw_mask(picture, small, _RED) if merged else draw_masks(picture, small, objects, label=False))
    return Row(lines, tuple(panels), captions)


def _truth_row(scenes: Scenes, run: str | None, label: tuple[str, ...], video: Video, times: Sequence[int]) -> Row:
    """Truth and prediction over the same frames, or `not run` for each of them."""
    archive = scenes.archive(run)
    if archive is None:
        return Row(label, tuple(NOT_RUN for _ in times), tuple(f"frame {video.stem(t)}" for t in times))
    first = _true_mask(video, times[0])
    panels, captions = [], []
    for t, (frame, ids) in zip(times, _predicted(archive, video, times), strict=True):
        truth = _true_mask(video, t)
        picture = draw_mask(fit_height(frame, _HEIGHT), fit_ids(truth, _HEIGHT), _GREEN)
        panels.append(draw_mask(picture, fit_ids(ids, _HEIGHT), _RED))
        overlaps = f"{intersection_over_union(ids, first):.2f} / {intersection_over_union(ids, truth):.2f}"
        captions.append(f"{video.stem(t)}: {overlaps}")
    return Row(label, tuple(panels), tuple(captions))


def _true_mask(video: Video, t: int) -> Ids:
    return _as_objects(video, read_mask(video.masks[video.stem(t)]))


def _predicted(archive: Path, video: Video, times: Sequence[int]) -> Iterator[tuple[Pixels, Ids]]:
    """Frames `times` and their masks; raises `UserError` if one is missing or not as large as its frame."""
    stems = [video.stem(t) for t in times]
    with Predictions(archive) as predictions:
        predictions.require(video.name, stems)
        for t, stem in zip(times, stems, strict=True):
            frame, origin = read_frame(video.frames[t]), predictions.origin(video.name, stem)
            ids = _as_objects(video, predictions.read_mask(video.name, stem).ids)
            if ids.shape != frame.shape[:2]:
                raise UserError(
                    f"{origin}: {ids.shape[1]}x{ids.shape[0]} pixels; expected the frame's "
                    f"{frame.shape[1]}x{frame.shape[0]}. Run `infer` again"
                )
            yield frame, ids


def _as_objects(video: Video, ids: NDArray[np.integer]) -> Ids:
    """Ids, or 0 and 1 where all objects of the video are one."""
    return (ids > 0).astype(np.int32) if video.single_object else ids.astype(np.int32)
