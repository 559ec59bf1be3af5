"""Sets in the layout of DAVIS of which only a server has the ground truth: DAVIS test-dev, MOSE and LVOS."""

from collections.abc import Sequence

from oneshot_vos.errors import UserError
from oneshot_vos.videos.masks import inspect_mask, object_ids
from oneshot_vos.videos.objects import ObjectVideo, TrackedObject, YouTubeSet
from oneshot_vos.videos.video import Video


def as_server_set(videos: Sequence[Video], server: str) -> YouTubeSet:
    """The videos with their objects, each of which begins where a mask shows it first; masks of all frames are wanted.

    `server`: `davis`, `mose` or `lvos`. Every mask that there is is given to a network. So a video that has them all is
    refused: that is ground truth, against which it is scored here.
    """
    return YouTubeSet(server, tuple(_with_objects(video) for video in videos))


def _with_objects(video: Video) -> ObjectVideo:
    stems = tuple(video.stem(t) for t in range(len(video)))
    if 1 < len(stems) == len(video.masks):
        raise UserError(
            f"video '{video.name}' ({video.masks[stems[0]].parent}): a mask for each of its {len(stems)} frames; "
            "expected those of the frames in which objects begin alone, as a server's package has them. With ground "
            "truth at hand the set is of kind davis, and scored here"
        )
    begun: dict[int, int] = {}
    for t in video.labelled:
        for number in object_ids(inspect_mask(video.masks[video.stem(t)]).ids):
            begun.setdefault(number, t)
    if not begun:
        raise UserError(
            f"video '{video.name}' ({video.frames[0].parent}): no mask shows an object; expected one in the first mask "
            "at least. Restore the masks of the package, or take the video out of the list"
        )
    objects = tuple(TrackedObject(number, "", stems[begun[number] :]) for number in sorted(begun))
    first, *others = objects
    # The masks before any object begins are handed in as well.
    objects = (TrackedObject(first.id, "", stems), *others)
    return ObjectVideo(video, objects, dict(zip(stems, video.frames, strict=True)), {})
