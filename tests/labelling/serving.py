"""The page of `label`, served from a thread for the time of a test, and plain requests to it."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oneshot_vos.labelling.run import Choices, served


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """address: of the page, with its token."""

    address: str
    port: int = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        object.__setattr__(self, "port", parts.port)
        object.__setattr__(self, "token", parts.path.strip("/"))

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Ask for a path as it is written, below the token unless it begins with a slash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = path if path.startswith("/") else f"/{self.token}/{path}"
            connection.request(method, target, body, {name.capitalize(): text for name, text in headers.items()})
            reply = connection.getresponse()
            return Answer(reply.status, reply.msg, reply.read())
        finally:
            connection.close()


@contextmanager
def site(path: Path, weights: Path, *, suggested: Path | None = None) -> Iterator[Site]:
    with served(path, Choices(weights=weights, device="cpu", suggested=suggested)) as (server, listener, address):
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Site(address)
        finally:
            server.should_exit = True
            thread.join()
