"""Stage `figures`: the paper's figures from the masks of the runs."""

import logging
from dataclasses import replace
from pathlib import Path

from PIL import Image

from oneshot_vos.params import FigureChoice, Params
from oneshot_vos.reporting.canvas import save_pdf, save_png
from oneshot_vos.reporting.figures import Scenes, draw_figure4, draw_figure6, draw_figure7, draw_nothing
from oneshot_vos.reporting.markdown import no_youtube
from oneshot_vos.reporting.results import run_list
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.objects_index import read_youtube_index
from oneshot_vos.videos.video import Video

_log = logging.getLogger(__name__)


def run(params: Params, masks: Path, sets: Path, out: Path) -> None:
    """Draw Figures 4 to 7 as `out/figure<n>.png` and `.pdf` from `masks/<run>/<set>.zip`; Figure 6 from `figure6.zip`
    there, if it names an iteration.

    What has not been run is shown as such; all files are always written.
    """
    runs = run_list(params.runs)

    def scenes(choice: FigureChoice) -> Scenes:
        videos, judged = _videos(sets / f"{choice.set}.json")
        named = {video.name: video for video in videos}
        return Scenes(choice.set, named, masks, choice.videos, choice.frames, judged=judged)

    def write(number: int, image: Image.Image) -> None:
        save_png(out / f"figure{number}.png", image)
        save_pdf(out / f"figure{number}.pdf", image)

    figures = params.profile.figures
    write(4, draw_figure4(scenes(figures.figure4), runs, params.table1_strategy))
    if figures.figure5 is None:
        missing = no_youtube(params.profile_name).replace("`", "'")
        write(5, draw_nothing("Figure 5: full supervision and one-shot training", missing))
    else:
        write(5, draw_figure4(scenes(figures.figure5), runs, params.table1_strategy, number=5))
    early = figures.figure6.iteration
    figure6 = replace(scenes(figures.figure6), archive_name=None if early is None else "figure6")
    write(6, draw_figure6(figure6, runs, early))
    write(7, draw_figure7(scenes(figures.figure7), runs))
    _log.info("%s: Figures 4 to 7, as PNG and PDF", out)


def _videos(index: Path) -> tuple[list[Video], bool]:
    """The videos of a set, of YouTube-VOS with those frames alone whose masks are written; whether they hold the truth.

    Masks of YouTube-VOS are those that networks are given.
    """
    youtube = read_youtube_index(index)
    if youtube is None:
        return read_index(index), True
    shown = []
    for each in youtube.videos:
        wanted = set(each.required)
        frames = tuple(frame for frame in each.video.frames if frame.stem in wanted)
        shown.append(replace(each.video, frames=frames))
    return shown, False
