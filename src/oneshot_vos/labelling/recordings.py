"""The videos that masks are drawn for, and where these masks lie."""

from dataclasses import dataclass
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.sets.mask_inputs import Frames, told_as, video_name
from oneshot_vos.sets.own import find_masks, find_videos
from oneshot_vos.videos.problems import Problems


@dataclass(frozen=True)
class Entry:
    """One video. folder: of its masks, a PNG file per frame; given: those that are there, in whatever form.

    origin: the file or folder that holds them, which is not `folder` where they are in another form.
    """

    name: str
    video: Path
    folder: Path
    given: Path | Frames | None = None
    origin: Path | None = None

    @property
    def masks(self) -> int:
        """How many mask files there are, as far as that is known without reading them."""
        if not isinstance(self.given, Path):
            return len(self.given or ())
        return len(list(self.given.glob("[!.]*.png"))) if self.given.is_dir() else 1


@dataclass(frozen=True)
class Recordings:
    """What was named: a folder of several videos with their masks, or a single video.

    aside: the folder for masks in other forms, once plain ones take their place.
    """

    path: Path
    single: bool
    aside: Path
    entries: dict[str, Entry]


def find_recordings(path: Path, masks: Path | None, scratch: Path) -> Recordings:
    """Look at `path`: a folder with `videos` and maybe `masks`, as `import_videos` reads it, or a single video.

    masks: the folder for the masks of a single video; by default `<video>-masks` beside it. scratch: a folder for
    masks that have to be converted. Raises `UserError` for what is neither.
    """
    if not (path / "videos").is_dir():
        return _single(path, masks)
    if masks is not None:
        raise UserError(f"--masks {masks}: the masks of {path} lie in {path / 'masks'}. Leave --masks out")
    problems = Problems()
    with told_as((f"{scratch}/masks.zip", path / "masks.zip"), (f"{scratch}/", f"{path / 'masks'}/")):
        places = find_videos(path / "videos", problems)
        given = find_masks(path, scratch, places, problems)
        problems.raise_errors(path, remedy="")
    whole = path / "masks" if (path / "masks").is_dir() else path / "masks.zip"
    entries = {}
    for name, video in places.items():
        found = given.get(name)
        origin = found if isinstance(found, Path) else whole if found else None
        entries[name] = Entry(name, video, path / "masks" / name, _unless_empty(found), origin)
    return Recordings(path, False, path / "masks-as-they-were", entries)


def _single(path: Path, masks: Path | None) -> Recordings:
    if not path.exists():
        raise UserError(
            f"{path}: not found; expected a video file, a folder of frames, or a folder with a sub-folder `videos`. "
            "Check the name"
        )
    video = path.resolve() if path.is_dir() else path  # `.` has a name, too
    folder = masks or video.with_name(f"{video_name(video)}-masks")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: not a folder; expected one for the masks of {path}. Choose another with --masks")
    given = _unless_empty(folder if folder.is_dir() else None)
    entry = Entry(video_name(video), path, folder, given, folder if given else None)
    return Recordings(path, True, folder.with_name(f"{folder.name}-as-they-were"), {entry.name: entry})


def _unless_empty(given: Path | Frames | None) -> Path | Frames | None:
    if isinstance(given, Path) and given.is_dir() and not any(each.name[0] != "." for each in given.iterdir()):
        return None
    return given
