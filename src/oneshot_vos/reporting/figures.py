"""Figures 4 to 7 of the paper from the masks of our runs.

A run whose masks of the set are not there shows as `not run`; every figure is drawn all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.measures import region_similarity
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.registry import suggest
from oneshot_vos.reporting.canvas import Colour, Pixels, Row, grid, spaced
from oneshot_vos.reporting.overlay import draw_mask, draw_masks, fit_height, fit_ids
from oneshot_vos.reporting.results import EXPERIMENT, select
from oneshot_vos.reporting.text import NOT_RUN
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import object_ids, read_mask
from oneshot_vos.videos.video import Video

_HEIGHT, _SCALE = 272, 2  # of a panel in pixels, and of texts: six panels are 6 inches wide at 300 dots per inch
_IN_THE_CORNER = "In the corner: J of the frame in percent."
_RED, _GREEN = (230, 20, 20), (0, 190, 0)

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Scenes:
    """What a figure is drawn from: a set of videos, and the folder with the masks of all runs, `<run>/<set>.zip`.

    videos: by name. chosen: names of those to show, None for the figure's own rule. frames: columns. archive_name: of
    the masks, if not that of the set. judged: whether the videos' masks are the truth, and not only what is given to
    networks, of some objects (YouTube-VOS).
    """

    set: str
    videos: Mapping[str, Video]
    masks: Path
    chosen: tuple[str, ...] | None
    frames: int
    archive_name: str | None = None
    judged: bool = True

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
    """The truth, then full supervision and one-shot training of every network, on the same frames of the same videos.

    Figure 5 is the same on YouTube-VOS, with another `number`. `one_shot` is the strategy per network that stands
    for one-shot training. Videos: the chosen ones, or the first and the last name of the set.
    """
    names = sorted(scenes.videos)
    chosen = scenes.choose((), [names[index] for index in spaced(len(names), 2)])
    shown = [
        (find_run(runs, network, strategy, "static"), (network_name(network), strategy_name(strategy)))
        for network in runs["network"].unique()
        for strategy in ("full", one_shot[network])
    ]
    title = f"Figure {number}: full supervision and one-shot training, {scenes.set}"
    note = f"The first column shows the given mask. {_IN_THE_CORNER}"
    return _draw(title, [_Strip(scenes, scenes.videos[name]) for name in chosen], shown, note)


def _draw(
    title: str, strips: Sequence["_Strip"], shown: Sequence[tuple[str | None, tuple[str, ...]]], note: str
) -> Image.Image:
    """Of every strip the truth, then the masks of the runs, beside what they are called."""
    rows = [row for strip in strips for row in (strip.truth(), *(strip.predicted(*each) for each in shown))]
    return grid(title, rows, height=_HEIGHT, notes=[note], scale=_SCALE)


def draw_nothing(title: str, reason: str) -> Image.Image:
    """A figure that a profile has no set for: its title and why there is nothing to see."""
    return grid(title, [], height=_HEIGHT, notes=[reason], scale=_SCALE)


def draw_figure6(scenes: Scenes, runs: pd.DataFrame, iteration: int | None = None) -> Image.Image:
    """Masks of the networks that were trained with an empty reference and get an empty one; up to two videos each.

    `iteration`: after which the masks were made, for the title; None: at the end.
    Videos: the chosen ones, else the paper's where the set has them, else the first two by name.
    """
    trained = select(runs, comparable=False).sort_values("seed").drop_duplicates(EXPERIMENT).sort_index()
    shown = [
        (row["run"], (network_name(row["network"]), strategy_name(row["strategy"])))
        for row in trained.to_dict("records")
    ]
    chosen = scenes.choose(("motocross-jump", "drift-chicane"), sorted(scenes.videos)[:2])[:2]
    strips = [_Strip(scenes, scenes.videos[name], merged=True) for name in chosen]
    when = "" if iteration is None else f" for {iteration:,} iterations"
    title = f"Figure 6: trained with an empty reference mask{when}, {scenes.set}"
    note = f"No mask is given, not even on the first frame; all objects count as one. {_IN_THE_CORNER}"
    return _draw(title, strips, shown or [(None, ("no run", strategy_name("empty")))], note)


def draw_figure7(scenes: Scenes, runs: pd.DataFrame) -> Image.Image:
    """Cutie, T-step from scratch: the truth in green, the prediction in red below it.

    Videos: the chosen ones, else drift-chicane if the set has it, else the one whose objects move most, that is, whose
    last labelled mask overlaps least with its first. Only frames with a true mask are shown. The numbers below
    each say how much the prediction overlaps with the first mask, the one in the corner how much with the truth: a
    network that copies the first mask has a high first and a low second.
    """
    run = find_run(runs, "cutie", "t_step", "backbone")
    chosen = scenes.choose(("drift-chicane",), ()) or (most_motion(list(scenes.videos.values())),)
    strips = [_Strip(scenes, scenes.videos[name], merged=True, against_first=True) for name in chosen]
    note = f"Below: overlap (IoU) of the prediction with the first mask. {_IN_THE_CORNER} All objects count as one."
    title = f"Figure 7: T-step one-shot training from scratch, {scenes.set}"
    return _draw(title, strips, [(run, (network_name("cutie"), strategy_name("t_step"), "from scratch"))], note)


def network_name(network: str) -> str:
    """As papers write it."""
    return {"stcn": "STCN", "xmem": "XMem", "cutie": "Cutie"}.get(network, network)


def strategy_name(strategy: str) -> str:
    """As a reader of the paper knows it; a variant keeps its own words."""
    known = {
        "full": "full supervision",
        "one_step": "one-shot (1-step)",
        "two_step": "one-shot (2-step)",
        "t_step": "one-shot (T-step)",
        "empty": "empty reference",
    }
    return known.get(strategy, strategy)


def find_run(runs: pd.DataFrame, network: str, strategy: str, init: str) -> str | None:
    """The run with the first seed among those of this description; None if the list has none."""
    found = select(runs, network=network, strategy=strategy, init=init).sort_values("seed")
    return found["run"].iloc[0] if len(found) else None


def most_motion(videos: Sequence[Video]) -> str:
    """The video whose last mask overlaps least with its first (all objects as one); the first name of equals.

    Videos with one mask alone count as standing still.
    """

    def overlap(video: Video) -> float:
        first, last = (true_mask(video, video.labelled[index]) for index in (0, -1))
        return region_similarity(first > 0, last > 0)

    return min(sorted(videos, key=lambda video: video.name), key=overlap).name


@dataclass(frozen=True)
class _Strip:
    """Frames of one video, from the one with the first mask to the last, with masks over them: rows of a figure.

    merged: all objects are one, the true one green, predicted ones red. against_first: only frames with a true mask,
    and below them how much a prediction overlaps with the first one.
    """

    scenes: Scenes
    video: Video
    merged: bool = False
    against_first: bool = False

    @cached_property
    def times(self) -> list[int]:
        """The frames, evenly spaced."""
        times = self.video.labelled if self.against_first else range(self.video.first_mask, len(self.video))
        return [times[index] for index in spaced(len(times), self.scenes.frames)]

    @cached_property
    def objects(self) -> set[int]:
        """The ids in the given masks, for colours that no prediction changes."""
        return {number for t in self.video.labelled for number in object_ids(true_mask(self.video, t))}

    def truth(self) -> Row:
        """The true masks of frames that have one; the video's name and the frames' stand beside and below."""
        panels = []
        for t in self.times:
            frame, truth = read_frame(self.video.frames[t]), self._true(t)
            panels.append(self._panel(frame, np.zeros(frame.shape[:2], np.int32) if truth is None else truth, _GREEN))
        complete = self.scenes.judged and all(self.video.stem(t) in self.video.masks for t in self.times)
        label = (self.video.name, "ground truth" if complete else "given masks")
        return Row(label, tuple(panels), tuple(f"frame {self.video.stem(t)}" for t in self.times))

    def predicted(self, run: str | None, label: tuple[str, ...]) -> Row:
        """One run's masks, with J where there is truth, or `not run` for each of them."""
        archive = self.scenes.archive(run)
        if archive is None:
            return Row(label, tuple(NOT_RUN for _ in self.times))
        panels, corners, captions = [], [], []
        for t, (frame, ids) in zip(self.times, predicted(archive, self.video, self.times), strict=True):
            panels.append(self._panel(frame, ids, _RED))
            corners.append("given" if t == self.video.first_mask and not self.merged else self._j(ids, self._true(t)))
            if self.against_first:
                overlap = region_similarity(ids > 0, true_mask(self.video, self.times[0]) > 0)
                captions.append(f"IoU with the first {overlap:.2f}")
        return Row(label, tuple(panels), tuple(captions), tuple(corners))

    def _true(self, t: int) -> Ids | None:
        return true_mask(self.video, t) if self.video.stem(t) in self.video.masks else None

    def _panel(self, frame: Pixels, ids: Ids, colour: Colour) -> Pixels:
        picture, small = fit_height(frame, _HEIGHT), fit_ids(ids, _HEIGHT)
        if self.merged:
            return draw_mask(picture, small, colour)
        return draw_masks(picture, small, sorted({*self.objects, *object_ids(small)}), label=False)

    def _j(self, ids: Ids, truth: Ids | None) -> str:
        """J of a frame in percent, the mean over the objects in its true mask; empty without one."""
        if truth is None or not self.scenes.judged:
            return ""
        numbers = [] if self.merged else object_ids(truth)
        each = [region_similarity(ids == number, truth == number) for number in numbers]
        return f"J {100 * (fmean(each) if each else region_similarity(ids > 0, truth > 0)):.0f}"


def true_mask(video: Video, t: int) -> Ids:
    """The true mask of a frame."""
    return _as_objects(video, read_mask(video.masks[video.stem(t)]))


def predicted(archive: Path, video: Video, times: Sequence[int]) -> Iterator[tuple[Pixels, Ids]]:
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
