"""Videos whose objects appear at any time, and when each of them is to be seen: the form of YouTube-VOS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oneshot_vos.videos.frame_files import natural_key
from oneshot_vos.videos.problems import Problem
from oneshot_vos.videos.video import Video

TRAIN, TRAIN_PART, HELD_OUT, VALID = "train", "train-part", "held-out", "valid"


@dataclass(frozen=True)
class TrackedObject:
    """One object of a video: `frames` are the stems that `meta.json` gives it, in time order, its first mask first."""

    id: int
    category: str  # empty where `meta.json` names none, as in the validation sets
    frames: tuple[str, ...]

    @property
    def first(self) -> str:
        """The frame in which the object's mask is given; in a validation set with flaws, a mask may say otherwise."""
        return self.frames[0]

    @property
    def scored(self) -> tuple[str, ...]:
        """The frames that enter its scores: all that follow the one in which its mask is given."""
        return self.frames[1:]


@dataclass(frozen=True)
class ObjectVideo:
    """A video and its objects.

    video: the frames a network runs on, and the masks it may be shown.
    originals: stem to image for the frames of the package that masks are handed in for; their size is the masks'.
    truth: stem to a mask of all objects; empty where there is no public ground truth.
    """

    video: Video
    objects: tuple[TrackedObject, ...]  # by rising id
    originals: Mapping[str, Path]
    truth: Mapping[str, Path]

    @property
    def name(self) -> str:
        return self.video.name

    @property
    def required(self) -> tuple[str, ...]:
        """Stems of the frames whose masks are wanted, in time order: the union over the objects.

        In a set without flaws none of them lies before the first annotation, as an object's frames begin with its own;
        a frame that does is background.
        """
        return tuple(sorted({stem for item in self.objects for stem in item.frames}, key=natural_key))


@dataclass(frozen=True)
class YouTubeSet:
    """The videos of a split, by name.

    split: of YouTube-VOS, or for sets of others whose masks a server scores, that server.
    unseen: categories that the training part lacks; empty where unknown.
    warnings: where `meta.json` and the folders disagree without making the set useless; no part of its index.
    """

    split: str
    videos: tuple[ObjectVideo, ...]
    unseen: frozenset[str] = frozenset()
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def required(self) -> dict[str, tuple[str, ...]]:
        """Video name to the stems of the frames whose masks are wanted."""
        return {item.name: item.required for item in self.videos}
