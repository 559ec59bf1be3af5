"""How a network is trained on the very videos that it is to segment: every value, and what each follows from."""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch

from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params import Training
from oneshot_vos.registry import resolve, wrong_arguments
from oneshot_vos.videos.images import frame_size, read_frame
from oneshot_vos.videos.masks import object_ids, read_small_mask
from oneshot_vos.videos.video import Video

_CROPS = {"cpu": 160, "cuda": 384}  # largest, by device
_RATE, _OFFICIAL_RATE = 1.0e-4, 1.0e-5  # the published weights have settled at the latter
_OBJECTS = 2  # per clip at most
_HARDEST = {"start": 0, "end": 0, "top_p": 0.3}  # of the losses over all pixels: as a training ends
_SIDE = 160  # pixels of the longer side that flow is computed at
_PAIRS = 3  # neighbouring frames looked at, per video
_SHARE = 0.5  # of its own size, that an object may move between two frames of a clip
_FARTHEST = 10


def choose_recipe(
    videos: Sequence[Video], network: str, arguments: Mapping[str, Any], device: torch.device, iterations: int
) -> Training:
    """The recipe for these videos.

    The rate stays as it is after a short rise, and no other value depends on `iterations`: a training that is stopped
    early is a training of fewer iterations.
    """
    spec = NETWORKS[network]
    loss = {} if wrong_arguments(resolve(spec.loss), _HARDEST) else dict(_HARDEST)
    objects = max(len(object_ids(read_small_mask(mask))) for video in videos for mask in video.masks.values())
    values = {
        "iterations": iterations,
        "batch_size": 4,
        "accumulation": 1,
        "frames": 3,
        "sampler": "steps",
        "crop": _crop(videos, device),
        "objects": min(_OBJECTS, objects),
        "workers": 0 if (os.cpu_count() or 1) <= 2 else 2,
        "precision": "auto",
        "transforms": "composed",
        "augmentation": network if network in CLIP_RECIPES else "stcn",
        "clips": {
            "affine_first": False,
            "affine_until": None,
            "interpolation": "bicubic",
            "first_masks": "soft",
            "merge": 0.0,
            "short_videos": "repeat",
        },
        "single_object": False,
        "optimiser": {
            "name": "adamw",
            "epsilon": 1.0e-8,
            "learning_rate": _RATE if arguments else _OFFICIAL_RATE,
            "weight_decay": 0.01,
            "clip": 2.0,
        },
        "schedule": {"name": "multistep", "milestones": [], "factor": 0.1, "warmup": 10},
        "loss": loss,
        "max_skip": {"values": [frame_distance(videos)], "at": [0.0]},
        "handover": "soft",
        "memory_frames": 3,
        "deep_update": 0.2,
        "checkpoint_every": 20,
        "log_every": 10,
    }
    return Training.model_validate(values)


def _crop(videos: Sequence[Video], device: torch.device) -> int:
    """Pixels: the shorter side of the smallest video, a multiple of 16, within what the device does in time."""
    shortest = min(min(frame_size(video.frames[0])) for video in videos)
    return max(16, min(_CROPS.get(device.type, _CROPS["cpu"]), shortest) // 16 * 16)


def frame_distance(videos: Sequence[Video]) -> int:
    """The largest distance between neighbouring frames of a clip, from 1 to 10: a median over the videos.

    Of each, it is that at which the median pixel of the objects in the first mask has moved by half of their size (the
    root of their area), by dense optical flow (Farnebäck, SCIA 2003) between the frames next to that mask.
    """
    return int(np.median([_of_video(video) for video in videos]))


def _of_video(video: Video) -> float:
    first = video.first_mask
    after = len(video) - 1 - first >= first
    step = 1 if after else -1
    places = [t for t in range(first, first + step * (_PAIRS + 1), step) if 0 <= t < len(video)]
    shown = read_small_mask(video.masks[video.stem(first)]) > 0
    if len(places) < 2 or not shown.any():
        return 1.0
    scale = min(1.0, _SIDE / max(shown.shape))
    size = (max(1, round(shown.shape[1] * scale)), max(1, round(shown.shape[0] * scale)))
    small = cv2.resize(shown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    extent = np.sqrt(max(small.sum(), 1))
    grey = [_grey(video, t, size) for t in places]
    moved = [_flow(one, other)[small] for one, other in pairwise(grey)]
    speed = float(np.median(np.concatenate(moved))) if small.any() else 0.0
    return float(np.clip(_SHARE * extent / max(speed, 1e-3), 1, _FARTHEST))


def _grey(video: Video, t: int, size: tuple[int, int]) -> np.ndarray:
    picture = cv2.resize(read_frame(video.frames[t]), size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)  # noise would look like motion


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pixels that every pixel moves: [H, W]."""
    field = cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 4, 15, 3, 5, 1.1, 0)  # type: ignore[call-overload]
    return np.asarray(np.linalg.norm(field, axis=2))
