"""What is drawn is what others read: masks in every form come in, and go out as one PNG file of ids per frame."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.labelling.conftest import FRAMES
from tests.stages.clips import SIZE, ids, write_folder, write_masks, write_video

from oneshot_vos.errors import UserError
from oneshot_vos.labelling.pictures import SHORT_SIDE, Pictures
from oneshot_vos.labelling.recordings import find_recordings
from oneshot_vos.labelling.session import Session
from oneshot_vos.sets.own import import_videos
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.masks import read_mask, write_mask

DRAWN = ids(1, 2).astype(np.uint8)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def session(path: Path, scratch: Path, masks: Path | None = None) -> Session:
    return Session(find_recordings(path, masks, scratch), scratch)


def draw(path: Path, scratch: Path, name: str, frame: str = "00001") -> Session:
    opened = session(path, scratch)
    opened.save(opened.video(name), frame, DRAWN)
    return opened


def imported(recordings: Path, out: Path) -> dict[str, dict[str, np.ndarray]]:
    """The masks that `import-videos` makes of recordings, by videos and frames."""
    names = [video.name for video in import_videos(recordings, out)]
    files = {name: sorted((out / "Annotations" / name).iterdir()) for name in names}
    return {name: {file.stem: read_mask(file) for file in files[name]} for name in names}


def test_what_is_drawn_is_imported(recordings: Path, scratch: Path, tmp_path: Path) -> None:
    for name in ("bare", "film", "walk"):
        draw(recordings, scratch, name)
    masks = imported(recordings, tmp_path / "out")
    assert {name: sorted(of) for name, of in masks.items()} == {
        "bare": ["00001"],
        "film": ["00001"],
        "walk": ["00001", "00003"],
    }
    for of in masks.values():
        np.testing.assert_array_equal(of["00001"], DRAWN)
    np.testing.assert_array_equal(masks["walk"]["00003"], ids(3, 2))


def other_form(kind: str, folder: Path) -> Path:
    """Masks of frame 3 of the video `walk`, in a form that cannot lie beside masks drawn here; where they lie."""
    mask = ids(3, 2)
    if kind == "one file":
        write_mask(folder / "walk.png", mask)
        return folder / "walk.png"
    if kind == "zip":
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / "walk.zip", "w") as archive:
            write_mask(folder.parent / "00003.png", mask)
            archive.write(folder.parent / "00003.png", "00003.png")
        return folder / "walk.zip"
    inside = folder / "walk"
    inside.mkdir(parents=True)
    if kind == "colours":
        table = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)
        Image.fromarray(table[mask][:, :, :]).save(inside / "00003.png")
    elif kind == "palette":
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette((np.roll(np.arange(768), 7) % 256).tolist())
        image.save(inside / "00003.png")
    elif kind == "folder per object":
        for number in (1, 2):
            write_mask(inside / str(number) / "00003.png", (mask == number).astype(np.uint8))
    elif kind == "labelme":
        shape = {"label": "disc", "points": [[5, 5], [30, 5], [30, 30]], "shape_type": "polygon"}
        document = {"shapes": [shape], "imagePath": "00003.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        (inside / "00003.json").write_text(json.dumps(document))
    elif kind == "white":
        write_mask(inside / "00003.png", np.where(mask > 0, 255, 0))
    return inside


@pytest.mark.parametrize("kind", ["zip", "colours", "palette", "folder per object", "labelme", "white"])
def test_masks_in_another_form_are_put_aside_and_written_anew(kind: str, tmp_path: Path, scratch: Path) -> None:
    recordings = tmp_path / "recordings"
    write_folder(recordings / "videos/walk", FRAMES)
    place = other_form(kind, recordings / "masks")
    before = imported(recordings, tmp_path / "before")["walk"]["00003"]

    opened = session(recordings, scratch)
    video = opened.video("walk")
    shown, what = opened.ids(video, "00003")
    assert what == "given"
    expected = before > 0 if kind == "white" else before
    np.testing.assert_array_equal(shown, expected)
    assert place.exists()  # looking changes nothing

    opened.save(video, "00001", DRAWN)
    assert not (place.is_file() and place.exists())
    assert (recordings / "masks-as-they-were" / place.name).exists()
    after = imported(recordings, tmp_path / "after")["walk"]
    np.testing.assert_array_equal(after["00003"], expected)
    np.testing.assert_array_equal(after["00001"], DRAWN)
    opened.save(video, "00002", DRAWN)
    assert len(list((recordings / "masks/walk").iterdir())) == 3


def test_a_form_that_holds_several_videos_is_put_aside_for_all(tmp_path: Path, scratch: Path) -> None:
    recordings = tmp_path / "recordings"
    for name in ("one", "two", "three"):
        write_folder(recordings / f"videos/{name}", FRAMES)
        write_masks(tmp_path / f"tree/{name}", 3)
    with zipfile.ZipFile(recordings / "masks.zip", "w") as archive:
        for file in (tmp_path / "tree").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "tree"))
    opened = session(recordings, scratch)
    opened.video("two")
    opened.save(opened.video("one"), "00001", DRAWN)
    assert not (recordings / "masks.zip").exists()
    opened.save(opened.video("two"), "00003", DRAWN)
    opened.save(opened.video("three"), "00003", DRAWN)
    masks = imported(recordings, tmp_path / "out")
    assert {name: sorted(of) for name, of in masks.items()} == {
        "one": ["00001", "00003"],
        "three": ["00003"],
        "two": ["00003"],
    }
    np.testing.assert_array_equal(masks["one"]["00003"], ids(3))
    np.testing.assert_array_equal(masks["two"]["00003"], DRAWN)


def test_what_was_put_aside_is_never_replaced(tmp_path: Path, scratch: Path) -> None:
    recordings = tmp_path / "recordings"
    write_folder(recordings / "videos/walk", FRAMES)
    place = other_form("one file", recordings / "masks")
    (recordings / "masks-as-they-were").mkdir()
    (recordings / "masks-as-they-were/walk.png").write_bytes(b"older")
    with pytest.raises(UserError, match="Move one of them away"):
        draw(recordings, scratch, "walk")
    assert place.exists()


def test_a_mask_keeps_the_name_of_its_file(tmp_path: Path, scratch: Path) -> None:
    recordings = tmp_path / "recordings"
    write_video(recordings / "videos/film.mp4", FRAMES)
    write_mask(recordings / "masks/film/frame_000001.png", ids(1))
    draw(recordings, scratch, "film")
    assert [file.name for file in (recordings / "masks/film").iterdir()] == ["frame_000001.png"]
    np.testing.assert_array_equal(imported(recordings, tmp_path / "out")["film"]["00001"], DRAWN)


def test_a_single_video_has_its_masks_beside_it(tmp_path: Path, scratch: Path) -> None:
    film = write_video(tmp_path / "cat's film.mp4", FRAMES)
    opened = draw(film, scratch, "cat's film", "00002")
    folder = tmp_path / "cat's film-masks"
    assert opened.next_command() == f"oneshot-vos segment '{film}' --mask '{folder}'".replace("cat's", "cat'\"'\"'s")
    given = find_masks([str(folder)], open_frames(film), scratch)
    assert given.objects == {2: (1, 2)}


def test_a_single_video_can_have_its_masks_elsewhere(tmp_path: Path, scratch: Path) -> None:
    frames = write_folder(tmp_path / "clip", FRAMES)
    opened = session(frames, scratch, tmp_path / "drawn/here")
    opened.save(opened.video("clip"), "00000", DRAWN)
    assert (tmp_path / "drawn/here/00000.png").exists()


def test_wrong_places_are_refused(recordings: Path, tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        find_recordings(tmp_path / "nowhere", None, scratch)
    with pytest.raises(UserError, match="Leave --masks out"):
        find_recordings(recordings, tmp_path, scratch)
    with pytest.raises(UserError, match="Choose another with --masks"):
        find_recordings(recordings / "videos/walk", recordings / "videos/film.mp4", scratch)
    (recordings / "videos/notes.txt").write_text("x")
    with pytest.raises(UserError, match="neither a folder of frames nor a video file"):
        find_recordings(recordings, None, scratch)


def test_ids_beyond_a_palette_are_refused(recordings: Path, scratch: Path) -> None:
    write_mask(recordings / "masks/bare/00000.png", ids(0, values=(300, 2)))
    with pytest.raises(UserError, match="object 300; expected ids of at most 254"):
        session(recordings, scratch).video("bare")


@pytest.mark.parametrize("archive", ["masks/film.zip", "masks.zip"])
def test_what_cannot_be_read_is_called_as_it_was_given(tmp_path: Path, scratch: Path, archive: str) -> None:
    write_folder(tmp_path / "r/videos/film", 2)
    (tmp_path / "r" / archive).parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(tmp_path / "r" / archive, "w") as opened:
        opened.writestr("film/00000.json", "{")
    with pytest.raises(UserError) as refused:
        session(tmp_path / "r", scratch).video("film")
    assert f"{tmp_path / 'r' / archive}/film/00000.json: not readable" in str(refused.value)
    assert str(scratch) not in str(refused.value)


def test_large_frames_are_shown_smaller(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    Image.new("RGB", (2 * SHORT_SIDE + 400, SHORT_SIDE + 200)).save(tmp_path / "large/00000.png")
    content = Pictures(open_frames(tmp_path / "large")).jpeg("00000")
    (tmp_path / "shown.jpg").write_bytes(content)
    assert Image.open(tmp_path / "shown.jpg").size == (2 * SHORT_SIDE, SHORT_SIDE)
