"""Stage `labels`: which masks training may use, and how many of all that is."""

import logging
from pathlib import Path

from oneshot_vos.files import write_json
from oneshot_vos.params import Labels, Params
from oneshot_vos.sets.labels import keep_every, keep_first
from oneshot_vos.videos.index import read_index

_log = logging.getLogger(__name__)


def run(params: Params, kind: Labels, sets: Path, out: Path) -> None:
    """Write `out/<set>.json` for every training set and `out/label_ratio.json`.

    Masks are counted over the sets of `data.train`: those that a network has in their place may show the same videos.
    """
    keep = {"first": keep_first, "every": keep_every}[kind]
    data = params.profile.data
    every = {name: keep(read_index(sets / f"{name}.json"), out, name) for name in data.training_sets}
    ratios = {name: every[name] for name in data.train}
    labelled = sum(ratio["labelled"] for ratio in ratios.values())
    annotated = sum(ratio["annotated"] for ratio in ratios.values())
    write_json(
        out / "label_ratio.json",
        {
            "labelled": labelled,
            "annotated": annotated,
            "ratio": labelled / annotated,
            "sets": ratios,
        },
    )
    _log.info("%s: %d of %d masks for training (%.1f %%)", out, labelled, annotated, 100 * labelled / annotated)
