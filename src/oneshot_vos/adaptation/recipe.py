"""How a network is trained on the very videos that it is to segment: every value, and what each follows from."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from oneshot_vos.adaptation.motion import frame_distance
from oneshot_vos.clips.transforms import CLIP_RECIPES
from oneshot_vos.networks import NETWORKS
from oneshot_vos.params import Training
from oneshot_vos.registry import resolve, wrong_arguments
from oneshot_vos.videos.images import frame_size
from oneshot_vos.videos.masks import object_ids, read_small_mask
from oneshot_vos.videos.video import Video

_CROPS = {"cpu": 160, "cuda": 384}  # largest, by device
_RATE, _OFFICIAL_RATE = 1.0e-4, 1.0e-5  # the published weights have settled at the latter
_OBJECTS = 2  # per clip at most
_HARDEST = {"start": 0, "end": 0, "top_p": 0.3}  # of the losses over all pixels: as a training ends


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
