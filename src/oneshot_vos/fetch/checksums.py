"""What the bytes of a file must be: the published checksum, or the one that was pinned when the file was first used.

`fetch.lock.json` in the root of the data sets remembers every archive that was unpacked. Put it under version control
to have the same bytes on every machine.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.locks import locked
from oneshot_vos.fetch.sources import Source
from oneshot_vos.files import read_json, write_json

LOCK_NAME = "fetch.lock.json"
WORK_FOLDER = ".fetch"  # below the root: partial downloads, archives and locks

_FORMAT = "oneshot-vos fetch 1"
_EXPECTED = "what `oneshot-vos fetch` wrote, with the SHA-256 of every archive"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Pin:
    """Size in bytes and SHA-256 of an archive that was used, and where it came from."""

    size: int
    sha256: str
    source: str


def read_pins(root: Path) -> dict[str, Pin]:
    """Pins by the name of the data set; a lock file that is not one raises `UserError`."""
    path = root / LOCK_NAME
    if not path.exists():
        return {}
    content = read_json(path, _EXPECTED)
    try:
        if content["format"] != _FORMAT:
            raise KeyError(content["format"])
        return {name: _pin(entry) for name, entry in content["files"].items()}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: not readable ({error}); expected {_EXPECTED}. Restore it, or delete it: then the next downloads "
            "are pinned anew"
        ) from error


def _pin(entry: dict[str, Any]) -> Pin:
    if not isinstance(entry["size"], int) or len(entry["sha256"]) != 64:
        raise ValueError(f"size {entry['size']!r}, sha256 {entry['sha256']!r}")
    return Pin(entry["size"], entry["sha256"], entry["source"])


def add_pin(root: Path, name: str, pin: Pin) -> None:
    """Remember `pin`; processes that pin at the same time lose nothing."""
    with locked(root / WORK_FOLDER / "pins.lock"):
        pins = read_pins(root)
        if pins.get(name) == pin:
            return
        pins[name] = pin
        files = {each: asdict(pins[each]) for each in sorted(pins)}
        write_json(root / LOCK_NAME, {"format": _FORMAT, "files": files})


def hashed(path: Path, title: str) -> str:
    """SHA-256 of a file, with a progress bar: archives have gigabytes."""
    digest = hashlib.sha256()
    try:
        with (
            path.open("rb") as stream,
            tqdm(total=path.stat().st_size, desc=f"check {title}", unit="B", unit_scale=True, leave=False) as bar,
        ):
            while block := stream.read(_BLOCK):
                digest.update(block)
                bar.update(len(block))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); expected a file on a sound disk, with the right to "
            "read it. Copy it anew, or change its rights"
        ) from error
    return digest.hexdigest()


def mismatch(source: Source, path: Path, sha256: str, pin: Pin | None) -> str | None:
    """What is wrong with a file that should be the archive of `source`, as the end of a sentence; None if nothing is.

    Published numbers come first; where there are none, those of the pin.
    """
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"has {size} bytes, expected {source.size}"
    if source.sha256 is not None:
        return None if sha256 == source.sha256 else f"has SHA-256 {sha256}, expected {source.sha256}"
    if pin is not None and (size, sha256) != (pin.size, pin.sha256):
        return (
            f"has {size} bytes and SHA-256 {sha256}, expected {pin.size} bytes and {pin.sha256}, which {LOCK_NAME} "
            f"pinned on first use. If its publisher replaced the file, take '{source.name}' out of {LOCK_NAME}"
        )
    return None
