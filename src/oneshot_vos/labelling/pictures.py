"""Frames as pictures for the page: decoded when they are asked for, reduced, and kept for a while."""

import threading
from collections import OrderedDict

import cv2
import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frames import FrameSource

SHORT_SIDE = 1600  # pixels; more than a screen shows
_QUALITY = 90
_BLOCK = 8  # frames of a file that are decoded together: the next ones are wanted soon, and seeking is slow
_MOST_BYTES = 128 * 2**20


class Pictures:
    """The frames of one video as JPEG; the last ones that were asked for are kept."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._places = {name: t for t, name in enumerate(source.names)}
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def jpeg(self, frame: str) -> bytes:
        """The frame of that name, its shorter side at most `SHORT_SIDE` pixels. Raises `UserError` if unreadable."""
        if frame not in self._places:
            raise UserError(f"{self._source.path} has no frame '{frame}'")
        t = self._places[frame]
        with self._lock:
            if t not in self._kept:
                self._read(t)
            self._kept.move_to_end(t)
            return self._kept[t]

    def _read(self, t: int) -> None:
        wanted = range(t, t + 1)
        if not self._source.path.is_dir():
            start = t - t % _BLOCK
            wanted = range(start, min(start + _BLOCK, len(self._places)))
        for number, frame in zip(wanted, self._source.read(wanted), strict=True):
            content = _encode(frame)
            self._bytes += len(content) - len(self._kept.get(number, b""))
            self._kept[number] = content
        while self._bytes > _MOST_BYTES and next(iter(self._kept)) not in wanted:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def _encode(frame: np.ndarray) -> bytes:
    shorter = min(frame.shape[:2])
    if shorter > SHORT_SIDE:
        size = (round(frame.shape[1] * SHORT_SIDE / shorter), round(frame.shape[0] * SHORT_SIDE / shorter))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(content).tobytes()
