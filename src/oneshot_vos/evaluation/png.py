"""Object ids from mask files, quickly: plain PNG files need no image library, all others go through Pillow."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oneshot_vos.errors import UserError
from oneshot_vos.videos.png import decode_plain_png

Ids = NDArray[np.uint8] | NDArray[np.uint16]

ID_MODES = ("P", "L", "1", "I;16")  # Pillow's names
EXPECTED = "expected a PNG whose pixel values are the object ids (palette, grey or 1-bit), as `infer` writes them"


def decode_ids(content: bytes, origin: str) -> Ids:
    """Ids of a mask file's bytes: H x W, uint8, or uint16 for 16-bit grey. `origin` names the file in errors.

    Modes whose values are no ids (RGB, RGBA, ...) and damaged files raise `UserError`.
    """
    ids = decode_plain_png(content)
    return _decode_with_pillow(content, origin) if ids is None else ids


def read_ids(path: Path) -> Ids:
    """Ids of a mask file; see `decode_ids`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}); expected a mask file") from error
    return decode_ids(content, str(path))


def _decode_with_pillow(content: bytes, origin: str) -> Ids:
    from PIL import Image, UnidentifiedImageError  # slow to import, and most sets need it for no file

    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, mode = image.format, image.mode
            pixels = np.asarray(image)
    except UnidentifiedImageError as error:
        raise UserError(f"{origin}: not an image ({len(content)} bytes); {EXPECTED}. Write the mask again") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{origin}: {error}; expected a mask of the size of its frame. Write the mask again") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{origin}: damaged image ({error}); {EXPECTED}. Write the mask again") from error
    if kind != "PNG" or mode not in ID_MODES:
        raise UserError(
            f"{origin}: a {kind} image of mode {mode}, whose values are no object ids; {EXPECTED}. "
            "Convert the masks, or check that the right folder was given"
        )
    return pixels.astype(np.uint8) if mode == "1" else pixels
