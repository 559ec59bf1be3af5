"""Train video object segmentation networks from one labelled frame per video.

The names below are the public face; what they need is loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot_vos.evaluation.davis import evaluate_set as score_davis
    from oneshot_vos.inference.tracker import Tracker, load_network
    from oneshot_vos.inference.video import segment_video
    from oneshot_vos.inference_settings import InferenceSettings
    from oneshot_vos.sets.davis import read_davis
    from oneshot_vos.supervision.one_shot import OneShot

    __version__: str

_PLACES = {
    "InferenceSettings": "oneshot_vos.inference_settings:InferenceSettings",
    "OneShot": "oneshot_vos.supervision.one_shot:OneShot",
    "Tracker": "oneshot_vos.inference.tracker:Tracker",
    "load_network": "oneshot_vos.inference.tracker:load_network",
    "read_davis": "oneshot_vos.sets.davis:read_davis",
    "score_davis": "oneshot_vos.evaluation.davis:evaluate_set",
    "segment_video": "oneshot_vos.inference.video:segment_video",
}

__all__ = [
    "InferenceSettings",
    "OneShot",
    "Tracker",
    "list_networks",
    "load_network",
    "read_davis",
    "score_davis",
    "segment_video",
]


def list_networks() -> list[str]:
    """The names of the networks that can be trained and run."""
    from oneshot_vos.networks import NETWORKS

    return list(NETWORKS)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("oneshot-vos")
        except PackageNotFoundError:  # a checkout on the path, not installed
            return "unknown"
    if name not in _PLACES:
        raise AttributeError(f"module 'oneshot_vos' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(module), attribute)
