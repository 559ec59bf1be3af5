"""A real web server on 127.0.0.1 that misbehaves on demand, and archives to be fetched from it."""

import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from oneshot_vos.fetch.obtain import fetch
from oneshot_vos.fetch.sources import Count, Drive, Part, Source, Web
from oneshot_vos.fetch.transfer import Patience

QUICK = Patience(attempts=3, timeout=30.0, pause=0.01)


@dataclass
class Fault:
    """What one request meets. Defaults are an orderly answer."""

    status: int | None = None  # answer this and no body
    headers: Mapping[str, str] = field(default_factory=dict)  # replace or add headers of the answer
    cut_after: int | None = None  # close the connection after so many bytes of the body
    announce: int | None = None  # Content-Length, whatever is sent
    ignore_range: bool = False
    shift: int = 0  # answer a range from another place than asked for, and say so
    body: bytes | None = None  # send this instead of the file
    before: Callable[[], None] | None = None  # is called before the answer
    chunked: bool = False
    silent: float = 0.0  # seconds of silence before the body's second half


class Site:
    """One file at every address. Requests use up `faults` in order; then the site behaves."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.last_modified: str | None = None
        self.faults: list[Fault] = []
        self.requests: list[dict[str, str]] = []
        self.sent = 0  # bytes of bodies
        self.url = ""
        self.lock = threading.Lock()

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.site
        with site.lock:
            site.requests.append(dict(self.headers))
            fault = site.faults.pop(0) if site.faults else Fault()
        if fault.before is not None:
            fault.before()
        self.close_connection = True
        if fault.status is not None:
            self.send_response(fault.status)
            for name, value in {"Content-Length": "0", **fault.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            return
        content = fault.body if fault.body is not None else site.content
        start = 0 if fault.ignore_range else self._asked(len(content))
        if start is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        partial = start > 0
        start += fault.shift
        body = content[start:]
        headers = {"Content-Type": "application/zip", "Content-Length": str(len(body)), "Connection": "close"}
        if site.etag is not None:
            headers["ETag"] = site.etag
        if site.last_modified is not None:
            headers["Last-Modified"] = site.last_modified
        if partial:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault.announce is not None:
            headers["Content-Length"] = str(fault.announce)
        if fault.chunked:
            del headers["Content-Length"]
            headers["Transfer-Encoding"] = "chunked"
        headers.update(fault.headers)
        self.send_response(206 if partial else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body[: fault.cut_after], fault)

    def _asked(self, length: int) -> int | None:
        """First byte of the answer; None if there is none. A range for another version counts as none asked."""
        asked, validator = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or (validator is not None and validator not in (self.site.etag, self.site.last_modified)):
            return 0
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        return start if start < length else None

    def _send(self, body: bytes, fault: Fault) -> None:
        try:
            if fault.chunked:
                for block in (body[: len(body) // 2], body[len(body) // 2 :]):
                    self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
                if fault.cut_after is None:
                    self.wfile.write(b"0\r\n\r\n")
                return
            half = len(body) // 2 if fault.silent else len(body)
            self.wfile.write(body[:half])
            self.wfile.flush()
            if fault.silent:
                threading.Event().wait(fault.silent)
                self.wfile.write(body[half:])
            with self.site.lock:
                self.site.sent += len(body)
        except OSError:
            pass  # the client went away

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def served(content: bytes) -> Iterator[Site]:
    """A site on a free port of 127.0.0.1, for the time of the block."""
    site = Site(content)
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}/data.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
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


def zipped_folder(folder: Path, top: str) -> bytes:
    """A folder as an archive, its files below `top`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return zipped({f"{top}{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files})


def tarred(members: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


# A set of two videos, with filling that makes the archive longer than what a resumed download repeats.
VIDEOS = {
    "top/JPEGImages/bear/00000.jpg": bytes(range(256)) * 120,
    "top/JPEGImages/bear/00001.jpg": b"second" * 4000,
    "top/JPEGImages/camel/00000.jpg": b"camel" * 9000,
    "top/list.txt": b"bear\ncamel\n",
}


def small_source(*urls: str, **changes: object) -> Source:
    """A data set of `VIDEOS` at some addresses (`drive:ID` for Google Drive)."""
    part = Part(
        "sets/small",
        ("JPEGImages", "list.txt"),
        counts=(Count("JPEGImages", "videos", 2), Count("JPEGImages", "frames", 3, ".jpg")),
    )
    values: dict[str, object] = {
        "name": "small",
        "title": "a small set",
        "file_name": "small.zip",
        "mirrors": tuple(Drive(url[6:]) if url.startswith("drive:") else Web(url) for url in urls),
        "parts": (part,),
        "licence": "none",
        "page": "https://example.org/small",
    }
    return Source(**{**values, **changes})  # type: ignore[arg-type]


def obtain(source: Source, root: Path, **options: object) -> list[str]:
    said: list[str] = []
    fetch(source, root, said.append, patience=QUICK, **options)  # type: ignore[arg-type]
    return said


def is_whole(root: Path) -> bool:
    files = {
        f"top/{path.relative_to(root / 'sets/small').as_posix()}": path.read_bytes()
        for path in (root / "sets/small").rglob("*")
        if path.is_file()
    }
    return files == VIDEOS


def leftovers(root: Path) -> list[str]:
    """Whatever lies below the root besides the set, the lock file and the locks of processes."""
    files = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    known = ("sets/small/", "fetch.lock.json")
    return [
        name
        for name in files
        if not name.startswith(known) and not name.endswith(".lock") and name not in ("sets", "sets/small", ".fetch")
    ]


def write_tree(folder: Path, members: dict[str, bytes]) -> None:
    for name, content in members.items():
        path = folder / name.removeprefix("top/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
