"""Download of one file from a web server or Google Drive through gdown, resumed after a cut or a kill.

gdown continues its `.part` with a Range and checks that the answer fits; here are patience, room and plain words. A web
server is asked before each attempt what it has: a part of a file that was replaced in between is thrown away.
"""

import errno
import importlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tqdm import tqdm

from oneshot_vos.fetch.disk import on_disk, require_space
from oneshot_vos.fetch.sources import DRIVE
from oneshot_vos.files import write_json

ATTEMPTS = 5  # in a row that bring nothing new
TIMEOUT = 60.0  # seconds that a server may be silent
PAUSE = 1.0  # seconds before the second attempt, doubled each time

_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO)
_REFUSALS = frozenset(range(400, 500)) - {408, 416, 425, 429}  # what another attempt does not change


class MirrorError(Exception):
    """One mirror cannot give the file; the text is a sentence that names it. Another mirror may be tried."""


def download(url: str, target: Path, *, size: int | None, title: str) -> None:
    """Fetch `url` to `target`, in a folder for it alone; resumes what an earlier call for it left there.

    `size` is the published number of bytes, if any. Raises `MirrorError` when this mirror cannot give the file, and
    `UserError` when the disk cannot take it; what has arrived stays for the next call.
    """
    try:
        gdown = importlib.import_module("gdown")
    except ImportError as error:
        raise MirrorError(
            f"{url}: needs the package gdown, which is not installed; run pip install 'oneshot-vos[fetch]'"
        ) from error
    best, failures = 0, 0
    with on_disk(target), tqdm(desc=title, unit="B", unit_scale=True, mininterval=0.5, leave=False) as bar:
        target.parent.mkdir(parents=True, exist_ok=True)
        while not target.is_file():
            arrived = _Arrived(url, target, size, bar)
            try:
                if not url.startswith(DRIVE):
                    _discard_if_replaced(url, target)
                _ask(gdown, url, target, arrived)
            except gdown.exceptions.FileURLRetrievalError as error:
                raise MirrorError(
                    f"{url}: Google Drive did not give the file ({_first_line(error)}); it limits how often a file is "
                    "fetched in a day. Try again tomorrow, or open the address in a browser"
                ) from error
            except (gdown.exceptions.DownloadError, OSError) as error:  # the errors of requests are OSErrors
                if isinstance(error, OSError) and error.errno in _OF_DISK:
                    raise
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status in _REFUSALS:
                    raise MirrorError(f"{url}: {_first_line(error)}; expected the file") from error
                failures = 1 if arrived.bytes > best else failures + 1
                best = max(best, arrived.bytes)
                if failures > 1 and not arrived.bytes and isinstance(error, gdown.exceptions.DownloadError):
                    _discard(target)  # not resumable: the server has another file by now, or takes no ranges
                if failures >= ATTEMPTS:
                    reason = f"{_first_line(error)}; {failures} attempts got no further than byte {best}"
                    raise MirrorError(f"{url}: {reason}. Rerun to resume") from error
                time.sleep(PAUSE * 2 ** (failures - 1))
    _record(target).unlink(missing_ok=True)


class _Arrived:
    """Moves the bar, and looks at size and room once the server has named the size."""

    def __init__(self, url: str, target: Path, size: int | None, bar: Any) -> None:
        self.bytes = 0
        self._url, self._target, self._size, self._bar = url, target, size, bar

    def __call__(self, so_far: int, total: int | None) -> None:
        if not self.bytes and total is not None:
            if self._size not in (None, total):
                _discard(self._target)
                raise MirrorError(f"{self._url}: the server offers {total} bytes; expected {self._size}")
            require_space(self._target, total - so_far)
            self._bar.total = total
        self.bytes = so_far
        self._bar.update(so_far - self._bar.n)


def _discard_if_replaced(url: str, target: Path) -> None:
    """Record what the server says of the file; if it said otherwise before, drop what has arrived.

    Refusals are left to the download itself, since some servers answer no HEAD.
    """
    options = {"headers": {"Accept-Encoding": "identity"}, "hooks": {"response": _refuse_downgrade}}
    response = importlib.import_module("requests").head(url, allow_redirects=True, timeout=TIMEOUT, **options)
    if not response.ok:
        return
    now = {name: response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")}
    try:
        before = json.loads(_record(target).read_text(encoding="utf-8"))
        same = all(before[name] in (None, value) or value is None for name, value in now.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        _discard(target)
        write_json(_record(target), now)


def _refuse_downgrade(response: Any, **_: Any) -> None:
    """Raise `MirrorError` for a redirection from https to http, before it is followed."""
    to = urljoin(response.url, response.headers.get("Location", ""))
    if response.is_redirect and response.url.startswith("https:") and not to.startswith("https:"):
        raise MirrorError(f"{response.url}: the server redirects to {to}; expected an https address")


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _ask(gdown: Any, url: str, target: Path, progress: _Arrived) -> None:
    drive = url.startswith(DRIVE)
    place = {"id": url.removeprefix(DRIVE)} if drive else {"url": url}
    gdown.download(
        **place,
        output=str(target),
        quiet=True,
        resume=True,
        timeout=TIMEOUT,
        use_cookies=drive,
        progress=progress,
    )
    if not target.is_file():
        raise MirrorError(f"{url}: gdown ended without an error and without a file; expected {target}")


def _discard(target: Path) -> None:
    for part in target.parent.glob(f"{target.name}*.part"):
        part.unlink()
    _record(target).unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".:") for line in str(error).splitlines() if line.strip()), type(error).__name__)
