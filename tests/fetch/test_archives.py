"""Archives that want to write elsewhere, fill the disk or pretend: nothing of them is unpacked."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fetch.loopback import tarred, zipped

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import archives as unpacking
from oneshot_vos.fetch import disk
from oneshot_vos.fetch.archives import unpack

GOOD = {"top/a.txt": b"a" * 1000, "top/sub/b.txt": b"b", "top/sub/ünïcode name.txt": b"c"}
MAKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": lambda members: tarred(members, "w:"),
    "tar.gz": tarred,
    "tar.xz": lambda members: tarred(members, "w:xz"),
}


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "box/archive"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def attempt(tmp_path: Path, content: bytes) -> str:
    """The refusal of an archive; nothing may appear outside the target."""
    archive = write(tmp_path, content)
    with pytest.raises(UserError) as refusal:
        unpack(archive, tmp_path / "box/target", title="x")
    assert {path.name for path in tmp_path.iterdir()} == {"box"}
    assert {path.name for path in (tmp_path / "box").iterdir()} == {"archive", "target"}
    return str(refusal.value)


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_is_unpacked_without_the_debris_of_other_systems(tmp_path: Path, kind: str) -> None:
    debris = {"__MACOSX/top/._a.txt": b"x", "top/.DS_Store": b"x", "top/._a.txt": b"x", "top/Thumbs.db": b"x"}
    unpack(write(tmp_path, MAKERS[kind]({**GOOD, **debris, "./top//c.txt": b"c"})), tmp_path / "target", title="x")
    found = {path.relative_to(tmp_path / "target").as_posix(): path for path in (tmp_path / "target").rglob("*.*")}
    assert {name: path.read_bytes() for name, path in found.items()} == {**GOOD, "top/c.txt": b"c"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["/etc/passwd", "//server/x", "../x", "top/../../x", "top/..", "..\\x", "C:/windows/x", "top/line\nbreak"]
)
def test_names_that_leave_the_target_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    message = attempt(tmp_path, MAKERS[kind]({"top/first.txt": b"good", name: b"bad"}))
    assert "leads out of the archive; expected plain names below its top" in message
    assert "delete it and get it again" in message
    if kind == "zip":  # every member is looked at before the first is written
        assert list((tmp_path / "box/target").iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("first", "second"),
    [("a/b", "a//b"), ("a", "a/b"), ("a/b", "a"), ("caf\u00e9", "cafe\u0301")],  # the last: one name on some systems
)
def test_one_name_for_two_members_is_refused(tmp_path: Path, kind: str, first: str, second: str) -> None:
    message = attempt(tmp_path, MAKERS[kind]({first: b"1", second: b"2"}))
    assert "Nothing of it was used" in message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as box:
        info = tarfile.TarInfo("top/link")
        info.type, info.linkname = kind, "inside"
        box.addfile(info)
    assert "is a link or a device; expected files and folders only" in attempt(tmp_path, stream.getvalue())


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_links_and_devices_of_zip_are_refused(tmp_path: Path, mode: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as box:
        info = zipfile.ZipInfo("top/link")
        info.external_attr = mode << 16
        box.writestr(info, "inside")
    assert "is a link or a device" in attempt(tmp_path, stream.getvalue())


def test_rights_of_the_archive_are_not_taken_over(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as box:
        info = tarfile.TarInfo("top/tool")
        info.mode = 0o6777
        box.addfile(info)
    unpack(write(tmp_path, stream.getvalue()), tmp_path / "target", title="x")
    assert (tmp_path / "target/top/tool").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(("limit", "most"), [("MOST_BYTES", 1_000_000), ("MOST_MEMBERS", 10)])
def test_a_bomb_is_refused(tmp_path: Path, kind: str, limit: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, limit, most)
    bomb = MAKERS[kind]({f"top/{number}": bytes(100_000) for number in range(20)})
    assert "unpacks to more than" in attempt(tmp_path, bomb)


def test_a_size_that_lies_is_damage(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("top/a", bytes(100_000))
    lie = stream.getvalue().replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    assert lie != stream.getvalue()
    assert "damaged or cut off" in attempt(tmp_path, lie)
    assert sum(path.stat().st_size for path in (tmp_path / "box/target").rglob("*") if path.is_file()) <= 10


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"top/a": b"secret"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted, password required" in attempt(tmp_path, bytes(content))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.8])
def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path, kind: str, part: float) -> None:
    random = bytes((7 * number * number + number // 3) % 251 for number in range(50_000))
    content = MAKERS[kind]({"top/a": random, "top/b": random})
    assert "cut off" in attempt(tmp_path, content[: int(len(content) * part)])


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_flipped_bit_is_found(tmp_path: Path, kind: str) -> None:
    content = bytearray(MAKERS[kind]({"top/a": b"payload" * 10_000}))
    content[len(content) // 2] ^= 1
    assert "damaged or cut off" in attempt(tmp_path, bytes(content))


def test_room_is_looked_for_before_a_zip_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda path: 500)
    with pytest.raises(UserError, match=r"needs 1\.00kB, and the disk has 500B left; expected room for it"):
        unpack(write(tmp_path, zipped(GOOD)), tmp_path / "target", title="x")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["zip", "tar"]),
    names=st.lists(st.text("ab./\\:\u00e9\n", min_size=1, max_size=12), min_size=1, max_size=4),
)
def test_no_name_writes_outside_the_target(
    tmp_path_factory: pytest.TempPathFactory, kind: str, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "archive").write_bytes(MAKERS[kind](dict.fromkeys(names, b"x")))
    with suppress(UserError):
        unpack(folder / "archive", folder / "target", title="x")
    assert {path.name for path in folder.iterdir()} == {"archive", "target"}
