"""Command `adapt`: from recordings with a mask each to masks of every frame, with a network adapted to these videos.

DIR/videos/             the recordings, as training reads them; masks-1, masks-2, … hold one mask per video each
DIR/segmented/<video>/  masks of every frame and an overlay
DIR/weights.safetensors the network that was kept
DIR/report/index.html   a page to look at
DIR/adapt.json          what was done, and how well every video agrees with its masks
DIR/params.yaml, config the same training for the pipeline
DIR/.state/             what a rerun resumes from
"""

import logging
import math
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from oneshot_vos.adaptation.parameters import write_parameters
from oneshot_vos.errors import UserError
from oneshot_vos.files import held, replacing, replacing_folder, sha256_of, write_text
from oneshot_vos.inference.geometry import short_side_size
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import load_weights, save_weights
from oneshot_vos.reporting.page.own import write_own_report
from oneshot_vos.sets.check import check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.own import ANNOTATIONS, IMAGES, import_videos, other_videos
from oneshot_vos.stages.adapt_round import Budget, Round
from oneshot_vos.stages.adapt_state import Kept, State, labels_of
from oneshot_vos.stages.confidence import write_next
from oneshot_vos.stages.segment import Segmenter, choose_device
from oneshot_vos.stages.segment_files import find_masks, name_of
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.images import frame_size
from oneshot_vos.videos.masks import read_small_mask
from oneshot_vos.videos.video import Video

VIDEOS, SEGMENTED, WEIGHTS = "videos", "segmented", "weights.safetensors"
_UNITS = {"s": 1, "m": 60, "h": 3600}
_log = logging.getLogger(__name__)


def run(
    recordings: Path,
    out: Path | None = None,
    weights: Path | None = None,
    network: str | None = None,
    budget: str = "20m",
    device: str | None = None,
    iterations: int | None = None,
) -> None:
    """Adapt a network to the videos of `recordings` (see `sets.own`) and segment all their frames into `out`.

    weights, network: what to start from; None: the network that ships. budget: time for all of it, such as `20m`.
    iterations: of the training, in place of what the budget gives; 0: none. Rerun to resume; with further masks or
    videos a further round goes on from the weights that were kept.
    """
    seconds, began = parse_time(budget), time.monotonic()
    if not recordings.is_dir():
        raise UserError(f"{recordings}: no such folder; expected one with `videos` and `masks`: see docs/own-videos.md")
    folder = out or Path("adapted") / name_of(recordings)
    chosen = choose_device(device)
    with held(folder / State.FOLDER, "adapting into this folder"):
        state = State(folder, weights, network)
        videos = _imported(recordings, folder / VIDEOS)
        if iterations != 0 and state.labels != labels_of(videos):
            pixels = sum(len(video) * _pixels(video, state.start.short_side) for video in videos)
            _train(state, videos, Budget(seconds, began, pixels), chosen, iterations)
        else:
            _log.info("no training: %s", "as told" if iterations == 0 else "the masks are those of the last round")
        _write_weights(state, folder / WEIGHTS)
        state.write_record(videos)
        _segment(state, videos, folder / SEGMENTED, chosen)
        page = write_own_report(folder)
        _log.info("masks: %s; the network that was kept: %s; look at %s", folder / SEGMENTED, folder / WEIGHTS, page)


def parse_time(text: str) -> float:
    """Seconds of `90s`, `20m`, `1.5h`."""
    found = re.fullmatch(r"([0-9]+(?:[.][0-9]+)?)([smh])", text.strip())
    if found is None or float(found[1]) <= 0:
        raise UserError(f"--budget {text}: not a time; expected a number with s, m or h behind it, such as 20m")
    return float(found[1]) * _UNITS[found[2]]


def _imported(recordings: Path, folder: Path) -> list[Video]:
    """The recordings as videos below `folder`; what was there and has not changed stays; all problems at once."""
    names = []
    for each in import_videos(recordings, folder):
        state = ", as before" if each.kept else ""
        _log.info("%s: %d frames, %d mask(s)%s", each.name, each.frames, each.masks, state)
        names.append(each.name)
    for name in other_videos(folder, names):
        _log.info("%s: no longer among the recordings; its copy is removed", name)
        for part in (IMAGES, ANNOTATIONS):
            shutil.rmtree(folder / part / name, ignore_errors=True)
    videos = read_davis(folder, images=IMAGES, annotations=ANNOTATIONS)
    report = check_videos(videos, training=True)
    for problem in report.warnings:
        _log.warning("%s: %s", problem.item, problem.message)
    report.raise_for_errors()
    return videos


def _train(state: State, videos: Sequence[Video], budget: Budget, device: torch.device, iterations: int | None) -> None:
    """One round, from the weights that were kept so far."""
    number, root = state.next_round, state.folder / VIDEOS
    sets = _one_mask_each(videos, root)
    masks = sum(len(each) for each in sets.values())
    _log.info("round %d: training on %d videos with %d mask(s)", number, len(videos), masks)
    this = Round(state, videos, sets, device)
    plan = this.plan(labels_of(videos), budget, iterations)

    start = str(state.current)
    kept = this.finish(plan)
    write_parameters(
        state.folder,
        state.start.network,
        state.start.arguments,
        kept.recipe.model_copy(update={"iterations": kept.iteration}),
        number - 1,
        weights=start,
        root=root,
        sets=list(sets),
        share=kept.share,
    )
    state.add(kept, labels_of(videos), masks, _told(kept))
    this.forget()


def _told(kept: Kept) -> str:
    """Why weights were kept, in a sentence; logs what holds of every video."""
    verdicts = {0.0: "keeps the weights it had", 1.0: "trained weights"}
    for name, value in kept.before.items():
        verdict = verdicts.get(kept.shares[name], "mean of trained weights and start")
        _log.info("%s: agreement %.3f before, %.3f after: %s", name, value, kept.after[name], verdict)
    before, after = (sum(values.values()) / len(values) for values in (kept.before, kept.after))
    text = f"mean agreement {before:.3f} before, {after:.3f} after {kept.iteration} iterations; "
    trained, rest = (list(kept.shares.values()).count(share) for share in (1.0, 0.0))
    if not kept.better:
        text += "training did not help, and the weights from before are kept"
    else:
        text += f"of {len(kept.shares)} video(s) {trained} take the trained weights, "
        text += f"{len(kept.better) - trained} their mean with the start, {rest} keep those from before"
    _log.info("%s", text)
    return text


def _one_mask_each(videos: Sequence[Video], root: Path) -> dict[str, list[Video]]:
    """Sets of videos with one mask each, which together are all masks that show an object: first ones, second ones, ….

    Each set is a folder of masks below `root`, beside those of all masks, and a list of its videos.
    """
    shown = {
        video.name: [t for t in video.labelled if read_small_mask(video.masks[video.stem(t)]).any()] for video in videos
    }
    sets: dict[str, list[Video]] = {}
    for place in range(max(map(len, shown.values()))):
        name = f"masks-{place + 1}"
        sets[name] = []
        with replacing_folder(root / name) as folder:
            for video in videos:
                if place < len(shown[video.name]):
                    stem = video.stem(shown[video.name][place])
                    (folder / video.name).mkdir()
                    shutil.copyfile(video.masks[stem], folder / video.name / f"{stem}.png")
                    file = root / name / video.name / f"{stem}.png"
                    sets[name].append(replace(video, masks={stem: file}))
        write_text(root / f"{name}.txt", "".join(f"{video.name}\n" for video in sets[name]))
    for left in root.glob("masks-*"):
        if left.name.removesuffix(".txt") not in sets:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return sets


def _pixels(video: Video, short_side: int) -> int:
    """Pixels of a frame as it is segmented."""
    size = frame_size(video.frames[0])
    return math.prod(short_side_size(*size, min(short_side, *size)))


def _write_weights(state: State, out: Path) -> None:
    """The weights that were kept, in a file of their own that says what they are."""
    if out.exists() and out.suffix == state.current.suffix and sha256_of(out) == sha256_of(state.current):
        return
    if state.current.suffix == out.suffix:
        with replacing(out) as temporary:
            shutil.copyfile(state.current, temporary)
        return
    built = build_network(state.start.network, state.start.arguments)
    load_weights(state.current, built)
    save_weights(out, built, state.start.metadata)


def _segment(state: State, videos: Sequence[Video], out: Path, device: torch.device) -> None:
    """Segment every video with the weights that suit it; what is there already stays."""
    options = state.options(device)
    for left in (entry for entry in out.glob("*") if entry.name not in {video.name for video in videos}):
        if left.is_dir():
            _log.info("%s: no longer among the recordings; its results are removed", left.name)
            shutil.rmtree(left)
    number = 0
    for weights in dict.fromkeys(state.weights_of(video.name) for video in videos):
        segmenter = Segmenter(weights, state.start.network, options)
        for video in (each for each in videos if state.weights_of(each.name) == weights):
            number += 1
            source = open_frames(video.frames[0].parent)
            shown = [file for file in map(video.mask_path, video.labelled) if file and read_small_mask(file).any()]
            given = find_masks([str(file) for file in shown], source, out)  # PNG files, which are not converted
            output = segmenter.output(source, given, out / video.name)
            if not output.complete:
                _log.info("segmenting %s (video %d of %d)", video.name, number, len(videos))
            segmenter.segment(output)
    write_next(out)
