"""Which videos of YouTube-VOS' training set are trained on, and which are held out to score without the server.

The masks of the validation sets are not public, so a part of the training set stands in for them. It is fixed by a
rule on names, so that everybody holds out the same videos: see `split_training`.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from oneshot_vos.errors import UserError

# Wrongly annotated videos, which STCN, XMem and Cutie leave out: they train on 3464 of the 3471 (util/yv_subset.txt of
# the official STCN repository, all names but these).
FAULTY_VIDEOS = ("01e64dd36a", "04259896e2", "1336440745", "5bc77844da", "5ee23ca60e", "738e5a0a14", "f8af30d4b6")

UNSEEN_CATEGORIES = 8  # one category in so many is held out altogether
RARE_CATEGORY = 50  # such a category occurs in at most one video in so many
HELD_OUT_VIDEOS = 20  # of the other videos, one in so many is held out


@dataclass(frozen=True)
class TrainingSplit:
    """The two parts of the training set, names in alphabetical order; `unseen` categories occur in `held_out` alone."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    unseen: frozenset[str]


def without_faulty(names: Iterable[str]) -> list[str]:
    """The videos to train on, in alphabetical order: all but `FAULTY_VIDEOS`."""
    return sorted(set(names).difference(FAULTY_VIDEOS))


def split_training(categories: Mapping[str, Collection[str]]) -> TrainingSplit:
    """Hold out a part of the training videos; `categories` are those of each video's objects.

    1. `FAULTY_VIDEOS` are in neither part.
    2. The categories are put in the order of the SHA-256 of `category <name>`. Those that occur in more than one video
       in 50 are passed over (holding out all videos with a person would cost a third of the set); of the others, the
       first are held out: as many as one in 8 of all categories, rounded up. Every video that shows one goes with it.
    3. The remaining videos are put in the order of the SHA-256 of `video <name>`, and the first one in 20 of them
       (rounded up) are held out.
    4. Unseen is, as in the benchmark, every category that no video of the training part shows: those of step 2, and
       any whose last videos went in step 3.

    Raises `UserError` if nothing would be left to train on.
    """
    names = without_faulty(categories)
    videos_of = Counter(category for name in names for category in set(categories[name]))
    most = max(1, len(names) // RARE_CATEGORY)
    rare = [category for category in _in_hash_order("category", videos_of) if videos_of[category] <= most]
    chosen = set(rare[: -(-len(videos_of) // UNSEEN_CATEGORIES)])
    held_out = {name for name in names if chosen.intersection(categories[name])}
    others = _in_hash_order("video", set(names) - held_out)
    held_out.update(others[: -(-len(others) // HELD_OUT_VIDEOS)])
    train = tuple(name for name in names if name not in held_out)
    if not train:
        raise UserError(
            f"YouTube-VOS: {len(names)} training video(s), of which {len(held_out)} would be held out, so none is left "
            "to train on; expected the whole training set. Check that all of its videos are in meta.json"
        )
    seen = {category for name in train for category in categories[name]}
    return TrainingSplit(train, tuple(sorted(held_out)), frozenset(videos_of) - seen)


def _in_hash_order(kind: str, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{kind} {name}".encode()).hexdigest())
