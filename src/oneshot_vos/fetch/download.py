"""Download of one file from a web server or Google Drive through gdown, resumed after a cut or a kill.

gdown continues its `.part` with a Range and checks that the answer fits; here are patience, room and plain words. A web
server is asked before each attempt what it has: a part of a file that was replaced in between is thrown away.
"""

import errno
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tqdm import tqdm

from oneshot_vos.fetch.disk import on_disk, require_space
from oneshot_vos.fetch.sources import DRIVE
from oneshot_vos.files import write_text

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
        import gdown
    except ImportError as error:
        need = "needs the package gdown, which is not installed; run pip install 'oneshot-vos[fetch]'"
        raise MirrorError(f"{url}: {need}") from error
    best, failures, arrived = 0, 0, 0
    drive = url.startswith(DRIVE)

    def progress(so_far: int, total: int | None) -> None:
        """Move the bar; look at size and room once the server has named the size."""
        nonlocal arrived
        if not arrived and total is not None:
            if size not in (None, total):
                _discard(target)
                raise MirrorError(f"{url}: the server offers {total} bytes; expected {size}")
            require_space(target, total - so_far)
            bar.total = total
        arrived = so_far
        bar.update(so_far - bar.n)

    with on_disk(target), tqdm(desc=title, unit="B", unit_scale=True, mininterval=0.5, leave=False) as bar:
        target.parent.mkdir(parents=True, exist_ok=True)
        while not target.is_file():
            arrived = 0
            try:
                if not drive:
                    _discard_if_replaced(url, target)
                gdown.download(
                    url=url,
                    output=str(target),
                    progress=progress,
                    quiet=True,
                    resume=True,
                    timeout=TIMEOUT,
                    use_cookies=drive,
                )
                if not target.is_file():
                    raise MirrorError(f"{url}: gdown ended without an error and without a file; expected {target}")
            except gdown.exceptions.FileURLRetrievalError as error:
                raise MirrorError(
                    f"{url}: Google Drive did not give the file ({_first_line(error)}); it limits how often a file is "
                    "fetched in a day. Try again tomorrow, or open the address in a browser"
                ) from error
            except (gdown.exceptions.DownloadError, OSError) as error:  # the errors of requests are OSErrors
                if getattr(error, "errno", None) in _OF_DISK:
                    raise
                if getattr(getattr(error, "response", None), "status_code", None) in _REFUSALS:
                    raise MirrorError(f"{url}: {_first_line(error)}; expected the file") from error
                failures = 1 if arrived > best else failures + 1
                best = max(best, arrived)
                if failures > 1 and not arrived and isinstance(error, gdown.exceptions.DownloadError):
                    _discard(target)  # not resumable: the server has another file by now, or takes no ranges
                if failures >= ATTEMPTS:
                    reason = f"{_first_line(error)}; {failures} attempts got no further than byte {best}"
                    raise MirrorError(f"{url}: {reason}. Rerun to resume") from error
                time.sleep(PAUSE * 2 ** (failures - 1))
    _record(target).unlink(missing_ok=True)


def _discard_if_replaced(url: str, target: Path) -> None:
    """Record what the server says of the file; if it said otherwise before, drop what has arrived.

    Refusals are left to the download itself, since some servers answer no HEAD.
    """
    import requests  # comes with gdown

    as_it_is, hooks = {"Accept-Encoding": "identity"}, {"response": _refuse_downgrade}
    response = requests.head(url, allow_redirects=True, timeout=TIMEOUT, headers=as_it_is, hooks=hooks)
    now = json.dumps([response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")])
    record = _record(target)
    if response.ok and not (record.is_file() and record.read_text(encoding="utf-8") == now):
        _discard(target)
        write_text(record, now)


def _refuse_downgrade(response: Any, **_: Any) -> None:
    """Raise `MirrorError` for a redirection from https to http, before it is followed."""
    to = urljoin(response.url, response.headers.get("Location", ""))
    if response.is_redirect and response.url.startswith("https:") and not to.startswith("https:"):
        raise MirrorError(f"{response.url}: the server redirects to {to}; expected an https address")


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _discard(target: Path) -> None:
    for part in [*target.parent.glob(f"{target.name}*.part"), _record(target)]:
        part.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".:") for line in str(error).splitlines() if line.strip()), type(error).__name__)
