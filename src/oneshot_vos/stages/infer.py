"""Stage `infer`: segment the evaluation sets with a trained network, and a part of one with its earlier states."""

import logging
from dataclasses import asdict
from pathlib import Path

import torch

from oneshot_vos.files import fingerprint, held, replacing_folder, sha256_of
from oneshot_vos.inference.writer import clear_state, segment_set
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.params import Params
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.objects_index import read_youtube_index
from oneshot_vos.videos.video import evaluation_videos

CURVE = "curve"  # folder of the masks of earlier states
FIGURE6 = "figure6"
_log = logging.getLogger(__name__)


def run(params: Params, run_key: str, weights: Path, snapshots: Path, sets: Path, out: Path) -> None:
    """Write `out/<set>.zip`, the masks of every frame, for every evaluation set of the profile.

    `out/curve/<iteration>.zip` are the masks of the first videos of the curve's set by the weights in `snapshots`, and
    `out/figure6.zip` those of Figure 6's videos by the weights in `snapshots/figure6`, if there are any. Only the first
    mask of a video is given to the network. Of YouTube-VOS, it is given the masks of all objects where they
    begin, and the masks written are those of the frames that `meta.json` lists; a network that is shown no object
    segments no such set. An interrupted stage goes on with the first unfinished video.
    """
    segmenter, profile = _Segmenter(params, run_key), params.profile
    with held(segmenter.state, f"running `infer` of {run_key}"):
        with replacing_folder(out) as folder:
            for name in profile.data.evaluate:
                segmenter.segment(weights, sets / f"{name}.json", None, folder / f"{name}.zip", name)
            (folder / CURVE).mkdir()
            index, first = sets / f"{profile.curve.set}.json", profile.curve.videos
            for file in sorted(snapshots.glob("*.safetensors")):
                target = folder / CURVE / f"{file.stem}.zip"
                segmenter.segment(file, index, first, target, f"{CURVE}-{file.stem}")
            figure = profile.figures.figure6
            for file in sorted((snapshots / FIGURE6).glob("*.safetensors")):
                segmenter.segment(file, sets / f"{figure.set}.json", figure.videos, folder / f"{FIGURE6}.zip", FIGURE6)
        _log.info(
            "%s: %d masks, %.1f frames/s", run_key, segmenter.frames, segmenter.frames / max(segmenter.seconds, 1e-9)
        )
        # Only now that the output stands in its place may the finished videos be forgotten.
        segmenter.forget()


class _Segmenter:
    """The network of a run, and where its finished videos are kept until the stage ends."""

    def __init__(self, params: Params, run_key: str) -> None:
        self._run, self._key = params.run(run_key), run_key
        self._arguments = params.profile.networks[self._run.network]
        self._infer = params.profile.infer[self._run.network]
        self._given = self._run.given
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = choose_precision(self._device, "auto")
        self.state = Path("state") / params.profile_name / f"infer-{run_key}"
        self._used: list[Path] = []
        self.frames, self.seconds = 0, 0.0  # segmented so far

    def segment(self, weights: Path, index: Path, part: int | tuple[str, ...] | None, out: Path, title: str) -> None:
        """Segment a `part` of a set with these weights: that many first videos, those of these names, or all."""
        youtube = read_youtube_index(index)
        if youtube is not None and self._given == "empty":
            return  # objects that nobody is shown cannot be told apart
        network = load_for_inference(self._run.network, self._arguments, weights, self._device)
        made_from = {
            "dtype": str(self._dtype),
            "weights": sha256_of(weights),
            "network": self._arguments,
            "infer": asdict(self._infer),
            "given": self._given,
            "set": sha256_of(index),
            "first": part,
        }
        self._used.append(self.state / title)
        videos = read_index(index)
        if isinstance(part, tuple):
            videos, part = [video for video in videos if video.name in part], None
        report = segment_set(
            network,
            evaluation_videos(videos, self._given, part) if youtube is None else videos,
            self._infer,
            out,
            state=self._used[-1],
            fingerprint=fingerprint(made_from),
            dtype=self._dtype,
            required=youtube.required if youtube is not None else None,
            given=self._given if youtube is None else "all",
            progress=f"{self._key} {title}",
            keep_state=True,
        )
        self.frames, self.seconds = self.frames + report.frames, self.seconds + report.seconds

    def forget(self) -> None:
        """Remove what was kept for a restart."""
        for folder in self._used:
            clear_state(folder)
