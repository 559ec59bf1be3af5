"""From a name to a whole folder, over a real server: mirrors, checksums, pins, what is there, processes that die."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.fetch.loopback import VIDEOS, Fault, Site, is_whole, leftovers, small_source, tarred, write_tree, zipped

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import disk
from oneshot_vos.fetch.obtain import fetch
from oneshot_vos.fetch.sources import DRIVE, Part

ARCHIVE = zipped(VIDEOS)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()
PINNED = {"size": len(ARCHIVE), "sha256": SHA256}


def pins(root: Path) -> dict[str, dict[str, object]]:
    return json.loads((root / "fetch.lock.json").read_text())["files"]


def refusal(source: object, root: Path, **options: object) -> str:
    with pytest.raises(UserError) as failure:
        fetch(source, root, **options)  # type: ignore[arg-type]
    return str(failure.value)


def test_a_set_is_fetched_pinned_and_then_used_as_it_is(site: Site, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(small_source(site.url), tmp_path) == [("complete", tmp_path / "sets/small", "2 videos, 3 frames")]
    assert len(site.ranges) == 1
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []
    assert pins(tmp_path) == {"small": PINNED | {"source": site.url}}


@pytest.mark.parametrize("top", ["", "a/", "some folder/mit ümlaut/"])
def test_tar_too_below_any_top_folder_and_kept_on_request(site: Site, tmp_path: Path, top: str) -> None:
    site.content = tarred({f"{top}{name.removeprefix('top/')}": content for name, content in VIDEOS.items()})
    fetch(small_source(site.url), tmp_path / "Wurzel mit ümlaut", keep=True)
    assert is_whole(tmp_path / "Wurzel mit ümlaut")
    assert leftovers(tmp_path / "Wurzel mit ümlaut") == [".fetch/small.zip"]


def test_the_mirror_of_a_part_is_asked_first(site: Site, other: Site, tmp_path: Path) -> None:
    source = small_source(site.url, other.url)
    site.faults = [Fault(status=404)] * 2
    other.faults = [Fault(cut_after=600_000), *[Fault(status=503)] * 3]
    refusal(source, tmp_path)
    site.ranges.clear()
    fetch(source, tmp_path)
    assert site.ranges == []
    assert other.ranges[-1] == "bytes=524288-"
    assert is_whole(tmp_path)


def test_all_failures_come_in_one_message_with_a_way_out(
    site: Site, other: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.faults, other.faults = [Fault(status=404)], [Fault(status=503)] * 3
    message = refusal(small_source(site.url, other.url), tmp_path)
    assert message.startswith("small: no mirror gave small.zip:\n  - ")
    assert "404 Client Error" in message
    assert "503 Server Error" in message
    assert "from https://example.org/small and run `oneshot-vos fetch small --archive small=FILE`" in message
    monkeypatch.setitem(sys.modules, "gdown", None)
    assert "pip install 'oneshot-vos[fetch]'" in refusal(small_source(f"{DRIVE}id"), tmp_path)
    assert not (tmp_path / "sets").exists()


def test_wrong_bytes_are_deleted_and_the_next_mirror_asked(
    site: Site, other: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    site.content = zipped({**VIDEOS, "top/list.txt": b"other one\n\n"})
    fetch(small_source(site.url, other.url, size=len(ARCHIVE), checksum=f"sha256:{SHA256}"), tmp_path)
    assert f"expected {len(ARCHIVE)} bytes with {SHA256}, as its publisher gives it. It was deleted" in caplog.text
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("checksum", [f"sha256:{SHA256}", None])
def test_a_download_spliced_from_two_files_is_never_used(site: Site, tmp_path: Path, checksum: str | None) -> None:
    site.content = bytes(600_000) + ARCHIVE[600_000:]
    site.faults = [Fault(cut_after=600_000), Fault(before=lambda: setattr(site, "content", ARCHIVE))]
    message = refusal(small_source(site.url, checksum=checksum), tmp_path)
    assert ("with SHA256" if checksum else "damaged or cut off") in message
    assert not (tmp_path / "sets/small").exists()
    assert not (tmp_path / "fetch.lock.json").exists()


def test_something_else_than_an_archive_is_noticed_without_a_checksum(site: Site, tmp_path: Path) -> None:
    site.content = b"<html>quota</html>" * 100
    assert "neither a zip nor a tar file, or cut off" in refusal(small_source(site.url), tmp_path)
    assert leftovers(tmp_path) == []


def test_other_bytes_than_those_pinned_are_refused(site: Site, tmp_path: Path) -> None:
    source = small_source(site.url)
    fetch(source, tmp_path)
    (tmp_path / "sets/small").rename(tmp_path / "moved")
    site.content = zipped({**VIDEOS, "top/new.txt": b"new"})
    assert "if the publisher replaced the file, take 'small' out of it" in refusal(source, tmp_path)
    (tmp_path / "fetch.lock.json").write_text('{"format": "oneshot-vos fetch 1", "files": {}}')
    fetch(source, tmp_path)
    assert (tmp_path / "sets/small/new.txt").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": "other", "files": {}}', '{"files": {"small": {"size": 1, "sha256": "?"}}}']
)
def test_a_damaged_lock_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "fetch.lock.json").write_text(content)
    assert "fetch.lock.json: not readable" in refusal(small_source(), tmp_path)
    assert (tmp_path / "fetch.lock.json").read_text() == content


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ({"top/readme.txt": b""}, "holds top; expected a folder with JPEGImages, list.txt"),
        ({**VIDEOS, "copy/JPEGImages/x/0.jpg": b"", "copy/list.txt": b""}, "holds sets/small twice"),
        (
            {name: content for name, content in VIDEOS.items() if "camel" not in name},
            "sets/small in it has 1 videos (expected 2), 2 frames (expected 3)",
        ),
        ({**VIDEOS, "../../../escaped": b"x"}, "'../../../escaped' leads out of the archive"),
    ],
)
def test_an_archive_with_something_else_leaves_no_folder(
    site: Site, tmp_path: Path, members: dict[str, bytes], finding: str
) -> None:
    site.content = zipped(members)
    assert finding in refusal(small_source(site.url), tmp_path / "a/b")
    assert leftovers(tmp_path / "a/b") == [".fetch/small.zip"]
    assert not (tmp_path / "a/b/sets/small").exists()
    assert not (tmp_path / "a/b/fetch.lock.json").exists()
    assert not list(tmp_path.rglob("escaped"))


# --- what is there already -------------------------------------------------------------------------------------------


def test_a_linked_tree_of_the_user_is_used_and_nothing_written(site: Site, tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", {**VIDEOS, ".DS_Store": b""})
    (tmp_path / "root/sets").mkdir(parents=True)
    (tmp_path / "root/sets/small").symlink_to(tmp_path / "elsewhere")
    fetch(small_source(site.url), tmp_path / "root")
    assert site.ranges == []
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["sets"]


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ({"top/JPEGImages/bear/00000.jpg": b"x"}, "no list.txt, 1 videos (expected 2), 1 frames (expected 3)"),
        ({**VIDEOS, "top/JPEGImages/extra/0.jpg": b"x"}, "3 videos (expected 2), 4 frames (expected 3)"),
        ({**VIDEOS, "top/JPEGImages/bear/00000.jpg": b""}, "JPEGImages/bear/00000.jpg is empty"),
        ({"top/my notes.txt": b"precious"}, "no JPEGImages, no list.txt"),
    ],
)
def test_a_tree_that_differs_is_neither_used_nor_touched(
    site: Site, tmp_path: Path, members: dict[str, bytes], finding: str
) -> None:
    write_tree(tmp_path / "sets/small", members)
    before = sorted(tmp_path.rglob("*"))
    message = refusal(small_source(site.url), tmp_path)
    assert message.startswith(f"{tmp_path / 'sets/small'}: {finding}")
    assert "nothing there was touched. Complete it, or move it away" in message
    assert sorted(tmp_path.rglob("*")) == before
    assert site.ranges == []


def test_a_dead_link_and_a_file_in_the_way_are_named(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/small").symlink_to(tmp_path / "gone")
    assert "a file or a dead link, not a folder" in refusal(small_source(), tmp_path)


def test_of_several_parts_only_those_that_are_missing_are_made(site: Site, tmp_path: Path) -> None:
    parts = tuple(Part(f"static/{name}") for name in ("one", "two", "three"))
    site.content = zipped({f"static/{name}/x.jpg": b"new" for name in ("one", "two", "three")})
    write_tree(tmp_path / "static/one", {"x.jpg": b"own"})
    (tmp_path / "static/two").mkdir()  # an empty folder is filled
    fetch(small_source(site.url, parts=parts), tmp_path)
    assert {path.parent.name: path.read_bytes() for path in (tmp_path / "static").rglob("x.jpg")} == {
        "one": b"own",
        "two": b"new",
        "three": b"new",
    }


# --- the archive of the user, single files, disks ---------------------------------------------------------------------


def test_an_archive_at_hand_needs_no_server_and_is_kept(tmp_path: Path) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(ARCHIVE)
    fetch(small_source(), tmp_path / "root", archive=archive)
    assert is_whole(tmp_path / "root")
    assert archive.read_bytes() == ARCHIVE
    assert pins(tmp_path / "root") == {"small": PINNED | {"source": "a file of the user"}}
    wrong = small_source(size=len(ARCHIVE), checksum=f"sha256:{0:064}")
    message = refusal(wrong, tmp_path / "other", archive=archive)
    assert f"mine.zip: {len(ARCHIVE)} bytes with SHA256 {SHA256}; expected" in message
    assert "Get it from https://example.org/small" in message
    assert archive.exists()
    assert "none.zip: no such file" in refusal(wrong, tmp_path / "other", archive=tmp_path / "none.zip")


def test_weights_go_where_torch_looks_for_them(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    site.content = b"weights" * 10_000
    checksum = f"sha256:{hashlib.sha256(site.content).hexdigest()}"
    weights = {"parts": (), "torch_hub": True, "file_name": "net.pth"}
    source = small_source(site.url, **weights, size=70_000, checksum=checksum)
    fetch(source, tmp_path / "root")
    placed = tmp_path / "torch/hub/checkpoints/net.pth"
    assert placed.read_bytes() == site.content
    assert [path.name for path in placed.parent.iterdir()] == [placed.name]
    for content in (b"half", bytes(70_000)):
        placed.write_bytes(content)
        assert f"{len(content)} bytes with SHA256 " in refusal(source, tmp_path / "root")


def test_room_for_the_archive_and_its_content_is_looked_for_first(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda path: 800_000_000)
    assert "small.zip: needs 1.00GB, and the disk has 800MB" in refusal(
        small_source(site.url, size=5 * 10**8), tmp_path
    )
    assert site.ranges == []


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    assert "cannot be read or written (" in refusal(small_source(), tmp_path / "root")


# --- several processes, and what a killed or interrupted one leaves ---------------------------------------------------

CHILD = """
import logging, sys
from pathlib import Path
from tests.fetch.loopback import small_source
from oneshot_vos.fetch.obtain import fetch
logging.basicConfig(level="INFO", stream=sys.stdout)
fetch(small_source(sys.argv[1]), Path(sys.argv[2]))
"""


def child(site: Site, root: Path, repository: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, site.url, str(root)]
    return subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.05)


def test_two_processes_fetch_once(site: Site, tmp_path: Path, repository: Path) -> None:
    go_on = threading.Event()
    site.faults = [Fault(silent=go_on)]
    first = child(site, tmp_path, repository)
    wait_for(lambda: site.ranges)
    second = child(site, tmp_path, repository)
    assert second.stdout is not None
    assert "another process is at work on it; waiting" in second.stdout.readline()
    go_on.set()
    assert [process.wait(timeout=120) for process in (first, second)] == [0, 0]
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []
    assert len(site.ranges) == 1


def test_a_killed_process_is_resumed(site: Site, tmp_path: Path, repository: Path) -> None:
    go_on = threading.Event()
    site.faults = [Fault(silent=go_on)]
    killed = child(site, tmp_path, repository)
    wait_for(lambda: sum(path.stat().st_size for path in tmp_path.glob(".fetch/small.0/*.part")) >= 524288)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    go_on.set()
    write_tree(tmp_path / "sets/.small.unpacking", {"top/half": b"half"})  # as if killed while it unpacked
    fetch(small_source(site.url), tmp_path)  # the lock died with its holder
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []
    assert site.ranges[-1] is not None


@pytest.mark.parametrize("whole", [True, False])
def test_an_archive_that_a_kill_left_is_verified(site: Site, tmp_path: Path, whole: bool) -> None:
    write_tree(tmp_path / ".fetch", {"small.zip": ARCHIVE if whole else b"not what it should be"})
    fetch(small_source(site.url), tmp_path)
    assert len(site.ranges) == (0 if whole else 1)
    assert is_whole(tmp_path)


def test_an_interrupt_leaves_the_archive_and_no_folder(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "sync", interrupt)
        fetch(small_source(site.url), tmp_path)
    assert leftovers(tmp_path) == [".fetch/small.zip"]
    fetch(small_source(site.url), tmp_path)
    assert len(site.ranges) == 1
    assert is_whole(tmp_path)
