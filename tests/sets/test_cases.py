"""Sets of users that went wrong late, or silently: refused before anything is trained, or read as they were meant."""

import shutil
from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.sets.check import check_folder, check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.own import import_videos
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.scorable import require_scorable
from oneshot_vos.videos.video import Video


def videos(root: Path) -> list[Video]:
    return read_davis(root, images="JPEGImages", annotations="Annotations")


@pytest.mark.parametrize(
    ("name", "message"),
    [("binary-truth", r"no value but 0 and 255.*single_object: true"), ("two-masks", r"2 annotated frame\(s\)")],
)
def test_what_scoring_would_refuse_is_refused_before_training(cases_root: Path, name: str, message: str) -> None:
    found = videos(cases_root / "unscorable-sets" / name)
    with pytest.raises(UserError, match=message):
        check_videos(found, scored=True).raise_for_errors()
    check_videos(found, training=True).raise_for_errors()


@pytest.mark.parametrize("name", ["rgb-truth", "la-truth"])
def test_what_training_reads_can_be_scored(cases_root: Path, name: str) -> None:
    (video,) = videos(cases_root / "unscorable-sets" / name)
    check_videos([video], scored=True).raise_for_errors()
    require_scorable(video)


def test_a_border_to_ignore_is_no_object(cases_root: Path) -> None:
    with pytest.raises(UserError, match=r"00000\.png: value 255 beside the ids \[1, 2\].*Set it to 0"):
        check_videos(videos(cases_root / "void-255")).raise_for_errors()


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    for t in range(4):
        (tmp_path / f"{t:05}.jpg").touch()
    (tmp_path / "00002.jpg").unlink()
    (tmp_path / "00002.jpg").symlink_to("../lost/00002.jpg")
    with pytest.raises(UserError, match=r"00002\.jpg: a broken link \(1 in the folder\)"):
        frame_files(tmp_path)


def test_a_link_that_was_copied_as_text_is_no_frame(cases_root: Path, tmp_path: Path) -> None:
    """The case as a copy without links has it: two frames are texts with the path of another file."""
    case = cases_root / "dangling-link"
    named = r"00002\.jpg: (not an image|a broken link)"
    with pytest.raises(UserError, match=named):
        open_frames(case / "frames")
    shutil.copytree(case / "frames", tmp_path / "own/videos/a", symlinks=True)
    (tmp_path / "own/masks").mkdir()
    shutil.copyfile(case / "00000.png", tmp_path / "own/masks/a.png")
    with pytest.raises(UserError, match=named):
        list(import_videos(tmp_path / "own", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    shutil.copytree(case / "frames", tmp_path / "set/JPEGImages/a", symlinks=True)
    with pytest.raises(UserError, match=named):
        check_folder(tmp_path / "set", images="JPEGImages", annotations="Annotations").raise_for_errors()


@pytest.mark.parametrize("place", ["JPEGImages/lost", "Annotations/lost", "Annotations/clip"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_folder_that_is_a_broken_link_is_not_left_out(
    cases_root: Path, tmp_path: Path, place: str, listed: bool
) -> None:
    shutil.copytree(cases_root / "unscorable-sets/rgb-truth", tmp_path / "set", copy_function=shutil.copyfile)
    link = tmp_path / "set" / place
    link.parent.chmod(0o755)
    if link.exists():
        link.rename(tmp_path / "moved")
    link.symlink_to("nowhere")
    (tmp_path / "set/list.txt").write_text("clip\nlost\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"{place}\b.*(a broken link|no folder)|no folder .*JPEGImages/lost"):
        read_davis(
            tmp_path / "set", images="JPEGImages", annotations="Annotations", list_file="list.txt" if listed else None
        )


def test_a_pair_of_broken_links_is_not_left_out(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    for name in ("b.jpg", "b.png"):
        (tmp_path / name).symlink_to(f"lost/{name}")
    with pytest.raises(UserError, match=r"b\.jpg: a broken link \(2 in the folder\)"):
        read_pairs(tmp_path)


@pytest.mark.parametrize("place", ["videos/b", "videos/c.mp4", "masks/b.png"])
def test_an_own_video_that_is_a_broken_link_is_called_that(cases_root: Path, tmp_path: Path, place: str) -> None:
    shutil.copytree(cases_root / "per-object-folders/frames", tmp_path / "videos/a", copy_function=shutil.copyfile)
    (tmp_path / "masks").mkdir()
    shutil.copyfile(cases_root / "dangling-link/00000.png", tmp_path / "masks/a.png")
    (tmp_path / place).symlink_to("lost")
    with pytest.raises(UserError, match=rf"{place}: a broken link"):
        list(import_videos(tmp_path, tmp_path / "out"))


def test_a_damaged_packet_is_named_before_anything_is_imported(cases_root: Path, tmp_path: Path) -> None:
    for folder, name, file in (("videos", "v.avi", "damaged.avi"), ("masks", "v.png", "00000.png")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(cases_root / "damaged-packet" / file, tmp_path / folder / name)
    with pytest.raises(UserError, match=r"v\.avi: 1 of its 12 frames .* at frame 5"):
        list(import_videos(tmp_path, tmp_path / "out"))


def test_zeros_before_a_number_may_be_missing(cases_root: Path, tmp_path: Path) -> None:
    list(import_videos(cases_root / "unpadded-mask", tmp_path))
    assert [mask.name for mask in (tmp_path / "Annotations" / "a").iterdir()] == ["00000.png"]


def test_no_message_names_a_file_inside_a_video(cases_root: Path, tmp_path: Path) -> None:
    shutil.copytree(cases_root / "unpadded-mask", tmp_path / "own", copy_function=shutil.copyfile)
    masks = tmp_path / "own" / "masks" / "a"
    masks.chmod(0o755)
    (masks / "0.png").rename(masks / "9999.png")
    with pytest.raises(UserError, match=r"9999\.png is a mask without a frame; .*a\.mp4 has none of that name"):
        list(import_videos(tmp_path / "own", tmp_path / "out"))


@pytest.mark.parametrize("suffix", [".MTS", ".m2ts", ".3gp", ".flv", ".gif", ".mxf"])
def test_what_segment_opens_can_be_imported(cases_root: Path, tmp_path: Path, suffix: str) -> None:
    """The suffixes of camcorders and telephones; what is in a file its content tells."""
    for folder, name, file in (("videos", f"v{suffix}", "clip.mp4"), ("masks", "v.png", "00000.png")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(cases_root / "av1" / file, tmp_path / folder / name)
    names = open_frames(tmp_path / "videos" / f"v{suffix}").names
    (imported,) = import_videos(tmp_path, tmp_path / "out")
    assert (imported.name, imported.frames) == ("v", len(names))
