"""Which training videos of YouTube-VOS are held out: the rule, and the share of labels that one mask a video is."""

import hashlib
from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.sets.labels import label_ratio
from oneshot_vos.sets.youtube_split import FAULTY_VIDEOS, split_training, without_faulty
from oneshot_vos.videos.video import Video


def test_the_seven_names_are_those_of_the_reference() -> None:
    assert len(FAULTY_VIDEOS) == 7
    names = [f"{number:010x}" for number in range(3464)]
    assert without_faulty([*FAULTY_VIDEOS, *reversed(names)]) == names


def made_up_training_set() -> dict[str, set[str]]:
    """1000 videos: half show a person, and each one of 19 other categories; `rare` ones occur in ten videos each."""
    videos: dict[str, set[str]] = {}
    for number in range(1000):
        category = f"rare-{number % 5}" if number < 50 else f"common-{number % 14}"
        videos[f"{number:010x}"] = {category, *(["person"] if number % 2 else [])}
    return videos


def test_the_rule_holds_out_rare_categories_and_one_video_in_twenty() -> None:
    videos = made_up_training_set()
    split = split_training(videos)
    assert not set(split.train) & set(split.held_out)
    assert sorted((*split.train, *split.held_out)) == sorted(videos)
    # 20 categories: three are held out, none of them common.
    assert len(split.unseen) == 3
    assert all(category.startswith("rare") for category in split.unseen)
    with_unseen = {name for name, shown in videos.items() if split.unseen & shown}
    assert with_unseen <= set(split.held_out)
    assert len(split.held_out) == len(with_unseen) + -(-(1000 - len(with_unseen)) // 20)


def test_the_rule_depends_on_names_alone() -> None:
    videos = made_up_training_set()
    again = split_training(dict(sorted(videos.items(), reverse=True)))
    assert again == split_training(videos)
    with_faulty = split_training({**videos, **{name: {"person"} for name in FAULTY_VIDEOS}})
    assert with_faulty == split_training(videos)


def test_the_rule_is_the_documented_one() -> None:
    """The rule once more, so that no change of code moves a video unnoticed."""
    videos = made_up_training_set()
    split = split_training(videos)
    rare = sorted(
        (f"rare-{k}" for k in range(5)), key=lambda name: hashlib.sha256(f"category {name}".encode()).digest()
    )
    assert split.unseen == set(rare[:3]) == {"rare-0", "rare-1", "rare-4"}  # 3: 20 / 8, rounded up
    others = [name for name in videos if not videos[name] & split.unseen]
    others.sort(key=lambda name: hashlib.sha256(f"video {name}".encode()).digest())
    assert len(others) == 970
    assert set(split.held_out) == {*others[:49], *(name for name in videos if videos[name] & split.unseen)}
    assert others[:3] == ["00000001bc", "000000018e", "0000000389"]


def test_a_category_without_a_training_video_is_unseen() -> None:
    videos = {f"video-{number}": {"person"} for number in range(40)}
    last = split_training(videos).held_out[0]
    videos[last] = {"person", "zebra"}
    split = split_training(videos)
    assert "zebra" in split.unseen
    assert "person" not in split.unseen


def test_a_set_too_small_to_divide_is_refused() -> None:
    with pytest.raises(UserError, match="1 training video"):
        split_training({"alone": {"cat"}})


# --- the share of labels ---

# Frames of the 60 training videos of DAVIS 2017: 30 of 2016 with 2079 and 30 new ones with 2130, all annotated.
DAVIS_FRAMES = (2079, 2130)
# YouTube-VOS, training: videos, and the range of the count of annotation files that both published shares allow.
YOUTUBE_VIDEOS = 3471
YOUTUBE_MASKS = (94_449, 95_095)


def counted(videos: int, masks: int) -> list[Video]:
    """Videos with so many masks in all; nothing of them exists, for only names are counted."""
    each, more = divmod(masks, videos)
    fewer, path = dict.fromkeys(map(str, range(each)), Path("mask.png")), Path("mask.png")
    return [Video(f"{k:010x}", (), {**fewer, "last": path} if k < more else fewer) for k in range(videos)]


def one_each(videos: list[Video]) -> list[Video]:
    path = Path("mask.png")
    return [Video(each.name, (), {"00000": path}) for each in videos]


def test_one_label_per_video_is_1_4_percent_of_davis() -> None:
    videos = counted(60, sum(DAVIS_FRAMES))
    ratio = label_ratio(one_each(videos), videos)
    assert (ratio["labelled"], ratio["annotated"]) == (60, 4209)
    assert f"{100 * ratio['ratio']:.1f}" == "1.4"


@pytest.mark.parametrize("masks", [*YOUTUBE_MASKS, 94_588])
def test_one_label_per_video_is_3_7_percent_of_youtube(masks: int) -> None:
    videos = counted(YOUTUBE_VIDEOS, masks)
    ratio = label_ratio(one_each(videos), videos)
    assert f"{100 * ratio['ratio']:.1f}" == "3.7"
    # Two frames per video are the 7.3 % of another paper, which bounds the same count.
    assert f"{200 * ratio['ratio']:.1f}" == "7.3"
    # Without the seven faulty videos, which have 201 of the frames (95 163 - 94 962), the share is the same.
    kept = without_faulty([*FAULTY_VIDEOS, *(video.name for video in videos[7:])])
    assert len(kept) == 3464
    assert f"{100 * len(kept) / (masks - 201):.1f}" == "3.7"
