"""Official weights by name: fetched once into the user's cache, and verified before each use.

The addresses are those of the official projects. Of one file they publish a checksum (MD5); every other is pinned when
it is first used: from then on it must stay the same, but nobody vouches for the first time.
"""

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.disk import on_disk, one_process
from oneshot_vos.fetch.download import MirrorError, download
from oneshot_vos.fetch.pins import LOCK_NAME, WORK_FOLDER, Pin, add_pin, read_pins
from oneshot_vos.fetch.sources import DRIVE
from oneshot_vos.files import sha256_of
from oneshot_vos.registry import Registry, suggest

_log = logging.getLogger(__name__)
_GITHUB = "https://github.com/hkchengrex"


@dataclass(frozen=True)
class OfficialWeights:
    """A file of weights. page: where people find it. md5: as published, None: nobody did."""

    address: str
    page: str
    md5: str | None = None


def _release(project: str, tag: str, file: str, md5: str | None = None) -> OfficialWeights:
    releases = f"{_GITHUB}/{project}/releases"
    return OfficialWeights(f"{releases}/download/{tag}/{file}.pth", f"{releases}/tag/{tag}", md5)


_STCN = f"{_GITHUB}/STCN#pretrained-models"
_CUTIE = {"cutie-base-mega": "a6071de6136982e396851903ab4c083a"}  # published in the project's code
# By the stages of the training, where names have them: 0 still images, 1 BL30K, 2 and 3 videos.
WEIGHTS: Registry[OfficialWeights] = Registry(
    "official weights",
    {
        "stcn-s0": _release("STCN", "1.0", "stcn_s0"),
        "stcn-s01": _release("STCN", "1.0", "stcn_s01"),
        "stcn-s03": OfficialWeights(DRIVE + "1JllXPJZola0G-g1aUQfXe9nLMBioj-aH", _STCN),
        "stcn-s012": OfficialWeights(DRIVE + "1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm", _STCN),
        "xmem": _release("XMem", "v1.0", "XMem"),
        "xmem-s0": _release("XMem", "v1.0", "XMem-s0"),
        "xmem-s2": _release("XMem", "v1.0", "XMem-s2"),
        "xmem-s012": _release("XMem", "v1.0", "XMem-s012"),
        **{
            f"cutie-{name}": _release("Cutie", "v1.0", f"cutie-{name}", _CUTIE.get(f"cutie-{name}"))
            for name in ("base-mega", "base-wmose", "base-nomose", "small-mega", "small-wmose", "small-nomose")
        },
    },
)


def cache_folder() -> Path:
    """Where fetched weights lie: `oneshot-vos/weights` in the user's cache, as XDG has it."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache and Path(cache).is_absolute() else Path.home() / ".cache") / "oneshot-vos/weights"


def find_weights(given: Path, known: Registry[OfficialWeights] = WEIGHTS) -> Path:
    """The file of weights that `given` is or names; official weights are fetched if they are not there yet.

    A name is a word without a suffix that no file has. Raises `UserError` for a name that nobody knows, with the
    nearest and all others, and for weights that cannot be had or are not the right ones.
    """
    if given.exists() or given.suffix or len(given.parts) != 1:
        return given
    name = str(given)
    if name not in known:
        nearest = suggest(name, known)
        listed = "" if nearest.startswith("known:") else f" (known: {', '.join(sorted(known))})"
        raise UserError(f"{given}: no such file, nor official weights of that name; {nearest}{listed}")
    folder = cache_folder()
    target = folder / f"{name}.pth"
    with one_process(folder / WORK_FOLDER / f"{name}.lock", name):
        return _verified(name, known[name], target) if target.is_file() else _fetched(name, known[name], target)


def _fetched(name: str, weights: OfficialWeights, target: Path) -> Path:
    work = target.parent / WORK_FOLDER / name
    _log.info("%s: from %s to %s", name, weights.address, target)
    try:
        download(weights.address, work / target.name, size=None, title=name)
    except MirrorError as error:
        raise UserError(
            f"{name}: not to be had ({error}). Rerun to resume, or get it from {weights.address} (page "
            f"{weights.page}) and put it at {target}"
        ) from error
    try:
        _verified(name, weights, work / target.name)
        with on_disk(target):
            os.replace(work / target.name, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # a wrong file is of no use
    return target


def _verified(name: str, weights: OfficialWeights, file: Path) -> Path:
    """The file, if its bytes are the published ones or those that were pinned; a file that is new is pinned."""
    folder = cache_folder()
    with on_disk(file), file.open("rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
        found = Pin(size=file.stat().st_size, sha256=sha256_of(file), source=weights.address)
    if weights.md5 is not None and md5 != weights.md5:
        raise UserError(
            f"{file}: MD5 {md5}; expected {weights.md5}, which its publisher gives. It is not the file of {name}, or "
            "damaged: delete it if it is still there, then rerun to fetch it"
        )
    pin = read_pins(folder).get(name)
    if pin is None:
        if weights.md5 is None:
            _log.info("%s: nobody published a checksum; pinned as first seen, SHA-256 %s", name, found.sha256)
        add_pin(folder, name, found)
    elif pin.sha256 != found.sha256:
        raise UserError(
            f"{file}: SHA-256 {found.sha256}; expected {pin.sha256}, as {folder / LOCK_NAME} has it from the first "
            "use. It is damaged, or was replaced: delete it, then rerun to fetch it; if the publisher has another file "
            f"now, take '{name}' out of {LOCK_NAME}"
        )
    return file
