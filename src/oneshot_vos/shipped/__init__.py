"""The network that comes with the package: what is used where nobody names weights. docs/model-card.md describes it."""

from pathlib import Path

WEIGHTS = Path(__file__).with_name("xmem-lite0.safetensors")
# Pixels that the shorter side of a larger video is reduced to: as it was scored.
SHORT_SIDE = 384
