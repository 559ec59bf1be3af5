"""Download of one file over HTTP, which survives cut connections, killed processes and servers that misbehave.

The bytes go to `<name>.part`; beside it, `<name>.part.json` says what they are a part of (address, size, ETag,
Last-Modified). To go on, the end of the part is asked for once more and compared, so that a server which counts
differently, or has another file by now, is noticed even where it says nothing about it.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from oneshot_vos.fetch.transfer import MirrorError, Patience, discard, require_space, written
from oneshot_vos.files import write_json

OVERLAP = 4096  # bytes at the end of a part that are fetched again and compared
_BLOCK = 1 << 18
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0


class _CutError(Exception):
    """The transfer ended early; another try may go on. The text is a clause, a second argument seconds to wait."""


class _ChangedError(_CutError):
    """What was fetched so far does not belong to the file on the server; another try begins anew."""


@dataclass(frozen=True)
class _Remote:
    """What the server said of the file."""

    url: str
    size: int | None
    etag: str | None
    last_modified: str | None

    @property
    def validator(self) -> str | None:
        """For If-Range, which takes strong validators only."""
        return self.etag if self.etag is not None and not self.etag.startswith("W/") else self.last_modified


def download(url: str, part: Path, *, size: int | None, title: str, patience: Patience) -> None:
    """Fetch `url` into `part`, going on where an earlier call for the same address stopped.

    `size` is the published number of bytes, if any. Returns when the file is there in full, as far as the server says
    how long it is. Raises `MirrorError` when this server cannot give it, and `UserError` when the disk cannot take it;
    what has arrived stays for the next time.
    """
    best, failures, reason = -1, 0, ""
    while failures < patience.attempts:
        try:
            _attempt(url, part, size, title, patience.timeout)
        except (_CutError, http.client.HTTPException, OSError) as error:
            reason = _said(error)
            if isinstance(error, _ChangedError):
                discard(part)
            length = part.stat().st_size if part.exists() else 0
            failures = 1 if length > best else failures + 1
            best = max(best, length)
            if failures < patience.attempts:
                time.sleep(_pause(error, failures, patience.pause))
        else:
            return
    raise MirrorError(f"{url}: {reason}, {patience.attempts} times without getting further than byte {best}")


def belongs(part: Path, url: str) -> bool:
    """Whether an earlier call for this address left a part."""
    return _read_state(part, url) is not None


def _attempt(url: str, part: Path, size: int | None, title: str, timeout: float) -> None:
    """One request; returns when the part is complete, raises otherwise."""
    known = _read_state(part, url)
    length = part.stat().st_size if known is not None else 0
    start = max(0, length - OVERLAP)
    if known is not None and known.size == length:
        return
    headers = {"User-Agent": "oneshot-vos", "Accept-Encoding": "identity"}
    if known is not None and start > 0:
        headers["Range"] = f"bytes={start}-"
        if known.validator is not None:
            headers["If-Range"] = known.validator
    with _answer(url, headers, timeout) as response:
        if known is not None and response.status == 206:
            remote = _continued(response.headers, url, known, start)
            if remote is None:
                raise _ChangedError("the file on the server changed while it was fetched")
        elif response.status == 206:
            raise MirrorError(f"{url}: the server sent a range that was not asked for; expected the whole file")
        else:
            remote, start = _described(response.headers, url), 0
        _refuse_wrong(response.headers, remote, size)
        if remote.size is not None:
            require_space(part, remote.size - start)
        _receive(response, part, remote, start, title)


@contextmanager
def _answer(url: str, headers: dict[str, str], timeout: float) -> Iterator[Any]:
    """The response to a request; a status other than 200 or 206 raises."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - addresses come from the table
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(request, timeout=timeout) as response:
            if response.status not in (200, 206):
                raise MirrorError(f"{url}: the server answered {response.status}; expected the file (200)")
            yield response
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # less than we have: not the file we began with
                raise _ChangedError("the server has fewer bytes than were fetched before") from error
            if error.code in _TRANSIENT:
                raise _CutError(f"the server answered {error.code}", error.headers.get("Retry-After")) from error
            raise MirrorError(f"{url}: the server answered {error.code} {error.reason}; expected the file") from error
    except urllib.error.URLError as error:
        raise _CutError(f"no connection ({error.reason})") from error


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise MirrorError(f"{req.full_url}: the server redirects to {newurl}; expected an https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _described(headers: Message, url: str) -> _Remote:
    length = headers.get("Content-Length")
    size = int(length) if length is not None and length.isdigit() else None
    return _Remote(url, size, headers.get("ETag"), headers.get("Last-Modified"))


def _continued(headers: Message, url: str, known: _Remote, start: int) -> _Remote | None:
    """What the server says of the file of which it sends the rest; None if it is not the file of the part."""
    unit, _, rest = headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    first, _, last = span.partition("-")
    if unit != "bytes" or first != str(start) or not last.isdigit():
        raise MirrorError(
            f"{url}: the server was asked for byte {start} and answered with the range "
            f"'{headers.get('Content-Range')}'; expected 'bytes {start}-'"
        )
    size = int(total) if total.isdigit() else known.size
    now = _Remote(url, size, headers.get("ETag"), headers.get("Last-Modified"))
    pairs = ((now.size, known.size), (now.etag, known.etag), (now.last_modified, known.last_modified))
    if any(new is not None and old is not None and new != old for new, old in pairs):
        return None
    return _Remote(url, size if size is not None else known.size, known.etag, known.last_modified)


def _refuse_wrong(headers: Message, remote: _Remote, size: int | None) -> None:
    """Raise for an answer that cannot be the file, before its bytes are fetched."""
    if headers.get("Content-Encoding", "identity") != "identity":
        raise MirrorError(
            f"{remote.url}: the server sent the file encoded as {headers['Content-Encoding']}; expected it as it is"
        )
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise MirrorError(
            f"{remote.url}: the server sent a web page; expected a file. Open the address in a browser: it may want a "
            "login, or the network one"
        )
    if size is not None and remote.size is not None and remote.size != size:
        raise MirrorError(f"{remote.url}: the server offers {remote.size} bytes; expected {size}")


def _receive(response: Any, part: Path, remote: _Remote, start: int, title: str) -> None:
    """Append the body to the part, after comparing what it repeats; `start` is the place of its first byte."""
    if start == 0:
        with written(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b"")
            write_json(_state_file(part), asdict(remote))
    with written(part):
        stream = part.open("rb+")
    with stream:
        stream.seek(start)
        _compare(response, stream.read(OVERLAP))
        with tqdm(
            total=remote.size,
            initial=stream.tell(),
            desc=title,
            unit="B",
            unit_scale=True,
            mininterval=0.5,
            leave=False,
        ) as bar:
            while block := response.read1(_BLOCK):
                with written(part):
                    stream.write(block)
                    stream.flush()
                bar.update(len(block))
        length = stream.tell()
    if remote.size is None:
        write_json(_state_file(part), asdict(remote) | {"size": length})
    elif length < remote.size:
        raise _CutError(f"the connection was cut at byte {length} of {remote.size}")


def _compare(response: Any, repeated: bytes) -> None:
    """Raise unless the body begins with `repeated`, the end of what was fetched before."""
    again = b""
    while len(again) < len(repeated) and (block := response.read1(len(repeated) - len(again))):
        again += block
    if again != repeated[: len(again)]:
        raise _ChangedError("the server sent other bytes than before for the same range")


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: Path, url: str) -> _Remote | None:
    """What the part is a part of; None unless it belongs to this address."""
    try:
        remote = _Remote(**json.loads(_state_file(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return remote if remote.url == url and part.exists() else None


def _said(error: Exception) -> str:
    if isinstance(error, _CutError):
        return str(error.args[0])
    if isinstance(error, TimeoutError):
        return "the server sent nothing for too long"
    return f"the connection broke ({error or type(error).__name__})"


def _pause(error: Exception, failures: int, base: float) -> float:
    """Seconds to wait: what the server asks for, or twice as long after each failure; a minute at most."""
    asked = error.args[1] if isinstance(error, _CutError) and len(error.args) > 1 else None
    seconds = float(asked) if isinstance(asked, str) and asked.isdigit() else base * 2 ** (failures - 1)
    return min(seconds, _LONGEST_PAUSE)
