"""Segmenting one video forwards, from some of its own masks: files in, object ids out."""

from collections.abc import Collection, Iterator

import numpy as np
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.inference.given import Given, find_given
from oneshot_vos.inference.walk import Walk
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import suggest
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.video import Video


def segment_video(
    network: Network,
    video: Video,
    settings: InferenceSettings,
    *,
    dtype: torch.dtype = torch.float32,
    required: Collection[str] | None = None,
    given: Given = "first",
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (stem, object ids int32 [H, W] at the frame's own resolution) in time order; see `walk_forwards`."""
    walk = walk_forwards(network, video, settings, dtype=dtype, required=required, given=given)
    yield from ((video.stem(result.frame), result.ids) for result in walk.frames())


def walk_forwards(
    network: Network,
    video: Video,
    settings: InferenceSettings,
    *,
    dtype: torch.dtype = torch.float32,
    required: Collection[str] | None = None,
    given: Given = "first",
) -> Walk:
    """A walk through a video in time order.

    The network is put in evaluation mode. `required`: stems of the frames wanted, None for
    all; a frame that none of them depends on is not read. `given`: which of the video's masks the network is shown;
    the default is the semi-supervised protocol. Frames before the first given mask are background.

    Raises `UserError` for unreadable files, frames that change their size, masks of another size than their frame.
    """
    network.eval()
    wanted = _indices(video, required)
    masks = find_given(video, given, before=max(wanted, default=-1) + 1)
    source = FrameFiles(video.frames, sized_like=min([*wanted, *masks.files], default=0))
    return Walk(network, source, masks, range(len(video)), settings, dtype=dtype, output=wanted)


def _indices(video: Video, stems: Collection[str] | None) -> Collection[int]:
    if stems is None:
        return range(len(video))
    index = {video.stem(t): t for t in range(len(video))}
    for stem in sorted(set(stems) - index.keys()):
        raise UserError(f"video '{video.name}' has no frame '{stem}'; {suggest(stem, sorted(index))}")
    return sorted(index[stem] for stem in set(stems))
