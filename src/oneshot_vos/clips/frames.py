"""Reading the frames of clips, many times over."""

import io
from pathlib import Path

import cv2
import numpy as np

from oneshot_vos.videos.images import ORIENTATION_TAG, decoding, open_image, read_frame

_AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def read_frame_quickly(path: Path) -> np.ndarray:
    """`read_frame`, with plain JPEG files decoded by OpenCV, in two thirds of the time.

    Both libraries decode with libjpeg-turbo, so the pixels are equal where their versions are; a frame that must be
    the same everywhere is read with `read_frame`. Anything but a complete, upright RGB JPEG is left to `read_frame`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return read_frame(path)
    if not content.startswith(b"\xff\xd8") or not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        return read_frame(path)
    with decoding(path, "a complete JPEG image"), open_image(io.BytesIO(content), path) as image:
        plain = image.mode == "RGB" and image.getexif().get(ORIENTATION_TAG, 1) == 1
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED) if plain else None
    return read_frame(path) if decoded is None else decoded
