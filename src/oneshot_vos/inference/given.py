"""The masks that are given of a video: which objects in which frames. They stay on disk until they are needed."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.inference.geometry import resize_ids
from oneshot_vos.inference.propagate import Annotation
from oneshot_vos.registry import suggest
from oneshot_vos.videos.masks import check_same_size, object_ids, read_small_mask
from oneshot_vos.videos.video import Video

# Which of a video's masks are given to the network: "first" (the first one that shows an object), "all", or the
# stems of the frames. "empty" gives the objects of the first, but masks without a pixel of them.
Given = str | Collection[str]


@dataclass(frozen=True)
class GivenMasks:
    """Masks of the size of their frames, by frame number.

    objects: the ids of each mask, ascending, at least one. single_object: all of them count as 1. empty: the network is
    told which objects there are, and shown none.
    """

    files: Mapping[int, Path]
    objects: Mapping[int, tuple[int, ...]]
    single_object: bool = False
    empty: bool = False
    ids: tuple[int, ...] = field(init=False)  # all of them, ascending; the network's channel k is ids[k - 1]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(sorted(set().union(*self.objects.values()))))

    def annotation(self, t: int, size: tuple[int, int]) -> Annotation:
        """The masks of frame `t`, resized to `size`."""
        ids = resize_ids(read_ids(self.files[t], self.single_object), size)
        shown = Annotation.of(ids, self.objects[t], self.ids)
        return replace(shown, masks=torch.zeros_like(shown.masks)) if self.empty else shown

    def put_over(self, t: int, ids: np.ndarray) -> None:
        """Let the objects given in frame `t`, if any, be in `ids` [H, W] what they are in their mask, to the pixel."""
        if t in self.files:
            given = read_ids(self.files[t], self.single_object)
            ids[np.isin(ids, self.objects[t])] = 0
            np.copyto(ids, given, where=given > 0)


def read_ids(mask: Path, single_object: bool) -> np.ndarray:
    """Object ids [H, W] of a mask; all merged into 1 for a single-object video."""
    ids = read_small_mask(mask)
    return (ids > 0).astype(np.uint8) if single_object else ids


def find_given(video: Video, given: Given = "first", *, before: int | None = None) -> GivenMasks:
    """Look up which objects are given where; `before`: leave out masks from this frame number on.

    A first mask without any object is passed over with a warning. A video without masks, stems without a mask, and a
    mask of another size than its frame raise `UserError`.
    """
    first = video.first_mask
    candidates = video.labelled
    if not isinstance(given, str):
        known = {video.stem(t) for t in video.labelled}
        for stem in sorted(set(given) - known):
            raise UserError(f"video '{video.name}': no mask for frame '{stem}'; {suggest(stem, sorted(known))}")
        candidates = tuple(t for t in video.labelled if video.stem(t) in given)
        first = min(candidates, default=first)
    elif given not in ("first", "all", "empty"):
        raise ValueError(f"given must be 'first', 'all', 'empty' or stems of frames, not {given!r}")
    files: dict[int, Path] = {}
    objects: dict[int, tuple[int, ...]] = {}
    for t in candidates:
        if before is not None and t >= before:
            break
        mask = video.masks[video.stem(t)]
        ids = object_ids(read_ids(mask, video.single_object))
        if ids:
            check_same_size(video.frames[t], mask)
            files[t], objects[t] = mask, tuple(ids)
        if files and given in ("first", "empty"):
            break
    if first not in files and (before is None or first < before):
        start = f"frame '{video.stem(min(files))}', the first whose mask shows one" if files else "the end"
        warnings.warn(
            f"{video.masks[video.stem(first)]}: the first mask of video '{video.name}' is empty (no object "
            f"id above 0); the masks written are background up to {start}",
            stacklevel=2,
        )
    return GivenMasks(files, objects, video.single_object, empty=given == "empty")
