"""Stage `figures`: the paper's figures from the masks of the runs."""

from pathlib import Path

from oneshot_vos.datasets.index import read_index
from oneshot_vos.params import FigureChoice, Params
from oneshot_vos.reporting.canvas import save_png
from oneshot_vos.reporting.figures import Scenes, draw_figure4, draw_figure6, draw_figure7
from oneshot_vos.reporting.results import parse_runs


def run(params: Params, masks: Path, sets: Path, out: Path) -> None:
    """Draw `out/figure4.png`, `figure6.png` and `figure7.png` from `masks/<run>/<set>.zip`.

    What has not been run is shown as such; all three files are always written.
    """
    runs = parse_runs({key: run.model_dump() for key, run in params.runs.items()})

    def scenes(choice: FigureChoice) -> Scenes:
        videos = {video.name: video for video in read_index(sets / f"{choice.set}.json")}
        return Scenes(choice.set, videos, masks, choice.videos, choice.frames)

    figures = params.profile.figures
    save_png(out / "figure4.png", draw_figure4(scenes(figures.figure4), runs, params.table1_backward))
    save_png(out / "figure6.png", draw_figure6(scenes(figures.figure6), runs))
    save_png(out / "figure7.png", draw_figure7(scenes(figures.figure7), runs))
