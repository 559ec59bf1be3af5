"""From a name to a whole folder, over a real server: mirrors, checksums, pins, and what is there already."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fetch.loopback import (
    VIDEOS,
    Fault,
    Site,
    is_whole,
    leftovers,
    obtain,
    served,
    small_source,
    tarred,
    write_tree,
    zipped,
)

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import transfer
from oneshot_vos.fetch.archives import Limits
from oneshot_vos.fetch.sources import Part

ARCHIVE = zipped(VIDEOS)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with served(ARCHIVE) as running:
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    with served(ARCHIVE) as running:
        yield running


def test_a_set_is_fetched_pinned_and_then_used_as_it_is(site: Site, tmp_path: Path) -> None:
    source = small_source(site.url)
    said = obtain(source, tmp_path)
    assert said[-1] == f"small: {tmp_path / 'sets/small'} is there (2 videos, 3 frames)"
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []
    pins = json.loads((tmp_path / "fetch.lock.json").read_text())
    assert pins["files"] == {"small": {"size": len(ARCHIVE), "sha256": SHA256, "source": site.url}}
    before = (tmp_path / "sets/small/list.txt").stat().st_mtime_ns
    assert "was there before (2 videos, 3 frames); used as it is" in obtain(source, tmp_path)[0]
    assert len(site.requests) == 1
    assert (tmp_path / "sets/small/list.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2"])
def test_tar_archives_too(site: Site, tmp_path: Path, mode: str) -> None:
    site.content = tarred(VIDEOS, mode)
    obtain(small_source(site.url), tmp_path)
    assert is_whole(tmp_path)


@pytest.mark.parametrize("top", ["", "a/", "some folder/mit ümlaut/"])
def test_the_archive_may_have_any_top_folder(site: Site, tmp_path: Path, top: str) -> None:
    site.content = zipped({f"{top}{name.removeprefix('top/')}": content for name, content in VIDEOS.items()})
    root = tmp_path / "Wurzel mit ümlaut"
    obtain(small_source(site.url), root)
    assert is_whole(root)


def test_the_archive_is_kept_on_request(site: Site, tmp_path: Path) -> None:
    obtain(small_source(site.url), tmp_path, keep=True)
    assert (tmp_path / ".fetch/small.zip").read_bytes() == ARCHIVE


def test_the_second_mirror_helps_where_the_first_fails(site: Site, other: Site, tmp_path: Path) -> None:
    site.faults = [Fault(status=404)]
    said = obtain(small_source(site.url, other.url), tmp_path)
    assert is_whole(tmp_path)
    assert f"small: {site.url}: the server answered 404 Not Found; expected the file" in said


def test_the_mirror_of_a_part_is_asked_first(site: Site, other: Site, tmp_path: Path) -> None:
    source = small_source(site.url, other.url)
    site.faults = [Fault(status=404)] * 2
    other.faults = [Fault(cut_after=60_000), *[Fault(status=503)] * 3]
    with pytest.raises(UserError):
        obtain(source, tmp_path)
    site.requests.clear()
    obtain(source, tmp_path)
    assert site.requests == []
    assert other.ranges[-1] is not None
    assert is_whole(tmp_path)


def test_all_failures_come_in_one_message_with_a_way_out(site: Site, other: Site, tmp_path: Path) -> None:
    site.faults = [Fault(status=404)]
    other.faults = [Fault(status=503)] * 3
    with pytest.raises(UserError) as failure:
        obtain(small_source(site.url, other.url, "drive:unreachable"), tmp_path)
    message = str(failure.value)
    assert message.startswith("small: no source gave small.zip:\n  - ")
    assert "answered 404" in message
    assert "answered 503" in message
    assert "https://drive.google.com/file/d/unreachable" in message
    assert "from https://example.org/small and run `oneshot-vos fetch small --archive small=FILE`" in message
    assert not (tmp_path / "sets").exists()


def test_wrong_bytes_are_deleted_and_the_next_mirror_asked(site: Site, other: Site, tmp_path: Path) -> None:
    site.content = bytes(len(ARCHIVE))
    said = obtain(small_source(site.url, other.url, size=len(ARCHIVE), sha256=SHA256), tmp_path)
    assert any("has SHA-256" in line and f"expected {SHA256}; it was deleted" in line for line in said)
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []


def test_something_else_than_an_archive_is_noticed_without_a_checksum(site: Site, other: Site, tmp_path: Path) -> None:
    site.content = b"<html>quota</html>" * 100
    other.faults = [Fault(announce=50_000)]  # hides its end
    with pytest.raises(UserError, match="neither a zip nor a tar file, or was cut off; it was deleted"):
        obtain(small_source(site.url, other.url), tmp_path)
    assert not (tmp_path / "fetch.lock.json").exists()
    assert leftovers(tmp_path) == []


def test_other_bytes_than_those_pinned_are_refused(site: Site, tmp_path: Path) -> None:
    source = small_source(site.url)
    obtain(source, tmp_path)
    (tmp_path / "sets/small").rename(tmp_path / "moved")
    site.content, site.etag = zipped({**VIDEOS, "top/new.txt": b"new"}), '"two"'
    with pytest.raises(UserError, match=r"fetch\.lock\.json pinned on first use\. If its publisher replaced the file"):
        obtain(source, tmp_path)
    content = json.loads((tmp_path / "fetch.lock.json").read_text())
    del content["files"]["small"]
    (tmp_path / "fetch.lock.json").write_text(json.dumps(content))
    obtain(source, tmp_path)
    assert (tmp_path / "sets/small/new.txt").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "other", "files": {}}',
        '{"format": "oneshot-vos fetch 1", "files": {"small": {"size": "1"}}}',
    ],
)
def test_a_damaged_lock_file_is_named(site: Site, tmp_path: Path, content: str) -> None:
    (tmp_path / "fetch.lock.json").write_text(content)
    with pytest.raises(UserError, match=r"fetch\.lock\.json: not readable.*expected what `oneshot-vos fetch` wrote"):
        obtain(small_source(site.url), tmp_path)
    assert (tmp_path / "fetch.lock.json").read_text() == content


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ({"top/readme.txt": b""}, "holds top; expected a folder with JPEGImages, list.txt for sets/small"),
        ({**VIDEOS, "copy/JPEGImages/x/0.jpg": b"", "copy/list.txt": b""}, "holds sets/small twice"),
        (
            {name: content for name, content in VIDEOS.items() if "camel" not in name},
            "has 1 videos in JPEGImages, expected 2; 2 frames in JPEGImages, expected 3",
        ),
        ({}, "holds nothing; expected a folder with"),
    ],
)
def test_an_archive_with_something_else_leaves_no_folder(
    site: Site, tmp_path: Path, members: dict[str, bytes], finding: str
) -> None:
    site.content = zipped(members)
    with pytest.raises(UserError) as failure:
        obtain(small_source(site.url), tmp_path)
    assert finding in str(failure.value)
    assert "get it from https://example.org/small" in str(failure.value)
    assert not (tmp_path / "sets/small").exists()
    assert not (tmp_path / "fetch.lock.json").exists()
    assert leftovers(tmp_path) == [".fetch/small.zip"]


def test_a_hostile_archive_leaves_no_folder(site: Site, tmp_path: Path) -> None:
    site.content = zipped({**VIDEOS, "../../../escaped": b"x"})
    with pytest.raises(UserError, match=r"member '\.\./\.\./\.\./escaped' leads out of the target"):
        obtain(small_source(site.url), tmp_path / "a/b")
    assert not list(tmp_path.rglob("escaped"))
    assert not (tmp_path / "a/b/sets/small").exists()
    with pytest.raises(UserError, match="more than 2 members"):
        obtain(small_source(site.url), tmp_path / "c", limits=Limits(members=2))


# --- what is there already -------------------------------------------------------------------------------------------


def test_a_tree_of_the_user_is_used_without_a_word_to_any_server(site: Site, tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", VIDEOS)
    (tmp_path / "root/sets").mkdir(parents=True)
    (tmp_path / "root/sets/small").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/.DS_Store").touch()
    (tmp_path / "root").chmod(0o555)
    try:
        obtain(small_source(site.url), tmp_path / "root")
    finally:
        (tmp_path / "root").chmod(0o755)
    assert site.requests == []
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["sets"]


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ({"top/JPEGImages/bear/00000.jpg": b""}, "no list.txt; 1 videos in JPEGImages, expected 2"),
        ({**VIDEOS, "top/JPEGImages/extra/0.jpg": b""}, "3 videos in JPEGImages, expected 2"),
        ({"top/my notes.txt": b"precious"}, "no JPEGImages; no list.txt"),
    ],
)
def test_a_tree_that_differs_is_neither_used_nor_touched(
    site: Site, tmp_path: Path, members: dict[str, bytes], finding: str
) -> None:
    write_tree(tmp_path / "sets/small", members)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as failure:
        obtain(small_source(site.url), tmp_path)
    assert f"{tmp_path / 'sets/small'}: {finding}" in str(failure.value)
    assert "nothing there was touched. Complete it, or move it away" in str(failure.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert site.requests == []


def test_a_dead_link_and_a_file_in_the_way_are_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/small").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"a link to .*gone, which does not exist"):
        obtain(small_source(site.url), tmp_path)
    (tmp_path / "sets/small").unlink()
    (tmp_path / "sets/small").write_text("a file")
    with pytest.raises(UserError, match="a file, where a folder is expected"):
        obtain(small_source(site.url), tmp_path)


def test_an_empty_folder_is_filled(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sets/small").mkdir(parents=True)
    obtain(small_source(site.url), tmp_path)
    assert is_whole(tmp_path)


def test_of_several_parts_only_those_that_are_missing_are_made(site: Site, tmp_path: Path) -> None:
    parts = tuple(Part(f"static/{name}", named=name) for name in ("one", "two"))
    site.content = zipped({"static/one/x.jpg": b"new", "static/two/y.jpg": b"new"})
    write_tree(tmp_path / "static/one", {"x.jpg": b"own"})
    obtain(small_source(site.url, parts=parts), tmp_path)
    assert (tmp_path / "static/one/x.jpg").read_bytes() == b"own"
    assert (tmp_path / "static/two/y.jpg").read_bytes() == b"new"
    assert sorted(path.name for path in (tmp_path / "static").iterdir()) == ["one", "two"]


# --- the archive of the user, single files, disks ---------------------------------------------------------------------


def test_an_archive_at_hand_needs_no_server(tmp_path: Path) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(ARCHIVE)
    obtain(small_source(), tmp_path / "root", archive=archive)
    assert is_whole(tmp_path / "root")
    assert archive.read_bytes() == ARCHIVE
    pins = json.loads((tmp_path / "root/fetch.lock.json").read_text())
    assert pins["files"]["small"]["sha256"] == SHA256


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (None, "no such file; expected the archive of a small set. Check --archive"),
        (b"x", r"has 1 bytes, expected \d+; it is not the archive of a small set\. Get it from https://example\.org"),
        (bytes(len(ARCHIVE)), r"has SHA-256 \w+, expected \w+; it is not the archive"),
    ],
)
def test_a_wrong_archive_at_hand_is_refused_and_kept(tmp_path: Path, content: bytes | None, finding: str) -> None:
    archive = tmp_path / "mine.zip"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(UserError, match=finding):
        obtain(small_source(size=len(ARCHIVE), sha256=SHA256), tmp_path / "root", archive=archive)
    assert archive.exists() == (content is not None)


def test_weights_go_where_torch_looks_for_them(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    site.content = b"weights" * 10_000
    source = small_source(
        site.url,
        kind="file",
        place="torch hub",
        parts=(Part("net-0a1b.pth"),),
        file_name="net-0a1b.pth",
        size=70_000,
        sha256=hashlib.sha256(site.content).hexdigest(),
    )
    obtain(source, tmp_path / "root")
    placed = tmp_path / "torch/hub/checkpoints/net-0a1b.pth"
    assert placed.read_bytes() == site.content
    assert [path.name for path in placed.parent.iterdir()] == [placed.name]
    placed.write_bytes(b"half")
    with pytest.raises(UserError, match=r"net-0a1b\.pth: 4 bytes, expected 70000"):
        obtain(source, tmp_path / "root")
    placed.write_bytes(bytes(70_000))
    with pytest.raises(UserError, match="another SHA-256"):
        obtain(source, tmp_path / "root")


def test_room_for_the_archive_and_its_content_is_looked_for_first(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = transfer.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage._replace(free=800_000_000))
    with pytest.raises(UserError, match=r"small\.zip: needs 1\.0 GB, and the disk has 800\.0 MB left"):
        obtain(small_source(site.url, size=500_000_000), tmp_path)
    assert site.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is writable for root")
def test_a_root_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir(mode=0o555)
    with pytest.raises(UserError, match=r"cannot be made \(Permission denied\); expected a folder that can be written"):
        obtain(small_source(site.url), tmp_path / "root")


def test_a_root_that_is_a_file_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(UserError, match=r"root/.*cannot be made \(.*\); expected a folder that can be written to"):
        obtain(small_source(site.url), tmp_path / "root")
