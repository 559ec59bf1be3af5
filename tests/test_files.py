"""Files appear whole or not at all."""

import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.files import (
    changes,
    fingerprint,
    held,
    read_json,
    replacing,
    replacing_folder,
    taken_apart,
    write_json,
    write_text,
    write_zip,
)


def test_replacing_puts_the_new_file_in_place(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(ValueError, match="midway"), replacing(target) as temporary:
        temporary.write_text("half")
        raise ValueError("midway")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_a_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(UserError, match=r"file\.bin: could not be written .*File too large"),
            replacing(target) as temporary,
        ):
            temporary.write_bytes(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_kill_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    program = (
        "import os, signal, sys; from pathlib import Path; from oneshot_vos.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert ended.returncode == -9
    assert target.read_text() == "old"


def test_replacing_folder_swaps_whole_folders(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with replacing_folder(target) as folder:
        (folder / "a").write_text("1")
    with replacing_folder(target) as folder:
        (folder / "b").write_text("2")
    assert [path.name for path in target.iterdir()] == ["b"]
    with pytest.raises(ValueError, match="midway"), replacing_folder(target):
        raise ValueError("midway")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_json_round_trip_and_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": [1, 2.5, "ü"]})
    assert read_json(path, "numbers") == {"a": [1, 2.5, "ü"]}
    path.write_text("{")
    with pytest.raises(UserError, match=r"value\.json: not readable as JSON .*expected numbers"):
        read_json(path, "numbers")
    with pytest.raises(UserError, match="not found; expected numbers"):
        read_json(tmp_path / "none.json", "numbers")
    message = r"value\.json: incomplete \(KeyError: 'b'\); expected numbers\. Count again"
    with pytest.raises(UserError, match=message), taken_apart(path, "numbers", "Count again"):
        {}["b"]


def test_equal_members_make_equal_zips(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_zip(tmp_path / name, [("v/00000.png", b"first"), ("v/00001.png", b"second")])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["v/00000.png", "v/00001.png"]
        assert archive.read("v/00001.png") == b"second"


def test_fingerprint_ignores_order_and_sees_values() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_folder_is_held_by_one_process_which_the_other_names(
    tmp_path: Path, held_elsewhere: Callable[[Path, str], int]
) -> None:
    number = held_elsewhere(tmp_path / "run", "training")
    with (
        pytest.raises(UserError, match=rf"run: process {number} is training\. Wait for it"),
        held(tmp_path / "run", "training"),
    ):
        pass


def test_a_folder_that_was_held_has_what_was_put_there_or_is_gone(tmp_path: Path) -> None:
    for kept in ([], ["state"]):
        with held(tmp_path / "run", "training"):
            for name in kept:
                (tmp_path / "run" / name).touch()
        assert [file.name for file in tmp_path.rglob("*")] == [*(["run"] if kept else []), *kept]


def test_a_folder_that_a_killed_process_held_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom oneshot_vos.files import held\n"
        "with held(Path(sys.argv[1]), ''):\n    os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert (tmp_path / "run/lock").exists()
    with held(tmp_path / "run", "training"):
        pass
    assert not (tmp_path / "run").exists()


def test_half_a_file_of_a_killed_process_goes_when_its_folder_is_held(tmp_path: Path) -> None:
    for name in (".a.png.99999.part", "masks/.b.png.99999.part", "other/.c.png.99999.part", "other/lock", "kept.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".d.99999.part").mkdir()
    with held(tmp_path, "training"):
        pass
    left = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {"other/.c.png.99999.part", "other/lock", "kept.part"}


def test_a_folder_that_cannot_be_held_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with (
        pytest.raises(UserError, match=r"run: cannot be used \(File exists\); expected a folder"),
        held(tmp_path / "run", "training"),
    ):
        pass


def test_changes_are_named_by_dotted_keys() -> None:
    before, now = {"a": 1, "b": {"c": [1], "d": 2}, "e": 1}, {"a": 1, "b": {"c": (1,), "d": 3}, "f": None, "g": 4}
    assert changes(before, now) == ["b.d: 2, now 3", "e: 1, now None", "g: None, now 4"]
