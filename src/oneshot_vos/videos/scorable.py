"""What the protocol of DAVIS asks of the masks of a video: known before anything is trained, and used to score."""

from collections.abc import Collection, Sequence
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import natural_key
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


def doubtful_ids(masks: Sequence[Collection[int]]) -> str | None:
    """What the protocol does with ids as few would expect it: `masks` holds those above 0 of each mask, in time order.

    It counts objects up to the largest id of the first mask, and nothing else.
    """
    largest = max((number for number in masks[0] if number != VOID), default=0) if masks else 0
    found = {number for ids in masks for number in ids} - {VOID}
    absent = [number for number in range(1, largest + 1) if number not in found]
    late = sorted(number for number in found if number > largest)
    if absent:
        return (
            f"ids go up to {largest}, and {len(absent)} of them are in no mask, the first is {absent[0]}: as in the "
            "protocol of DAVIS each counts as an object that was found in full, so that the mean is too high; expected "
            "ids without gaps. Renumber them, in the masks to score as well"
        )
    if late and largest:
        return (
            f"id {late[0]} is in a later mask and not in the first, whose ids go up to {largest}: as in the protocol "
            "of DAVIS it is not scored; expected all objects in the first mask. Give it there, or score what follows "
            "apart"
        )
    return None


def require_scorable(video: Video) -> None:
    """Raise the `UserError` by which scoring would refuse the masks of `video`, from their number and the first."""
    first = video.masks[annotated_stems(video)[0]]
    count_objects(inspect_mask(first).ids, first, single_object=video.single_object)
