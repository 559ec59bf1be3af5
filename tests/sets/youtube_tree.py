"""Names in the made-up YouTube-VOS of `fake_trees`, and changes to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sets import fake_trees

from oneshot_vos.videos.objects import ObjectVideo, YouTubeSet

LATE = fake_trees.YOUTUBE_VALID[1]  # object 3 begins at frame 10
LATE_START = fake_trees.YOUTUBE_VALID[2]  # the clip begins at frame 5, its object at frame 10
LEAVING = fake_trees.YOUTUBE_TRAIN[2]  # object 2 leaves, object 4 comes


def edit_meta(root: Path, change: Callable[[dict[str, Any]], object], package: str = "valid") -> None:
    path = root / package / "meta.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["videos"])
    path.write_text(json.dumps(content), encoding="utf-8")


def by_name(chosen: YouTubeSet) -> dict[str, ObjectVideo]:
    return {each.name: each for each in chosen.videos}


def frames(first: int, last: int = 20) -> tuple[str, ...]:
    return tuple(f"{t:05d}" for t in range(first, last + 1, 5))
