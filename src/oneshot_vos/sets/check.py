"""Looking into every file of a data set before hours of training depend on it, and saying all that is wrong at once."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oneshot_vos.sets.davis import list_videos
from oneshot_vos.videos.images import frame_size, has_end, read_frame
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import check_same_size, object_ids
from oneshot_vos.videos.pairs import ImagePair, looks_like_ids, read_objects
from oneshot_vos.videos.problems import Problems
from oneshot_vos.videos.scorable import doubtful_ids, require_scorable
from oneshot_vos.videos.video import Video


@dataclass(frozen=True)
class Summary:
    """What one video (or image pair, a video of one frame) holds; sizes in pixels, 0 where no frame is readable."""

    name: str
    frames: int
    masks: int
    height: int
    width: int
    ids: list[int]  # in any mask
    ids_in_first_mask: list[int]
    empty_masks: int


@dataclass
class CheckReport(Problems):
    """All problems of a data set and a summary per item, both in the order of the items."""

    items: list[Summary] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `files.write_json`: counts, warnings by kind, problems, items."""
        return {
            "counts": {
                "items": len(self.items),
                "frames": sum(item.frames for item in self.items),
                "masks": sum(item.masks for item in self.items),
                "objects": sum(len(item.ids) for item in self.items),
                "errors": len(self.errors),
                "warnings": len(self.warnings),
            },
            "warnings": self.warning_kinds,
            "problems": [asdict(problem) for problem in self.problems],
            "items": [asdict(item) for item in self.items],
        }

    def raise_for_errors(self) -> None:
        """Raise one `UserError` that lists the errors, if there are any."""
        self.raise_errors(f"{len(self.items)} videos or images, checked file by file", remedy="")


def check_videos(
    videos: Iterable[Video], *, training: bool = False, scored: bool = False, thorough: bool = False
) -> CheckReport:
    """Check every file of the videos, without ever stopping at the first problem.

    Of every frame: presence, size, and the end of the file; frames that look cut off or have no mark at their end, and
    the first of each video, are decoded in full (all frames with `thorough`). Every mask is decoded. A first mask
    without an object is a warning: the first one that shows an object takes its place. `training` makes a video without
    any object an error, because it teaches nothing. `scored` asks of masks what the protocol of DAVIS does.
    """
    report = CheckReport()
    for video in videos:
        report.item = video.name
        report.items.append(_check_video(video, training, scored, thorough, report))
    return report


def check_folder(
    root: Path, *, images: str, annotations: str, list_file: str | None = None, thorough: bool = False
) -> CheckReport:
    """Check the videos of a folder in the layout of DAVIS: folders, names and every file, in one report."""
    videos, problems = list_videos(root, images=images, annotations=annotations, list_file=list_file)
    report = check_videos(videos, thorough=thorough)
    report.problems.extend(problems)
    return report


def check_pairs(pairs: Iterable[ImagePair], *, thorough: bool = False) -> CheckReport:
    """Check still images and their masks, like `check_videos`; a mask without any object is an error."""
    report = CheckReport()
    for pair in pairs:
        report.item = pair.name
        height, width = _check_frame(pair.image, thorough, report) or (0, 0)
        ids: list[int] = []
        with report.catching(pair.mask):
            ids = list(range(1, 1 + len(read_objects(pair.mask))))
            if height:
                check_same_size(pair.image, pair.mask)
            if looks_like_ids(pair.mask):
                report.warning(
                    pair.mask,
                    "grey map of few values",
                    "read as one object with soft edges, since it has the value 255, but looks like ids with a border "
                    "to ignore; expected one or the other. If they are ids, set 255 to 0",
                )
            if not ids:
                report.error(pair.mask, "no object in the mask; expected at least one. Take the pair out of the set")
        report.items.append(Summary(pair.name, 1, 1, height, width, ids, ids, int(not ids)))
    return report


def _check_video(video: Video, training: bool, scored: bool, thorough: bool, log: Problems) -> Summary:
    if not video.frames:
        log.error(Path(video.name), "a video without frames; expected at least one image. Take it out of the list")
    sizes = {t: _check_frame(path, thorough or t == 0, log) for t, path in enumerate(video.frames)}
    readable = {t: size for t, size in sizes.items() if size is not None}
    height, width = next(iter(readable.values()), (0, 0))
    _check_equal_sizes(video, readable, log)
    _check_gaps(video, log)
    ids = _check_masks(video, readable, training, scored, log)
    if scored and len(ids) == len(video.masks):  # masks that cannot be read have been reported
        with log.catching(Path(video.name)):
            require_scorable(video)
        doubts = None if video.single_object else doubtful_ids(ids)
        if doubts:
            log.warning(video.masks[video.stem(video.first_mask)], "ids that scores count in another way", doubts)
    return Summary(
        name=video.name,
        frames=len(video.frames),
        masks=len(video.masks),
        height=height,
        width=width,
        ids=sorted(set().union(*ids)),
        ids_in_first_mask=sorted(ids[0]) if ids else [],
        empty_masks=sum(not present for present in ids),
    )


def _check_frame(path: Path, decode: bool, log: Problems) -> tuple[int, int] | None:
    """(height, width) of a frame that can be read, else None and a problem."""
    sizes: list[tuple[int, int]] = []
    with log.catching(path):
        size = frame_size(path)
        if decode or not has_end(path):
            read_frame(path)
        sizes.append(size)
    return sizes[0] if sizes else None


def _check_equal_sizes(video: Video, sizes: dict[int, tuple[int, int]], log: Problems) -> None:
    expected = Counter(sizes.values()).most_common(1)
    differing = [t for t, size in sizes.items() if size != expected[0][0]]
    if differing:
        (height, width), (other_height, other_width) = expected[0][0], sizes[differing[0]]
        log.error(
            video.frames[differing[0]],
            f"frame of {other_width}x{other_height} pixels in a video of {width}x{height} ({len(differing)} of "
            f"{len(video)} frames differ); expected one size per video. Resize them, or split the video",
        )


def _check_gaps(video: Video, log: Problems) -> None:
    """Warn where frame numbers jump further than usual in this video (YouTube-VOS counts in fives)."""
    numbers = [re.search(r"(^-[0-9]+|[0-9]+)$", video.stem(t)) for t in range(len(video))]
    words = {number and number.string[: number.start()] for number in numbers}
    if len(numbers) < 3 or not all(numbers) or len(words) > 1:
        return
    values = np.array([int(number[1]) for number in numbers if number], dtype=object)
    steps = np.diff(values).tolist()
    usual = Counter(steps).most_common(1)[0][0]
    jumps = [t for t, step in enumerate(steps) if step > usual]
    if jumps:
        places = ", ".join(f"{video.stem(t)} to {video.stem(t + 1)}" for t in jumps[:3])
        more = f" and {len(jumps) - 3} more" if len(jumps) > 3 else ""
        log.warning(
            video.frames[jumps[0] + 1],
            "frames missing between others",
            f"frames are missing: the numbers jump from {places}{more}; expected steps of {usual}. Restore them, or "
            "split the video; else it is used as if nothing lay between",
        )


def _check_masks(
    video: Video, sizes: dict[int, tuple[int, int]], training: bool, scored: bool, log: Problems
) -> list[set[int]]:
    """Ids above 0 of every readable mask in time order."""
    labelled = video.labelled
    stray = sorted(video.masks.keys() - {video.stem(t) for t in labelled})
    for stem in stray:
        log.error(
            video.masks[stem],
            f"mask without a frame; expected a frame named '{stem}' in video '{video.name}'. Name the mask like its "
            "frame, or take it away",
        )
    if not labelled and video.frames:
        log.error(video.frames[0].parent, "no frame has a mask; expected at least one. Add it, or take the video out")
    elif labelled and labelled[0] > 0 and scored:  # what comes before is background in what is scored
        log.warning(
            video.masks[video.stem(labelled[0])],
            "first frame without a mask",
            f"the first mask is at frame {labelled[0]}, not 0",
        )
    found: list[set[int]] = []
    colored = []
    rules = MaskRules(video.single_object, "later" if scored else "none")
    for t in labelled:
        path = video.masks[video.stem(t)]
        with log.catching(path):
            reading = rules.read(path)
            ids = set(object_ids(reading.ids))
            found.append({1} if video.single_object and ids else ids)
            if reading.colors is not None:
                colored.append((path, reading.colors))
            if t in sizes:
                check_same_size(video.frames[t], path)
    if colored:
        file, colors = colored[0]
        log.warning(file, "RGB masks", f"RGB masks ({len(colored)} files), colours read as ids: {colors}")
    if not found or found[0] or len(found) < len(labelled):  # masks that cannot be read have been reported
        return found
    first = video.masks[video.stem(labelled[0])]
    if training and not any(found):
        log.error(first, "no object in any mask of the video; expected one. Draw it, or take the video out of the list")
    else:
        used = "no object in the first mask; the first mask that shows one is used in its place"
        log.warning(first, "first mask without an object", used)
    return found
