"""Where a tracker stands, as a file: so that hours of video need not be gone through twice after an interruption.

A snapshot holds tensors and plain values alone, and fits the version of the package that wrote it.
"""

import logging
from pathlib import Path

import torch

from oneshot_vos import __version__
from oneshot_vos.files import replacing
from oneshot_vos.inference.propagate import ObjectTracker
from oneshot_vos.networks.common.weights import UnreadableTensorsError, read_tensors

_log = logging.getLogger(__name__)


def save_tracker(path: Path, tracker: ObjectTracker, position: int) -> None:
    """Write a tracker that has passed `position` frames, atomically."""
    with replacing(path) as temporary:
        torch.save({"version": __version__, "position": position, "tracker": tracker.state_dict()}, temporary)


def load_tracker(path: Path, tracker: ObjectTracker, device: torch.device, frames: int) -> int | None:
    """Let `tracker`, made with the same arguments, go where the one that was saved stood, and return its position.

    frames: of the whole way.

    None, with a line in the log, if the file cannot be read or is of another version; no file is no news. `tracker` is
    then as it was: the frames are gone through again, with the same result.
    """
    before = tracker.state_dict()
    try:
        content = read_tensors(path, device)
        if content["version"] != __version__:
            raise ValueError(f"written by version {content['version']} of the program, this is {__version__}")
        if content["position"] not in range(frames + 1):
            raise ValueError(f"{content['position']} frames of {frames} passed")
        tracker.load_state_dict(content["tracker"])
        return int(content["position"])
    except FileNotFoundError:
        return None
    except (UnreadableTensorsError, ValueError, LookupError, TypeError, AttributeError) as error:
        tracker.load_state_dict(before)
        _log.info("%s: not usable (%s); this direction of the video is segmented again", path, error)
        return None
