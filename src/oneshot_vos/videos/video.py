"""A video as every other part sees it: frames in time order and whatever masks exist."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import frame_name


@dataclass(frozen=True)
class Video:
    """The files of one video; nothing is read or decoded until somebody asks `read_frame` or `read_mask`.

    `frames` are in time order. `masks` maps the stem of a frame's file name to its mask file and holds only the masks
    that may be used: a video whose labels were reduced to the first frame has one entry. `single_object` says that
    all ids above 0 count as one object (DAVIS 2016, 0/255 masks). `anchor`: the stem of the one mask that a person has
    drawn, where a network has made the others, in which 255 is void; None: no mask is of a network.
    """

    name: str
    frames: tuple[Path, ...]
    masks: Mapping[str, Path]
    single_object: bool = False
    anchor: str | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def stem(self, t: int) -> str:
        """File name of frame `t` without its suffix: the name that ties frame, mask and prediction together."""
        return frame_name(self.frames[t])

    def mask_path(self, t: int) -> Path | None:
        """The mask file of frame `t`, or None when it has none."""
        return self.masks.get(self.stem(t))

    @property
    def labelled(self) -> tuple[int, ...]:
        """Indices of the frames that have a mask, in time order."""
        return tuple(t for t in range(len(self.frames)) if self.stem(t) in self.masks)

    @property
    def first_mask(self) -> int:
        """Index of the first frame with a mask; raises `UserError` for a video without any."""
        for t in range(len(self.frames)):
            if self.stem(t) in self.masks:
                return t
        folder = self.frames[0].parent if self.frames else Path(self.name)
        raise UserError(
            f"video '{self.name}' ({folder}): none of its {len(self.frames)} frames has a mask; expected a mask file "
            "with the same stem as one of the frames. Add one or take the video out of the list"
        )


def evaluation_videos(videos: Iterable[Video], given: str, first: int | None = None) -> list[Video]:
    """The `first` videos by name (None: all), as they are segmented and scored when `given` masks are shown.

    `empty` masks cannot tell one object from another, so all objects of a video are one.
    """
    chosen = sorted(videos, key=lambda video: video.name)[:first]
    return [replace(video, single_object=True) for video in chosen] if given == "empty" else chosen
