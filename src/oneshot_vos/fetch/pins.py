"""What the bytes of an archive must be: the published checksum, or the one pinned when it was first used.

`fetch.lock.json` in the root of the data sets holds the pins. Put it under version control to have the same bytes on
every machine.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, one_process
from oneshot_vos.fetch.sources import Source
from oneshot_vos.files import sha256_of, write_json

LOCK_NAME = "fetch.lock.json"
WORK_FOLDER = ".fetch"  # below the root: partial downloads, archives and locks


class Pin(BaseModel):
    """Size in bytes and SHA-256 of an archive that was used, and where it came from."""

    size: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: str


class _Pins(BaseModel):
    format: Literal["oneshot-vos fetch 1"] = "oneshot-vos fetch 1"
    files: dict[str, Pin]


def read_pins(root: Path) -> dict[str, Pin]:
    """Pins by the name of the data set; a lock file that is not one raises `UserError`."""
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


def verified(source: Source, path: Path, pin: Pin | None, origin: str) -> Pin:
    """The pin of a file that is the archive of `source`; any other raises `UserError`. Published numbers come first."""
    with on_disk(path):
        found = Pin(size=path.stat().st_size, sha256=sha256_of(path), source=origin)
    size, sha256 = source.size, source.sha256
    remedy = f"It is not the archive of {source.title}"
    if pin is not None and sha256 is None:
        size, sha256 = pin.size, pin.sha256
        remedy = (
            f"{LOCK_NAME} pinned that on first use: if the publisher replaced the file, take '{source.name}' out of it"
        )
    if (size or found.size, sha256 or found.sha256) != (found.size, found.sha256):
        raise UserError(
            f"{path}: {found.size} bytes with SHA-256 {found.sha256}; expected {size} bytes with {sha256}. {remedy}"
        )
    return found
