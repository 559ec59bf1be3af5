"""Stage `infer`: segment the evaluation sets with a trained network, and a part of one with its earlier states."""

import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from oneshot_vos.files import fingerprint, held, replacing_folder, sha256_of
from oneshot_vos.inference.writer import Report, segment_set
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
    segments no such set. An interrupted stage resumes with the first unfinished video.
    """
    profile, state = params.profile, Path("state") / params.profile_name / f"infer-{run_key}"
    curve, figure = profile.curve, profile.figures.figure6
    earlier, for_figure = (sorted(folder.glob("*.safetensors")) for folder in (snapshots, snapshots / FIGURE6))
    jobs = [_Job(weights, name, None, name) for name in profile.data.evaluate]
    jobs += [_Job(file, curve.set, curve.videos, f"{CURVE}/{file.stem}") for file in earlier]
    jobs += [_Job(file, figure.set, figure.videos, FIGURE6) for file in for_figure]
    with held(state, f"running `infer` of {run_key}"):
        with replacing_folder(out) as folder:
            (folder / CURVE).mkdir()
            done = [report for job in jobs if (report := _segment(params, run_key, job, sets, folder, state))]
        frames, seconds = sum(report.frames for report in done), sum(report.seconds for report in done)
        _log.info("%s: %d masks, %.1f frames/s", run_key, frames, frames / max(seconds, 1e-9))
        # Only now that the output stands in its place may the finished videos be forgotten.
        for job in jobs:
            shutil.rmtree(state / job.title, ignore_errors=True)


class _Job(NamedTuple):
    """Segment a part of a set with these weights: that many first videos, those of these names, or all."""

    weights: Path
    set: str
    part: int | tuple[str, ...] | None
    name: str  # of the archive, below the output folder

    @property
    def title(self) -> str:
        """For people, and of the folder in which its finished videos are kept."""
        return self.name.replace("/", "-")


def _segment(params: Params, run_key: str, job: _Job, sets: Path, out: Path, state: Path) -> Report | None:
    """Do a job; None where nothing is to be done."""
    run, index = params.runs[run_key], sets / f"{job.set}.json"
    youtube = read_youtube_index(index)
    if youtube is not None and run.given == "empty":
        return None  # objects that nobody is shown cannot be told apart
    arguments, infer = params.profile.networks[run.network], params.profile.infer[run.network]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = choose_precision(device, "auto")
    made_from = {
        "dtype": str(dtype),
        "weights": sha256_of(job.weights),
        "network": arguments,
        "infer": asdict(infer),
        "given": run.given,
        "set": sha256_of(index),
        "first": job.part,
    }
    videos, part = read_index(index), job.part
    if isinstance(part, tuple):
        videos, part = [video for video in videos if video.name in part], None
    return segment_set(
        load_for_inference(run.network, arguments, job.weights, device),
        evaluation_videos(videos, run.given, part) if youtube is None else videos,
        infer,
        out / f"{job.name}.zip",
        state=state / job.title,
        fingerprint=fingerprint(made_from),
        dtype=dtype,
        required=youtube.required if youtube is not None else None,
        given=run.given if youtube is None else "all",
        progress=f"{run_key} {job.title}",
    )
