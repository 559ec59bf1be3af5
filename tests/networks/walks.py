"""Tiny networks of every kind, a clip for them, and a walk through it as training does it."""

from typing import Any

import torch
from torch import Tensor

from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

_PIXELS_AND_MASKS = {
    f"{part}_{what}": value
    for part in ("pixel", "mask")
    for what, value in (("widths", (8, 12, 16)), ("depths", (1, 1, 1)))
}
_KEYS_AND_VALUES = {
    f"{part}_{what}": value
    for part in ("key", "value")
    for what, value in (("widths", (8, 16, 24)), ("depths", (1, 1, 1)))
}
_DIMS = {"key_dim": 8, "value_dim": 16, "decoder_dims": (16, 12, 8), "norm": "group"}
_TRANSFORMER = {"queries": 4, "transformer_blocks": 2, "heads": 2, "feedforward": 32}
TINY: dict[str, dict[str, Any]] = {
    "stcn": {"key_block": "basic", **_KEYS_AND_VALUES, **_DIMS},
    "xmem": {"key_block": "basic", **_KEYS_AND_VALUES, **_DIMS, "hidden_dim": 4},
    "cutie": {"pixel_block": "basic", **_PIXELS_AND_MASKS, **_DIMS, **_TRANSFORMER},
}
LOSSES: dict[str, dict[str, Any]] = {"stcn": {}, "xmem": {}, "cutie": {"points": 200}}


def tiny(name: str, **changes: Any) -> Any:
    """The same network every time."""
    torch.manual_seed(0)
    return build_network(name, {**TINY[name], **changes})


def clip(batch: int, objects: int, *, frames: int = 3, height: int = 48, width: int = 64):
    """Frames [B, T, 3, H, W] of noise, classes [B, H, W] in squares of 8 pixels, and masks [B, K, H, W] of these."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, objects + 1, (batch, height // 8, width // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    masks = torch.stack([(labels == k).float() for k in range(1, objects + 1)], 1)
    return torch.randn(batch, frames, 3, height, width, generator=generator), labels, masks


def walk(network: Any, frames: Tensor, masks: Tensor, present: Tensor | None = None) -> list[Prediction]:
    """Predict frames one after another from the masks of the first; present: all objects where nothing else is said."""
    order = range(frames.shape[1])
    present = torch.ones(masks.shape[:2]) if present is None else present
    features = encode_clip(network, frames, learn=order)
    generators = Generators.of(0, 0, range(len(present)))
    return propagate(network, features, order, masks, present, RolloutOptions(None, 1.0), generators)


def loss_of(name: str, predictions: list[Prediction], labels: Tensor, present: Tensor | None = None) -> Tensor:
    """The network's loss of predictions against the same classes [B, H, W] in every frame."""
    present = torch.ones(len(labels), predictions[0].masks.shape[1]) if present is None else present
    generators = Generators.of(0, 0, range(len(present)))
    targets = [labels] * len(predictions)
    total: Tensor = build_loss(name, LOSSES[name])(predictions, targets, present, 0, generators)["total"]
    return total
