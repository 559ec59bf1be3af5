"""The parameters: `params.yaml`, and beside it `config/recipes/<network>.yaml` and `config/profiles/<profile>.yaml`.

A recipe has a network's official values, once; a profile has its data and what differs; a run may differ again. Later
layers go over earlier ones (`layers.py`):

    recipe -> profile.training -> profile.train.all -> profile.train.<network> -> runs.<run>.train

All of it, every profile included, is checked before any work starts, and all findings are reported together, each with
its file (`reading.py`). Nothing heavy is imported here: the command line reads parameters before it knows whether it
needs torch.
"""

from oneshot_vos.params.data import Data, DavisSet, PairsSet, ServerSet, Strict, YouTubeVideos
from oneshot_vos.params.reading import load_params, load_profiles, require_none, show_run
from oneshot_vos.params.schema import (
    PAPER_LABELS,
    FigureChoice,
    LabelChoice,
    Optimiser,
    Params,
    PseudoLabels,
    Run,
    Schedule,
    Training,
)

__all__ = [
    "PAPER_LABELS",
    "Data",
    "DavisSet",
    "FigureChoice",
    "LabelChoice",
    "Optimiser",
    "PairsSet",
    "Params",
    "PseudoLabels",
    "Run",
    "Schedule",
    "ServerSet",
    "Strict",
    "Training",
    "YouTubeVideos",
    "load_params",
    "load_profiles",
    "require_none",
    "show_run",
]
