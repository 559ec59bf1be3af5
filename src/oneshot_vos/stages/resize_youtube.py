"""Stage `resize-youtube`: the copy of YouTube-VOS with a shorter side of 480 pixels that training reads."""

import os
from pathlib import Path

from oneshot_vos.fetch.resize import QUALITY, SHORT_SIDE, resize_copy


def run(source: Path, out: Path | None, *, quality: int = QUALITY, processes: int | None = None) -> None:
    """Write the copy of `source` to `out`; by default beside it, as `<source>_480p`, with one process per core."""
    target = out or source.with_name(f"{source.name}_{SHORT_SIDE}p")
    workers = len(os.sched_getaffinity(0)) if processes is None else processes
    resize_copy(source, target, quality=quality, processes=workers)
