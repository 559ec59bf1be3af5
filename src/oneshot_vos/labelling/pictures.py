"""Frames as pictures for the page: decoded when they are asked for, reduced, and kept for a while."""

import threading
from functools import lru_cache

import cv2
import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frames import FrameSource

SHORT_SIDE = 1600  # pixels; more than a screen shows
_QUALITY = 90
_BLOCK = 8  # frames of a file that are decoded together: the next ones are wanted soon, and seeking is slow
_KEPT = 128  # frames, about 128 MiB where they are as large as can be


class Pictures:
    """The frames of one video as JPEG; the last ones that were asked for are kept."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._places = {name: t for t, name in enumerate(source.names)}
        self._block = 1 if source.path.is_dir() else _BLOCK
        self._encoded = lru_cache(_KEPT // self._block)(self._encode)
        self._lock = threading.Lock()

    def jpeg(self, frame: str) -> bytes:
        """The frame of that name, its shorter side at most `SHORT_SIDE` pixels. Raises `UserError` if unreadable."""
        if frame not in self._places:
            raise UserError(f"{self._source.path} has no frame '{frame}'")
        block, place = divmod(self._places[frame], self._block)
        with self._lock:
            return self._encoded(block)[place]

    def _encode(self, block: int) -> list[bytes]:
        start = block * self._block
        return [_jpeg(frame) for frame in self._source.read(range(start, min(start + self._block, len(self._places))))]


def _jpeg(frame: np.ndarray) -> bytes:
    shorter = min(frame.shape[:2])
    if shorter > SHORT_SIDE:
        size = (round(frame.shape[1] * SHORT_SIDE / shorter), round(frame.shape[0] * SHORT_SIDE / shorter))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(content).tobytes()
