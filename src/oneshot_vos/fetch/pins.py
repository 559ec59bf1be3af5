"""What the bytes of a file must be: the published checksum, or the one pinned when it was first used.

`fetch.lock.json` in the root of the data sets holds the pins. Put it under version control to have the same bytes on
every machine.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, one_process
from oneshot_vos.fetch.sources import Source
from oneshot_vos.files import write_json

LOCK_NAME = "fetch.lock.json"
WORK_FOLDER = ".fetch"  # below the root: partial downloads, archives and locks


class Pin(BaseModel):
    """Size in bytes and SHA-256 of a file that was used, and where it came from."""

    size: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: str


class _Pins(BaseModel):
    format: Literal["oneshot-vos fetch 1"] = "oneshot-vos fetch 1"
    files: dict[str, Pin]


def read_pins(root: Path) -> dict[str, Pin]:
    """Pins by the name of the source; a lock file that is not one raises `UserError`."""
    path = root / LOCK_NAME
    if not path.exists():
        return {}
    try:
        with on_disk(path):
            return _Pins.model_validate_json(path.read_bytes()).files
    except ValidationError as error:
        raise UserError(
            f"{path}: not readable ({error.errors()[0]['msg']}); expected what `oneshot-vos fetch` wrote. Restore it, "
            "or delete it: then the next downloads are pinned anew"
        ) from error


def add_pin(root: Path, name: str, pin: Pin) -> None:
    """Remember `pin`; processes that pin at the same time lose nothing."""
    with one_process(root / WORK_FOLDER / "pins.lock", LOCK_NAME):
        pins = read_pins(root) | {name: pin}
        write_json(root / LOCK_NAME, _Pins(files=dict(sorted(pins.items()))).model_dump())


def verified(source: Source, path: Path, root: Path, origin: str) -> Pin:
    """The pin of a file that is the one of `source`; any other raises `UserError`.

    A published checksum comes first, then what is pinned in `root`.
    """
    pin = None if source.checksum else read_pins(root).get(source.name)
    algorithm, _, expected = (source.checksum or f"sha256:{pin.sha256 if pin else ''}").partition(":")
    with on_disk(path):
        found = Pin(size=path.stat().st_size, sha256=_digest(path, "sha256"), source=origin)
        digest = found.sha256 if algorithm == "sha256" else _digest(path, algorithm)
    if expected in ("", digest):
        return found
    known = f"{source.size} bytes with {expected}" if source.size else expected
    why = "as its publisher gives it"
    if pin:
        why = (
            f"which {root / LOCK_NAME} pinned on first use: if the publisher replaced the file, take '{source.name}' "
            "out of it"
        )
    raise UserError(f"{path}: {found.size} bytes with {algorithm.upper()} {digest}; expected {known}, {why}")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
