"""What `segment` reads and writes besides the video: the masks that are given, and the folder of results."""

import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import LOCK, OWNER, read_json, replacing, write_json
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.walk import Segmented
from oneshot_vos.registry import suggest
from oneshot_vos.videos.frames import FrameSource, frame_named
from oneshot_vos.videos.images import frame_files, frame_name
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import mask_size, object_ids, write_mask

Say = Callable[[str], None]

STAMP, MASKS, PROBABILITIES, OVERLAY, STATE = "segment.json", "masks", "probabilities", "overlay.mp4", ".state"
_STAMP_FORMAT = "oneshot-vos segment 1"


def find_masks(texts: Sequence[str], source: FrameSource) -> GivenMasks:
    """The masks that are named, and the objects in them.

    A text is the path of a mask named like its frame, a folder of such, or `FRAME=PATH`. The frames of a video file are
    named by their numbers from 0; any number of zeros may stand before one. Raises `UserError` for a mask that is
    missing, belongs to no frame, shares its frame with another, has another size than the video, or shows no object.
    """
    places = {name: t for t, name in enumerate(source.names)}
    found: dict[int, Path] = {}
    objects: dict[int, tuple[int, ...]] = {}
    rules = MaskRules()
    for text in texts:
        for frame, path in _named_masks(text):
            t = frame_named(places, frame)
            if t is None:
                raise UserError(
                    f"{path}: the video {source.path} has no frame '{frame}'; {_nearest(frame, source.names)} Name the "
                    "mask like its frame, or write FRAME=PATH"
                )
            if t in found:
                raise UserError(
                    f"{path}: frame '{frame}' has a mask already, {found[t]}; expected one per frame. Take one away"
                )
            found[t], objects[t] = path, _objects(path, source, rules)
    return GivenMasks(dict(sorted(found.items())), objects)


def _named_masks(text: str) -> Iterator[tuple[str, Path]]:
    """Names of frames and their masks."""
    frame, separator, rest = text.partition("=")
    path = Path(text).expanduser()
    if path.is_dir():
        files = frame_files(path)
        if not files:
            raise UserError(f"{path}: no mask in it; expected .png files named like their frames. Draw one")
        yield from ((frame_name(file), file) for file in files)
    elif separator and not path.exists():
        yield unicodedata.normalize("NFC", frame), _existing(Path(rest).expanduser())
    else:
        yield frame_name(path), _existing(path)


def _existing(path: Path) -> Path:
    if not path.exists():
        near = [entry.name for entry in path.parent.glob("*.png")] if path.parent.is_dir() else []
        hint = f"; {suggest(path.name, near)}" if near else ""
        raise UserError(f"{path}: no such file{hint}; expected a mask as PNG file. Check the name")
    return path


def _objects(path: Path, source: FrameSource, rules: MaskRules) -> tuple[int, ...]:
    """The ids of a mask, once it is found fit."""
    height, width = mask_size(path)
    if (height, width) != source.size:
        raise UserError(
            f"{path}: the mask is {width}x{height} pixels, but the video {source.path} is "
            f"{source.size[1]}x{source.size[0]}; expected the same size. Resize the mask with nearest neighbour"
        )
    ids = tuple(object_ids(rules.read(path).ids))
    if not ids:
        raise UserError(f"{path}: the mask is empty (no id above 0); expected an object. Draw one, or leave it out")
    return ids


def _nearest(frame: str, names: Sequence[str]) -> str:
    near = suggest(frame, list(names))
    return near if near.startswith("did") else f"its frames are '{names[0]}' to '{names[-1]}'."


class Output:
    """The folder of results: what is in it, and whether it belongs to the same inputs."""

    def __init__(
        self, path: Path, key: str, source: FrameSource, given: GivenMasks, probabilities: bool, say: Say
    ) -> None:
        self.path, self.probabilities = path, probabilities
        self.state = path / STATE
        self._key, self._names, self._given = key, source.names, given
        stamp = self._stamp()
        said = stamp.get("complete") is True
        self.complete = stamp.get("fingerprint") == key and said and self.has(range(len(source.names)))
        if stamp and (stamp.get("fingerprint") != key or (said and not self.complete)):
            say(f"{path}: made from other inputs, or not whole any more; made anew")
            self._clear()
        if not self.complete:
            self.state.mkdir(parents=True, exist_ok=True)
            (path / MASKS).mkdir(exist_ok=True)
            write_json(path / STAMP, {"format": _STAMP_FORMAT, "fingerprint": key, "complete": False})

    def has(self, frames: Sequence[int]) -> bool:
        """Whether the masks of these frames are there."""
        files = {frame_name(file) for file in (self.path / MASKS).glob("*.png")}
        return all(self._names[t] in files for t in frames)

    def write(self, result: Segmented) -> None:
        """Write the mask of a frame, and its probabilities if there are any."""
        name = self._names[result.frame]
        write_mask(self.path / MASKS / f"{name}.png", result.ids)
        if result.probabilities is None:
            return
        levels = (result.probabilities[1:] * 255).round().byte().cpu().numpy()
        for number, level in zip(self._given.ids, levels, strict=True):
            _, content = cv2.imencode(".png", level)
            with replacing(self.path / PROBABILITIES / str(number) / f"{name}.png") as temporary:
                temporary.write_bytes(np.asarray(content).tobytes())

    def finish(self, description: Mapping[str, Any]) -> None:
        """Say that all is there."""
        stamp = {"format": _STAMP_FORMAT, "fingerprint": self._key, "complete": True, **description}
        write_json(self.path / STAMP, stamp)
        shutil.rmtree(self.state)

    def _stamp(self) -> dict[str, Any]:
        """What an earlier run says; a folder of other things is refused."""
        file = self.path / STAMP
        if file.exists():
            content = read_json(file, "what `oneshot-vos segment` writes")
            if isinstance(content, dict) and content.get("format") == _STAMP_FORMAT:
                return content
        if {entry.name for entry in self.path.iterdir()} - {LOCK, OWNER}:
            raise UserError(
                f"{self.path}: holds other things than results of `segment`; expected a new or empty folder. Choose "
                "another one with --out"
            )
        return {}

    def _clear(self) -> None:
        for folder in (MASKS, PROBABILITIES, STATE):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for file in (OVERLAY, STAMP):
            (self.path / file).unlink(missing_ok=True)
