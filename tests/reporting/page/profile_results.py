"""Everything that the stages of a profile leave, tiny, for tests of the page made from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tests.reporting.results_folder import Project, matrix, named, params_of, run

from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult
from oneshot_vos.evaluation.score_files import save_result
from oneshot_vos.files import write_zip
from oneshot_vos.params import Run
from oneshot_vos.reporting.results import COPY_FIRST
from oneshot_vos.stages import report
from oneshot_vos.videos.index import write_index
from oneshot_vos.videos.masks import encode_mask, write_mask
from oneshot_vos.videos.video import Video

SET, SIZE, FRAMES = "mini-val", (32, 48), 5


class Profile(Project):
    """The results of a profile with `sequences` videos of `FRAMES` frames."""

    def __init__(self, root: Path, sequences: int = 8) -> None:
        super().__init__(root)
        self.label("first", 3, 60)
        self.videos = [self._video(f"video{number}") for number in range(sequences)]

    def _video(self, name: str) -> Video:
        rng = np.random.default_rng(len(name))
        frames, masks = [], {}
        for t in range(FRAMES):
            frames.append(self.root / "frames" / name / f"{t:05}.jpg")
            frames[-1].parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(60, 190, (*SIZE, 3), np.uint8)).save(frames[-1])
            masks[f"{t:05}"] = self.root / "truth" / name / f"{t:05}.png"
            write_mask(masks[f"{t:05}"], self.ids(t))
        return Video(name, tuple(frames), masks)

    @staticmethod
    def ids(t: int) -> np.ndarray:
        ids = np.zeros(SIZE, np.int32)
        ids[8:20, 4 + 4 * t : 16 + 4 * t] = 1
        return ids

    def segment(self, name: str) -> None:
        """The masks of a run: the true ones."""
        members = [(f"{v.name}/{v.stem(t)}.png", encode_mask(self.ids(t))) for v in self.videos for t in range(FRAMES)]
        write_zip(self.root / "masks" / name / f"{SET}.zip", members)

    def rate(self, name: str, scores: Sequence[float]) -> None:
        """J and F of a run by video."""
        frames = tuple(f"{t:05}" for t in range(1, FRAMES - 1))
        sequences = tuple(
            SequenceScores(video.name, frames, (ObjectScores(1, (value,) * len(frames), (value,) * len(frames)),))
            for video, value in zip(self.videos, scores, strict=True)
        )
        save_result(self.root / "metrics" / name / f"{SET}.json", SetResult(sequences, 0.008))

    def log(self, name: str, losses: Sequence[float]) -> None:
        """The loss over a training, and its record."""
        path = self.root / "curves" / name / "plots/metrics/train/loss.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(["step\tloss", *(f"{10 * n}\t{v}" for n, v in enumerate(losses, 1))]) + "\n")
        self.train(name, hardware="2 cores", seconds=90, iterations=40, command=f"oneshot-vos train {name}")

    def fill(self, runs: Mapping[str, Run]) -> None:
        """Everything, for these runs and the repeated first mask."""
        self.rate(COPY_FIRST, [0.3] * len(self.videos))
        for place, name in enumerate(runs):
            self.rate(name, [0.5 + 0.05 * number + 0.001 * place for number in range(len(self.videos))])
            self.log(name, [1.0, 0.5, 0.4, 0.3])
            self.curve(name, [20, 40], [50.0 + place, 60.0 + place], SET)
            self.probe(name, (20, 10.0, 12.0, 9.0), (40, 60.0, 61.0, 8.0))
            self.segment(name)

    def page(self, runs: Mapping[str, Run]) -> Path:
        """Write the page; the path of its index."""
        write_index(self.root / "sets" / f"{SET}.json", self.videos)
        parts = ("metrics", "masks", "labels", "curves", "probe", "sets", "none.yaml", "report")
        report.run(params_of(runs, [SET]), *(self.root / part for part in parts))
        return self.root / "report/index.html"


RUNS = {
    name: each
    for name, each in matrix().items()
    if each.network in ("stcn", "xmem") and (each.strategy, each.init) != ("one_step", "backbone")
}
SEEDS = named(*(run("stcn", "two_step", "static", seed) for seed in (0, 1, 2)), run("stcn", "full", "static"))
