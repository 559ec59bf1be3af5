"""Segmenting one video: files in, object ids out."""

import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.inference.geometry import most_probable, resize_ids, resize_image, short_side_size
from oneshot_vos.inference.plan import InferenceSettings, plan_frames
from oneshot_vos.inference.prefetch import prefetched
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.registry import suggest
from oneshot_vos.videos.images import normalise, read_frame
from oneshot_vos.videos.masks import read_mask
from oneshot_vos.videos.video import Video

# Which of a video's masks are given to the network: "first" (the first one that shows an object), "all", or the
# stems of the frames. "empty" gives the objects of the first, but masks without a pixel of them.
Given = str | Collection[str]


@dataclass
class Stopwatch:
    """Seconds spent in `running` blocks, less those in `paused` blocks inside them."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the block out."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds -= time.perf_counter() - start


@dataclass(frozen=True)
class GivenMasks:
    """Which objects are given in which frames of a video; the masks themselves stay on disk until they are needed.

    frames: frame index to the ids of its mask, ascending, without background; only frames that show an object.
    """

    video: Video
    frames: dict[int, tuple[int, ...]]
    ids: tuple[int, ...] = field(init=False)  # all of them, ascending; the network's channel k is ids[k - 1]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(sorted(set().union(*self.frames.values()))))

    def annotation(self, t: int, frame: Path, size: tuple[int, int], resized: tuple[int, int]) -> Annotation:
        """Masks of frame `t`, whose image `frame` has `size`, brought to the size `resized`."""
        path = self.video.mask_path(t)
        if path is None:
            raise KeyError(t)
        ids = read_ids(self.video, path)
        if ids.shape != size:
            raise UserError(
                f"{path}: the mask is {_size_text(ids.shape)} pixels, but its frame {frame} is {_size_text(size)}; "
                "expected the same size. Resize the mask with nearest neighbour, or take frames of its resolution"
            )
        present = self.frames[t]
        masks = resize_ids(ids, resized)[None] == torch.tensor(present, dtype=torch.int32)[:, None, None]
        return Annotation(tuple(self.ids.index(number) + 1 for number in present), masks)


class EmptyMasks(GivenMasks):
    """The network is told how many objects there are, and shown none."""

    def annotation(self, t: int, frame: Path, size: tuple[int, int], resized: tuple[int, int]) -> Annotation:
        """As above, with every pixel background."""
        shown = super().annotation(t, frame, size, resized)
        return Annotation(shown.channels, torch.zeros_like(shown.masks))


def read_ids(video: Video, mask: Path) -> np.ndarray:
    """Object ids (int32, H x W) of one of the video's masks; all merged into 1 for a single-object video."""
    ids = read_mask(mask)
    return (ids > 0).astype(np.int32) if video.single_object else ids


def find_given(video: Video, given: Given = "first", *, before: int | None = None) -> GivenMasks:
    """Look up which objects are given where; `before`: leave out masks from this frame index on.

    A first mask without any object is passed over with a warning. A video without masks, or stems without a mask,
    raise `UserError`.
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
    frames: dict[int, tuple[int, ...]] = {}
    for t in candidates:
        if before is not None and t >= before:
            break
        ids = tuple(int(number) for number in np.unique(read_ids(video, video.masks[video.stem(t)])) if number > 0)
        if ids:
            frames[t] = ids
        if frames and given in ("first", "empty"):
            break
    if first not in frames and (before is None or first < before):
        start = f"frame '{video.stem(min(frames))}', the first whose mask shows one" if frames else "the end"
        warnings.warn(
            f"{video.masks[video.stem(first)]}: the first mask of video '{video.name}' is empty (no object "
            f"id above 0); the masks written are background up to {start}",
            stacklevel=2,
        )
    return EmptyMasks(video, frames) if given == "empty" else GivenMasks(video, frames)


def segment_video(
    network: Network[Any],
    video: Video,
    settings: InferenceSettings,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    required: Collection[str] | None = None,
    given: Given = "first",
    stopwatch: Stopwatch | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (stem, object ids int32 [H, W] at the frame's own resolution) in time order.

    The network must be on `device`; it is put in evaluation mode. `required`: stems of the frames wanted, None for
    all. `given`: which of the video's masks the network is shown; the default is the semi-supervised protocol.
    Frames before the first given mask are background. `stopwatch` is kept running while something is computed, not
    while files are read.

    Raises `UserError` for unreadable files, frames that change their size, masks of another size than their frame.
    """
    network.eval()
    watch = stopwatch or Stopwatch()
    wanted = _indices(video, required)
    masks = find_given(video, given, before=max(wanted, default=-1) + 1)
    steps = plan_frames(
        len(video),
        masks.frames,
        settings,
        required=wanted,
        recurrent=network.recurrent,
        updates_memory_frames=network.updates_memory_frames,
    )
    reader = _FrameReader(video, settings.short_side, device)

    def annotate(t: int) -> Annotation:
        with watch.paused():
            return masks.annotation(t, video.frames[t], reader.size, reader.resized)

    table = np.array([0, *masks.ids], np.int32)
    frames = prefetched(reader.read, [step.index for step in steps])
    results = predict_frames(network, steps, _unwatched(frames, watch), annotate, len(masks.ids), settings, dtype=dtype)
    try:
        while True:
            with watch.running():
                result = next(results, None)
                if result is None:
                    return
                t, probabilities = result
                ids = table[most_probable(probabilities, reader.size).cpu().numpy()]
            yield video.stem(t), ids
    finally:
        frames.close()


class _FrameReader:
    """Reads frames as the network wants them and checks that all have one size."""

    def __init__(self, video: Video, short_side: int | None, device: torch.device) -> None:
        self._video = video
        self._short_side = short_side
        self._device = device
        self._first: Path | None = None
        self.size = (0, 0)  # of the frames on disk, once one has been read
        self.resized = (0, 0)  # of what `read` returns

    def read(self, t: int) -> Tensor:
        """Frame `t` as a normalised image [3, H, W] on the device."""
        path = self._video.frames[t]
        rgb = read_frame(path)
        size = (rgb.shape[0], rgb.shape[1])
        if self._first is None:
            self._first, self.size, self.resized = path, size, short_side_size(*size, self._short_side)
        elif size != self.size:
            raise UserError(
                f"{path}: the frame is {_size_text(size)} pixels, but {self._first} of the same video is "
                f"{_size_text(self.size)}; expected one size in a video. Resize the frames, or split the video"
            )
        return resize_image(torch.from_numpy(normalise(rgb)).to(self._device), self.resized)


def _unwatched(frames: Iterator[Tensor], watch: Stopwatch) -> Iterator[Tensor]:
    """The same frames; the watch stands still while one is waited for."""
    while True:
        with watch.paused():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _indices(video: Video, stems: Collection[str] | None) -> Sequence[int]:
    if stems is None:
        return range(len(video))
    index = {video.stem(t): t for t in range(len(video))}
    for stem in sorted(set(stems) - index.keys()):
        raise UserError(f"video '{video.name}' has no frame '{stem}'; {suggest(stem, sorted(index))}")
    return sorted(index[stem] for stem in set(stems))


def _size_text(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]}"
