"""A real web server on 127.0.0.1 that misbehaves on demand, and a small data set to be fetched from it."""

import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from oneshot_vos.fetch.sources import Count, Part, Source


@dataclass
class Fault:
    """What one request meets. Defaults are an orderly answer."""

    status: int | None = None  # answer this and no body
    cut_after: int | None = None  # close the connection after so many bytes of the body
    ignore_range: bool = False
    before: Callable[[], object] = lambda: None  # is called before the answer
    silent: threading.Event | None = None  # send half of the body, then wait for this


class Site:
    """One file at every address. Requests use up `faults` in order; then the site behaves."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.last_modified: str | None = None
        self.head_status = 200
        self.faults: list[Fault] = []
        self.ranges: list[str | None] = []  # one entry per request
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_HEAD(self) -> None:
        self.send_response(self.site.head_status)
        self.send_header("Content-Length", str(len(self.site.content)))
        self._send_validators()
        self.end_headers()

    def _send_validators(self) -> None:
        for name, value in (("ETag", self.site.etag), ("Last-Modified", self.site.last_modified)):
            if value is not None:
                self.send_header(name, value)

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range")
        fault = site.faults.pop(0) if site.faults else Fault()
        site.ranges.append(asked)
        fault.before()
        if fault.status is not None:
            self.send_response(fault.status)
            self.end_headers()
            return
        unchanged = self.headers.get("If-Range", site.etag) == site.etag
        partial = asked is not None and unchanged and not fault.ignore_range
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and partial else 0
        body = site.content[start:]
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(len(body)))
        self._send_validators()
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        self.end_headers()
        half = len(body) // 2 if fault.silent else 0
        with suppress(OSError):  # the client may go away
            self.wfile.write(body[:half])
            if fault.silent:
                fault.silent.wait(60)
            self.wfile.write(body[half : fault.cut_after])

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def served(content: bytes) -> Iterator[Site]:
    """A site on a free port of 127.0.0.1, for the time of the block."""
    site = Site(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}/data.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


# A set of two videos; the archive is longer than two of the blocks that a cut may lose (512 kB).
VIDEOS = {
    "top/JPEGImages/bear/00000.jpg": bytes(range(256)) * 8000,
    "top/JPEGImages/bear/00001.jpg": b"second" * 4000,
    "top/JPEGImages/camel/00000.jpg": b"camel" * 9000,
    "top/list.txt": b"bear\ncamel\n",
}


def small_source(*mirrors: str, **changes: object) -> Source:
    """A data set of `VIDEOS` at some addresses."""
    counts = Count("videos", "JPEGImages/*/", 2), Count("frames", "JPEGImages/*/*.jpg", 3)
    values: dict[str, object] = {
        "name": "small",
        "title": "a small set",
        "file_name": "small.zip",
        "mirrors": mirrors,
        "parts": (Part("sets/small", ("JPEGImages", "list.txt"), counts),),
        "licence": "none",
        "page": "https://example.org/small",
        "groups": (),
    }
    return Source(**{**values, **changes})  # type: ignore[arg-type]


def write_tree(folder: Path, members: Mapping[str, bytes]) -> None:
    for name, content in members.items():
        path = folder / name.removeprefix("top/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def is_whole(root: Path) -> bool:
    folder = root / "sets/small"
    found = {f"top/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()} == VIDEOS


def leftovers(root: Path) -> list[str]:
    """Files below the root besides the set, the pins and the locks of processes."""
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    known = ("sets/small/", "fetch.lock.json")
    return [name for name in files if not name.startswith(known) and not name.endswith(".lock")]
