"""Official weights by name: fetched once into the user's cache, and verified before each use.

The addresses are those of the official projects. Of one file they publish a checksum (MD5); every other is pinned when
it is first used: from then on it must stay the same, but nobody vouches for the first time.
"""

import os
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.sources import DRIVE, Source
from oneshot_vos.registry import Registry, suggest

_GITHUB = "https://github.com/hkchengrex"


def _official(name: str, address: str, page: str, checksum: str | None = None) -> Source:
    title = f"the official weights {name}"
    return Source(name, title, f"{name}.pth", (address,), page, checksum=checksum)


def _release(name: str, project: str, tag: str, file: str, checksum: str | None = None) -> Source:
    releases = f"{_GITHUB}/{project}/releases"
    return _official(name, f"{releases}/download/{tag}/{file}.pth", f"{releases}/tag/{tag}", checksum)


_STCN = f"{_GITHUB}/STCN#pretrained-models"
_CUTIE = {"cutie-base-mega": "md5:a6071de6136982e396851903ab4c083a"}  # published in the project's code
# By the stages of the training, where names have them: 0 still images, 1 BL30K, 2 and 3 videos.
_ALL = [
    _release("stcn-s0", "STCN", "1.0", "stcn_s0"),
    _release("stcn-s01", "STCN", "1.0", "stcn_s01"),
    _official("stcn-s03", DRIVE + "1JllXPJZola0G-g1aUQfXe9nLMBioj-aH", _STCN),
    _official("stcn-s012", DRIVE + "1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm", _STCN),
    *(_release(name.lower(), "XMem", "v1.0", name) for name in ("XMem", "XMem-s0", "XMem-s2", "XMem-s012")),
    *(
        _release(name, "Cutie", "v1.0", name, _CUTIE.get(name))
        for name in (f"cutie-{size}-{data}" for size in ("base", "small") for data in ("mega", "wmose", "nomose"))
    ),
]
WEIGHTS: Registry[Source] = Registry("official weights", {source.name: source for source in _ALL})


def cache_folder() -> Path:
    """Where fetched weights lie: `oneshot-vos/weights` in the user's cache, as XDG has it."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache and Path(cache).is_absolute() else Path.home() / ".cache") / "oneshot-vos/weights"


def find_weights(given: Path, known: Registry[Source] = WEIGHTS) -> Path:
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
    from oneshot_vos.fetch.obtain import fetch  # which a start from a file need not wait for
    from oneshot_vos.fetch.pins import add_pin, read_pins, verified

    source, folder = known[name], cache_folder()
    (found,) = fetch(source, folder)
    if name not in read_pins(folder):  # a file that the user put there
        add_pin(folder, name, verified(source, found.path, folder, "a file of the user"))
    return found.path
