"""Command `label`: serves the page on this machine alone until it is interrupted."""

import logging
import secrets
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from starlette.types import ASGIApp

from oneshot_vos.errors import UserError
from oneshot_vos.labelling.recordings import find_recordings
from oneshot_vos.labelling.server import Server
from oneshot_vos.labelling.session import Session
from oneshot_vos.reporting.own_results import read_suggestions
from oneshot_vos.stages.segment import Segmenter
from oneshot_vos.stages.segment_options import Options

HOST = "127.0.0.1"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What may be chosen. masks: folder of a single video; suggested: a CSV file of frames that deserve a mask.

    weights: None for the network that ships; network, device: None as these want it; port: 0 for any that is free.
    """

    masks: Path | None = None
    suggested: Path | None = None
    weights: Path | None = None
    network: str | None = None
    device: str | None = None
    port: int = 0


def run(path: Path, choices: Choices, *, browser: bool) -> None:
    """Let masks be drawn for `path`, recordings or a single video, until Ctrl-C. browser: open the page in one."""
    with served(path, choices) as (server, listener, address):
        _log.info("open %s\n(this address holds a key: whoever has it can draw; Ctrl-C ends)", address)
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with suppress(KeyboardInterrupt):  # which does not come where the shell lets its background ignore Ctrl-C
            server.run(sockets=[listener])
        _log.info("ended; what was saved is kept")


@contextmanager
def served(path: Path, choices: Choices) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    """A server that is ready to run, the open socket to run it on, and the address of its page.

    The address is known, and taken, before the server runs. `should_exit` of the server ends it, from any thread.
    """
    with TemporaryDirectory(prefix="label-") as scratch, socket.socket() as listener:
        recordings = find_recordings(path, choices.masks, Path(scratch))
        suggestions = read_suggestions(choices.suggested) if choices.suggested else []
        segmenter = Segmenter(choices.weights, choices.network, Options(device=choices.device))
        server = Server(Session(recordings, Path(scratch)), segmenter, suggestions)
        _bind(listener, choices.port)
        token, number = secrets.token_urlsafe(32), listener.getsockname()[1]
        try:
            yield uvicorn.Server(_config(server.app(token, number))), listener, f"http://{HOST}:{number}/{token}/"
        finally:
            server.close()


def _config(app: ASGIApp) -> uvicorn.Config:
    # No access log: it would hold the token. Whatever a browser keeps open is cut after a second.
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1,
        proxy_headers=False, server_header=False,
    )  # fmt: skip


def _bind(listener: socket.socket, port: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        raise UserError(
            f"--port {port}: cannot be used ({error.strerror or error}); expected a free port. Leave --port out"
        ) from error
    listener.listen()
