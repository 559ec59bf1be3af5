"""What the page can ask for: videos, frames, masks, and a network's work on them."""

import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from oneshot_vos.errors import UserError
from oneshot_vos.labelling.gate import Gate
from oneshot_vos.labelling.pictures import Pictures
from oneshot_vos.labelling.propagation import Propagation
from oneshot_vos.labelling.session import OpenVideo, Session
from oneshot_vos.reporting.overlay import COLOURS
from oneshot_vos.reporting.own_results import Suggestion
from oneshot_vos.stages.segment import Segmenter
from oneshot_vos.videos.masks import Ids, decode_mask, object_ids
from oneshot_vos.videos.png import SIGNATURE

STATIC = Path(__file__).with_name("static")
_MEDIA = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SLACK = 64 * 1024  # bytes of a PNG file beyond those of its pixels


class Server:
    """Answers for one session. One network works on one video at a time."""

    def __init__(self, session: Session, segmenter: Segmenter, suggestions: Sequence[Suggestion]) -> None:
        self._session, self._segmenter = session, segmenter
        self._suggestions = suggestions
        self._pictures: dict[str, Pictures] = {}
        self._propagation: Propagation | None = None
        self._lock = threading.Lock()

    def app(self, token: str, port: int) -> Gate:
        """The application, behind its gate."""
        video = "/videos/{video}"
        routes = [
            Route("/", self._static),
            Route("/videos", self._videos),
            Route(video, self._video),
            Route(f"{video}/frames/{{frame}}", self._frame),
            Route(f"{video}/masks/{{frame}}", self._mask),
            Route(f"{video}/masks/{{frame}}", self._save, methods=["PUT"]),
            Route(f"{video}/propagation", self._status),
            Route(f"{video}/propagation", self._start, methods=["POST"]),
            Route(f"{video}/propagation", self._cancel, methods=["DELETE"]),
            Route("/{file}", self._static),
        ]
        handlers: dict[Any, Any] = {
            UserError: lambda _, error: JSONResponse({"error": str(error)}, 422),
            HTTPException: lambda _, error: JSONResponse({"error": error.detail}, error.status_code),
        }
        return Gate(Starlette(routes=routes, exception_handlers=handlers), token, port)

    def close(self) -> None:
        """End what runs in the background."""
        if self._propagation is not None:
            self._propagation.cancel()

    def _static(self, request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        files = {file.name: file for file in STATIC.iterdir()}
        if name not in files:
            raise HTTPException(404, "there is no such page")
        return FileResponse(files[name], media_type=_MEDIA[files[name].suffix])

    def _videos(self, request: Request) -> Response:
        return JSONResponse(
            {
                "path": str(self._session.recordings.path),
                "videos": [{"name": name, "masks": masks} for name, masks in self._session.masks().items()],
                "colours": COLOURS,
                "command": self._session.next_command(),
            }
        )

    def _video(self, request: Request) -> Response:
        video = self._find(request)
        height, width = video.source.size
        return JSONResponse(
            {
                "name": video.entry.name,
                "frames": list(video.source.names),
                "width": width,
                "height": height,
                "folder": str(video.entry.folder),
                "aside": None if video.plain else str(self._session.recordings.aside),
                "objects": video.objects(),
                "suggested": [(each.frame, each.why) for each in self._suggestions if each.video == video.entry.name],
                "given": [video.source.names[t] for t in video.given_as_numbers()],
                "made": [name for name in video.source.names if (video.made / f"{name}.png").exists()],
            }
        )

    def _frame(self, request: Request) -> Response:
        video = self._find(request)
        with self._lock:
            pictures = self._pictures.setdefault(video.entry.name, Pictures(video.source))
        return Response(pictures.jpeg(request.path_params["frame"]), media_type="image/jpeg")

    def _mask(self, request: Request) -> Response:
        video = self._find(request)
        ids, kind = self._session.ids(video, request.path_params["frame"])
        headers = {"Mask-Kind": kind, "Content-Encoding": "deflate"}
        content = b"" if ids is None else np.ascontiguousarray(ids, np.uint8).tobytes()
        return Response(zlib.compress(content, 1), media_type="application/octet-stream", headers=headers)

    async def _save(self, request: Request) -> Response:
        video = await run_in_threadpool(self._find, request)
        height, width = video.source.size
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > width * height + _SLACK:
                raise HTTPException(413, f"a mask of more than {width * height + _SLACK} bytes; expected a smaller one")
        return await run_in_threadpool(self._saved, video, request.path_params["frame"], bytes(content))

    def _saved(self, video: OpenVideo, frame: str, content: bytes) -> Response:
        ids = decode_ids(content, frame, video.source.size)
        place = self._session.save(video, frame, ids)
        return JSONResponse(
            {
                "saved": str(place) if place else None,
                "objects": object_ids(ids),
                "given": [video.source.names[t] for t in video.given_as_numbers()],
            }
        )

    def _status(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not since.isdecimal() or len(since) > 9:
            raise HTTPException(400, "since: expected a number of frames")
        if self._propagation is None:
            return JSONResponse({"state": "none"})
        return JSONResponse(self._propagation.status(int(since)))

    def _start(self, request: Request) -> Response:
        video = self._find(request)
        with self._lock:
            if self._propagation is not None and self._propagation.state == "running":
                busy = self._propagation.video.entry.name
                raise HTTPException(409, f"the network is at work on the video '{busy}'; wait, or cancel it there")
            self._propagation = Propagation(self._segmenter, video)
            self._propagation.start()
        return JSONResponse(self._propagation.status(0))

    def _cancel(self, request: Request) -> Response:
        video = self._find(request)
        if self._propagation is not None and self._propagation.video is video:
            self._propagation.cancel()
        return self._status(request)

    def _find(self, request: Request) -> OpenVideo:
        return self._session.video(request.path_params["video"])


def decode_ids(content: bytes, frame: str, size: tuple[int, int]) -> Ids:
    """The ids of a mask that the page sent: a PNG file of ids, of the frame's size (height, width).

    Raises `UserError` for anything else, before a picture of another size is decoded.
    """
    origin = PurePath(f"the mask of frame '{frame}'")
    if len(content) < 33 or not content.startswith(SIGNATURE) or content[12:16] != b"IHDR":
        raise UserError(f"{origin}: not a PNG file; expected one of object ids")
    width, height = struct.unpack_from(">II", content, 16)
    if (height, width) != size:
        raise UserError(f"{origin}: {width}x{height} pixels; expected {size[1]}x{size[0]}, the size of the frame")
    reading = decode_mask(content, Path(origin))
    if reading.colors is not None or reading.ids.dtype != np.uint8:
        raise UserError(f"{origin}: colours, or ids of 16 bits; expected a palette or grey PNG file of 8 bits")
    return reading.ids
