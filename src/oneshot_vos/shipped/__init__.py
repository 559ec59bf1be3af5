"""The network that comes with the package: what is used where nobody names weights. docs/model-card.md describes it."""

from pathlib import Path

WEIGHTS = Path(__file__).with_name("xmem-lite0.safetensors")
SHORT_SIDE = 384  # pixels, as it was scored
_MOST_ENLARGED = 3  # times; more was not tried


def short_side(shorter: int) -> int:
    """Pixels that a shorter side of so many is brought to: small videos are enlarged, see docs/model-card.md."""
    return min(SHORT_SIDE, max(16, _MOST_ENLARGED * shorter))
