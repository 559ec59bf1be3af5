"""What the protocol of DAVIS asks of the masks of a video: known before anything is trained, and used to score."""

from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import natural_key
from oneshot_vos.videos.masks import VOID, Ids, inspect_mask
from oneshot_vos.videos.video import Video


def annotated_stems(video: Video, least: int = 3) -> tuple[str, ...]:
    """Stems of the annotated frames of `video`, in time order; `UserError` if there are too few to score any."""
    stems = tuple(sorted(video.masks, key=natural_key))
    if len(stems) < least:
        raise UserError(
            f"video '{video.name}': {len(stems)} annotated frame(s), so no frame to score; expected at least {least}, "
            "as the first and the last are left out. Take the video out of the evaluation set"
        )
    return stems


def scored_stems(video: Video) -> tuple[str, ...]:
    """Stems of the frames that enter the scores of `video`, in time order: all annotated ones but first and last."""
    return annotated_stems(video)[1:-1]


def count_objects(first: Ids, file: Path, *, single_object: bool) -> int:
    """K: the largest id of the first annotation, read from `file` (0: no object), 255 excluded where it is void.

    Raises `UserError` for values 0 and 255 alone unless all objects are one.
    """
    largest = int(first.max())
    if single_object:
        return min(largest, 1)
    if largest != VOID:
        return largest
    count = int(first[first != VOID].max(initial=0))
    if count == 0:
        raise UserError(
            f"{file}: the annotation holds no value but 0 and 255, and 255 means void in DAVIS 2017, so the video "
            "would have no object; expected ids 1, 2, ... If these are binary masks (DAVIS 2016), set `single_object: "
            "true` for this set"
        )
    return count


def require_scorable(video: Video) -> None:
    """Raise the `UserError` by which scoring would refuse the masks of `video`, from their number and the first."""
    first = video.masks[annotated_stems(video)[0]]
    count_objects(inspect_mask(first).ids, first, single_object=video.single_object)
