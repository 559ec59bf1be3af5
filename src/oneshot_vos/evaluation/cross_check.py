"""Compare every score with the official package davis2017-evaluation, run on the same masks.

The official package is a dependency group of this project, not a requirement: it is only needed here. It reads a
DAVIS 2017 tree, so the masks are laid out as one in a temporary folder, with frames numbered from 0. Single-object
videos (DAVIS 2016) are rewritten as masks of 0 and 1, the one form of them it reads.
"""

import contextlib
import importlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.evaluation.results import SetResult
from oneshot_vos.videos.masks import Ids, inspect_mask, write_mask
from oneshot_vos.videos.scorable import annotated_stems, scored_stems
from oneshot_vos.videos.video import Video

INSTALL = "pip install --no-deps --group official-eval && pip install opencv-python-headless scikit-image scipy tqdm"
COMPARABLE_DECAY = 255  # the official tool counts frames in 8 bits: its decay is wrong for longer clips
_FIELDS = (("M", "mean"), ("R", "recall"), ("D", "decay"))


@dataclass(frozen=True)
class CrossCheck:
    """Outcome: how many numbers were compared, and a line for each that differs in any bit."""

    compared: int
    differences: tuple[str, ...]


def cross_check(videos: Sequence[Video], predictions: Path, result: SetResult) -> CrossCheck:
    """Run the official package on the masks that `result` scores and compare mean, recall and decay of all objects.

    `videos` and `predictions` are those given to `evaluate_set` for `result`, with the standard tolerance. The decay
    of clips with more than 255 scored frames is left out, since the official one is wrong there.
    Raises `UserError` when the package is not installed or stops on the masks.
    """
    evaluation = _official_package()
    with tempfile.TemporaryDirectory(prefix="cross-check-") as folder:
        root, results = Path(folder, "davis"), Path(folder, "results")
        with Predictions(predictions) as opened:
            _write_tree(videos, opened, root, results)
        official = _run(evaluation, root, results)
    return compare(result, official)


def compare(result: SetResult, official: dict[str, dict[str, Any]]) -> CrossCheck:
    """Compare with the dictionary the official package returns: lists by object under J and F, keys M, R, D."""
    rows = [(sequence, index) for sequence in result.sequences for index in range(len(sequence.objects))]
    differences, compared = [], 0
    for measure in ("J", "F"):
        for key, field in _FIELDS:
            theirs = list(official[measure][key])
            if len(theirs) != len(rows):
                return CrossCheck(0, (f"{len(theirs)} objects in the official result, {len(rows)} in ours",))
            for (sequence, index), value in zip(rows, theirs, strict=True):
                if field == "decay" and len(sequence.frames) > COMPARABLE_DECAY:
                    continue
                compared += 1
                scores = sequence.objects[index]
                ours = float(getattr(scores.region if measure == "J" else scores.contour, field))
                if ours != float(value):
                    name = f"{sequence.name}_{index + 1}"
                    differences.append(f"{name} {measure}-{field}: ours {ours!r}, official {float(value)!r}")
    return CrossCheck(compared, tuple(differences))


def _official_package() -> Any:
    try:
        return importlib.import_module("davis2017.evaluation")
    except ImportError as error:
        raise UserError(
            f"cross-check: the official package davis2017-evaluation cannot be imported ({error}); it is needed only "
            f"for this command. Install it from a checkout of this project: {INSTALL}"
        ) from error


def _run(evaluation: Any, root: Path, results: Path) -> dict[str, dict[str, Any]]:
    """The official evaluation's result. It ends the process, with status 0, on masks it does not like."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            judge = evaluation.DAVISEvaluation(davis_root=str(root), task="semi-supervised", gt_set="val")
            outcome: dict[str, dict[str, Any]] = judge.evaluate(str(results))
    except SystemExit as error:
        last = " ".join(output.getvalue().split()[-30:])
        raise UserError(f"cross-check: the official package stopped: {last}") from error
    return outcome


def _write_tree(videos: Sequence[Video], predictions: Predictions, root: Path, results: Path) -> None:
    """Lay out annotations and predictions as the official package reads them."""
    for video in videos:
        scored = set(scored_stems(video))
        # Only counted, never opened: one name per video is enough.
        image = root / "JPEGImages" / "480p" / video.name / "00000.jpg"
        image.parent.mkdir(parents=True)
        image.touch()
        for position, stem in enumerate(annotated_stems(video)):
            name = f"{position:05d}.png"
            _write_ids(root / "Annotations" / "480p" / video.name / name, inspect_mask(video.masks[stem]).ids, video)
            if stem in scored:
                _write_ids(results / video.name / name, predictions.read_mask(video.name, stem).ids, video)
    listing = root / "ImageSets" / "2017" / "val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("".join(f"{video.name}\n" for video in videos), encoding="utf-8")


def _write_ids(path: Path, ids: Ids, video: Video) -> None:
    write_mask(path, ids != 0 if video.single_object else ids)
