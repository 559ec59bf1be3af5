"""What is drawn in the page: masks are read in any form, and saved as one PNG file of ids per frame."""

import shlex
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder
from oneshot_vos.labelling.recordings import Entry, Recordings
from oneshot_vos.registry import suggest
from oneshot_vos.sets.mask_inputs import Frames, told_as
from oneshot_vos.sets.own import masks_of, named_masks
from oneshot_vos.videos.frames import FrameSource, open_frames
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import Ids, encode_mask, inspect_mask, object_ids, write_mask
from oneshot_vos.videos.problems import Problems

LARGEST_ID = 254  # 255 beside other ids is the border of VOC, which readers of masks refuse
_WHITE = 255


@dataclass
class OpenVideo:
    """A video that is open. files: its masks by the names of their frames; made: the folder of what a network makes.

    plain: `files` lie in the folder of the entry, in the form that is written.
    """

    entry: Entry
    source: FrameSource
    files: Frames
    plain: bool
    made: Path

    def given_as_numbers(self) -> dict[int, Path]:
        """The masks by the numbers of their frames, in time order."""
        return {t: self.files[name] for t, name in enumerate(self.source.names) if name in self.files}

    def objects(self) -> list[int]:
        """The ids in all its masks, ascending."""
        return sorted(set[int]().union(*(object_ids(inspect_mask(file).ids) for file in self.files.values())))

    def require_frame(self, name: str) -> None:
        """Raise `UserError` unless there is a frame of that name."""
        if name not in self.source.names:
            raise UserError(f"video '{self.entry.name}' has no frame '{name}'; {suggest(name, self.source.names)}")


class Session:
    """The videos, opened when they are asked for. scratch: a folder for what is converted, and what a network makes."""

    def __init__(self, recordings: Recordings, scratch: Path) -> None:
        self.recordings = recordings
        self._entries = dict(recordings.entries)
        self._scratch = scratch
        self._opened: dict[str, OpenVideo] = {}
        self._lock = threading.RLock()

    def masks(self) -> dict[str, int]:
        """The names of all videos, and how many masks each has."""
        with self._lock:
            return {
                name: len(self._opened[name].files) if name in self._opened else entry.masks
                for name, entry in self._entries.items()
            }

    def video(self, name: str) -> OpenVideo:
        """The video of that name; opening a file takes as long as decoding it once."""
        with self._lock:
            if name not in self._entries:
                raise UserError(f"no video '{name}'; {suggest(name, self._entries)}")
            if name not in self._opened:
                self._opened[name] = self._open(self._entries[name])
            return self._opened[name]

    def ids(self, video: OpenVideo, frame: str) -> tuple[Ids | None, str]:
        """The mask of a frame as uint8 [H, W] and what it is: `given`, `made` by a network, or None and `none`."""
        video.require_frame(frame)
        made = video.made / f"{frame}.png"
        with self._lock:
            if frame in video.files:
                return inspect_mask(video.files[frame]).ids, "given"
        return (inspect_mask(made).ids, "made") if made.exists() else (None, "none")

    def save(self, video: OpenVideo, frame: str, ids: Ids) -> Path | None:
        """Write a mask (uint8 [H, W]) and say where; one without any object is taken away instead, and gives None.

        What was there in another form is put aside first, once, and written anew as plain masks.
        """
        video.require_frame(frame)
        if ids.max() > LARGEST_ID:
            raise UserError(f"object {ids.max()} in a mask; expected ids of at most {LARGEST_ID}. Renumber the objects")
        with self._lock:
            if not video.plain:
                self._put_aside(video)
            target = video.files.get(frame, video.entry.folder / f"{frame}.png")
            if ids.any():
                write_mask(target, ids)
                video.files[frame] = target
                return target
            if video.files.pop(frame, None):
                target.unlink(missing_ok=True)
            if not video.files:
                with suppress(OSError):  # other things may lie there
                    video.entry.folder.rmdir()
            return None

    def next_command(self) -> str:
        """What to type when the masks are drawn."""
        path = self.recordings.path
        if not self.recordings.single:
            return shlex.join(["oneshot-vos", "adapt", str(path)])
        (entry,) = self._entries.values()
        return shlex.join(["oneshot-vos", "segment", str(path), "--mask", str(entry.folder)])

    def _open(self, entry: Entry) -> OpenVideo:
        number = list(self._entries).index(entry.name)
        scratch = self._scratch / str(number)
        scratch.mkdir(exist_ok=True)
        source = open_frames(entry.video)
        problems, origin = Problems(), entry.origin or entry.folder
        unpacked = ((f"{self._scratch}/masks.zip", origin), (f"{self._scratch}/", f"{origin}/"))
        with told_as((f"{scratch}/", f"{origin.parent}/"), *unpacked):
            found = masks_of(entry.name, entry.given, scratch, source)
            files = named_masks(entry.name, source, found, scratch / "ids", problems)
            problems.raise_errors(entry.video, remedy="")
            _require_small_ids(files)
        plain = entry.given is None or (entry.origin == entry.folder and _are_plain(files, entry.folder, scratch))
        if not plain:
            files = _as_drawn(files, scratch / "plain")
        return OpenVideo(entry, source, files, plain, scratch / "made")

    def _put_aside(self, video: OpenVideo) -> None:
        """Move the masks of `video` in their other form to `aside`, with those of all videos that it holds as well."""
        origin = video.entry.origin
        assert origin is not None
        concerned = [entry for entry in self._entries.values() if entry.origin == origin]
        contents = {
            entry.name: {stem: encode_mask(inspect_mask(file).ids) for stem, file in self._plain_files(entry).items()}
            for entry in concerned
        }
        target = self.recordings.aside / origin.name
        if target.exists():
            raise UserError(
                f"{target}: is there already, and the masks in {origin}, which are in another form than this page "
                "writes, would be moved there. Move one of them away"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        origin.rename(target)
        for entry in concerned:
            with replacing_folder(entry.folder) as folder:
                for stem, content in contents[entry.name].items():
                    (folder / f"{stem}.png").write_bytes(content)
            self._entries[entry.name] = renewed = replace(entry, given=entry.folder, origin=entry.folder)
            if entry.name in self._opened:
                opened = self._opened[entry.name]
                opened.entry, opened.plain = renewed, True
                opened.files = {stem: entry.folder / f"{stem}.png" for stem in opened.files}

    def _plain_files(self, entry: Entry) -> Mapping[str, Path]:
        if entry.name in self._opened:
            return self._opened[entry.name].files
        assert isinstance(entry.given, dict)  # a form that holds several videos
        return entry.given


def _are_plain(files: Frames, folder: Path, scratch: Path) -> bool:
    """Whether masks that this page writes can lie beside `files`: in one folder, an id the same object in all."""
    if any(file.parent != folder for file in files.values()):
        return False
    rules = MaskRules()
    found: set[int] = set()
    for file in files.values():
        found |= set(object_ids(rules.read(file).ids))
    sample = scratch / "palette.png"
    write_mask(sample, np.array([[0, *sorted(found)]], np.int32))
    try:
        rules.read(sample)  # refused where the palettes differ
    except UserError:
        return False
    return found != {_WHITE}


def _as_drawn(files: Frames, out: Path) -> Frames:
    """Copies of masks as this page writes them; a lone 255, as drawing programs have it, is object 1."""
    masks = {stem: inspect_mask(file).ids for stem, file in files.items()}
    found = set[int]().union(*(object_ids(ids) for ids in masks.values()))
    copies = {}
    for stem, ids in masks.items():
        copies[stem] = out / f"{stem}.png"
        write_mask(copies[stem], (ids > 0).astype(np.uint8) if found == {_WHITE} else ids)
    return copies


def _require_small_ids(files: Frames) -> None:
    for file in files.values():
        largest = int(inspect_mask(file).ids.max())
        if largest > _WHITE:
            raise UserError(f"{file}: object {largest}; expected ids of at most {LARGEST_ID}. Renumber the objects")
