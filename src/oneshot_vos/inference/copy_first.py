"""The baseline that every method has to beat: the first mask, repeated."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from oneshot_vos.files import write_zip
from oneshot_vos.inference.given import find_given, read_ids
from oneshot_vos.inference.writer import in_order
from oneshot_vos.videos.masks import check_same_size, encode_mask
from oneshot_vos.videos.video import Video


def copy_first(videos: Sequence[Video], out_zip: Path) -> None:
    """Write the first mask of every video for all its frames, in the format of `segment_set`.

    Frames before the first mask that shows an object are background.
    """
    write_zip(out_zip, (member for video in in_order(videos) for member in _repeated(video)))


def _repeated(video: Video) -> Iterator[tuple[str, bytes]]:
    first = min(find_given(video).files, default=video.first_mask)
    mask = video.masks[video.stem(first)]
    check_same_size(video.frames[first], mask)
    ids = read_ids(mask, video.single_object)
    before, after = encode_mask(np.zeros_like(ids)), encode_mask(ids)
    for t in range(len(video)):
        yield f"{video.name}/{video.stem(t)}.png", before if t < first else after
