"""Stage `labels`: which masks training may use, and how many of all that is."""

import logging
from functools import partial
from pathlib import Path

from oneshot_vos.files import write_json
from oneshot_vos.params import LabelChoice, Params
from oneshot_vos.sets.labels import LabelRatio, at_random, in_time, keep_every, keep_some
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.video import Video

_log = logging.getLogger(__name__)


def run(params: Params, kind: str, sets: Path, out: Path) -> None:
    """Write the labels named `kind`: `out/<set>.json` for every training set and `out/label_ratio.json`.

    Masks are counted over the sets of `data.train`: those that a network has in their place may show the same videos.
    """
    choice, data = params.labels[kind], params.profile.data
    every = {name: _keep(choice, read_index(sets / f"{name}.json"), out, name) for name in data.training_sets}
    ratios = {name: every[name] for name in data.train}
    labelled = sum(ratio["labelled"] for ratio in ratios.values())
    annotated = sum(ratio["annotated"] for ratio in ratios.values())
    write_json(
        out / "label_ratio.json",
        {
            "labelled": labelled,
            "annotated": annotated,
            "ratio": labelled / annotated,
            "per_video": choice.per_video,
            "sets": ratios,
        },
    )
    _log.info("%s: %d of %d masks for training (%.1f %%)", out, labelled, annotated, 100 * labelled / annotated)


def _keep(choice: LabelChoice, videos: list[Video], out: Path, name: str) -> LabelRatio:
    if choice.frames == "every" or choice.per_video is None:
        return keep_every(videos, out, name)
    if choice.seed is not None:
        return keep_some(videos, out, name, choice.per_video, partial(at_random, seed=choice.seed))
    start = 0 if isinstance(choice.frames, str) else choice.frames
    return keep_some(videos, out, name, choice.per_video, partial(in_time, start=start))
