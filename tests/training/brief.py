"""Brief trainings: their values, and what breaks one off."""

from typing import Any

import pytest
import torch

from oneshot_vos.params import Training

# The block `clips` of a recipe, as smoke and mini have it.
CLIPS = {
    "affine_first": False,
    "affine_until": None,
    "interpolation": "bicubic",
    "first_masks": "soft",
    "merge": 0.0,
    "short_videos": "repeat",
}


def recipe(**changes: Any) -> Training:
    values: dict[str, Any] = {
        "iterations": 6,
        "batch_size": 2,
        "accumulation": 1,
        "frames": 3,
        "crop": 32,
        "objects": 1,
        "workers": 0,
        "precision": "float32",
        "transforms": "composed",
        "sampler": "steps",
        "augmentation": "stcn",
        "clips": CLIPS,
        "single_object": False,
        "optimiser": {"name": "adamw", "epsilon": 1e-8, "learning_rate": 1e-3, "weight_decay": 0.01, "clip": 1.0},
        "schedule": {"name": "cosine", "milestones": [], "factor": 0.1, "warmup": 2},
        "loss": {"start": 1, "end": 4, "top_p": 0.5},
        "max_skip": None,
        "handover": "soft",
        "memory_frames": None,
        "deep_update": 0.0,
        "checkpoint_every": 2,
        "log_every": 1,
    }
    return Training.model_validate({**values, **changes})


def raise_in_step(
    patch: pytest.MonkeyPatch, optimiser: type[torch.optim.Optimizer], number: int, error: type[BaseException]
) -> None:
    """Raise when an optimiser of this kind has made its step of this number, from 1."""
    step, made = optimiser.step, 0

    def broken_off(*arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        result = step(*arguments, **named)
        if made == number:
            raise error
        return result

    patch.setattr(optimiser, "step", broken_off)
