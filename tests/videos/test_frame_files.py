"""The frames of a folder: which files they are, and in which order they come."""

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import frame_files, natural_key


def test_frame_files_ignore_what_is_no_frame(tmp_path):
    for name in ("00001.jpg", "00000.JPEG", "00002.png", ".hidden.jpg", ".DS_Store", "Thumbs.db", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert [path.name for path in frame_files(tmp_path)] == ["00000.JPEG", "00001.jpg", "00002.png"]


def test_unpadded_names_come_in_numeric_order_with_a_warning(tmp_path):
    for number in (0, 1, 10, 11, 2):
        (tmp_path / f"{number}.jpg").touch()
    with pytest.warns(UserWarning, match="zero-padded"):
        files = frame_files(tmp_path)
    assert [path.stem for path in files] == ["0", "1", "2", "10", "11"]


def test_frame_files_of_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        frame_files(tmp_path / "absent")
    assert frame_files(tmp_path) == []


def test_natural_key_is_a_total_order():
    names = ["a10b2", "a2b10", "a2b9", "01", "1", "b", "", "²3"]
    assert len({natural_key(name) for name in names}) == len(names)
    assert sorted(names, key=natural_key)[:3] == ["", "01", "1"]
    assert sorted(["a10", "a9"], key=natural_key) == ["a9", "a10"]
