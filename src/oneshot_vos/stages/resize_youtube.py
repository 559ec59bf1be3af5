"""Stage `resize-youtube`: the copy of YouTube-VOS with a shorter side of 480 pixels that training reads."""

import os
from collections.abc import Callable
from pathlib import Path

from oneshot_vos.fetch.resize import QUALITY, SHORT_SIDE, resize_copy


def run(
    source: Path,
    out: Path | None,
    say: Callable[[str], None],
    *,
    short_side: int = SHORT_SIDE,
    quality: int = QUALITY,
    processes: int | None = None,
) -> None:
    """Write the copy of `source` to `out`; by default beside it, as `<source>_480p`, with one process per core."""
    target = out if out is not None else source.with_name(f"{source.name}_{short_side}p")
    workers = processes if processes is not None else len(os.sched_getaffinity(0))
    resize_copy(source, target, say, short_side=short_side, quality=quality, processes=workers)
