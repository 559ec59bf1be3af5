"""How large a frame or mask may be: a small file can claim a size that takes minutes and all memory to decode."""

import os
from pathlib import Path

from oneshot_vos.errors import UserError

VARIABLE = "ONESHOT_VOS_MAX_PIXELS"  # environment: raises the limit
MOST_PIXELS = 2**26  # 8192 x 8192; twice a frame of 8K video


def most_pixels() -> int:
    """Pixels that a frame may have at most."""
    text = os.environ.get(VARIABLE, str(MOST_PIXELS))
    if not text.isdecimal():
        raise UserError(f"{VARIABLE} is '{text}'; expected a whole number of pixels. Mend it, or unset it")
    return int(text)


def require_pixels(path: Path, width: int, height: int) -> None:
    """Raise `UserError` for a frame of more pixels; to be called before it is decoded."""
    if width * height > most_pixels():
        raise UserError(
            f"{path}: {width}x{height} pixels, {width * height} in all; expected at most {most_pixels()} in a frame. "
            f"Make it smaller, or, if it is meant to be so large, set the environment variable "
            f"{VARIABLE}={width * height}"
        )
