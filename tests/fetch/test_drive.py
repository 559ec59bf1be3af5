"""Google Drive: what gdown is asked for, and what becomes of its errors. gdown itself is replaced."""

import errno
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.fetch.loopback import QUICK, VIDEOS, small_source, zipped

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import drive, transfer
from oneshot_vos.fetch.obtain import fetch
from oneshot_vos.fetch.transfer import MirrorError

ARCHIVE = zipped(VIDEOS)


class DownloadError(Exception):
    pass


class FileURLRetrievalError(DownloadError):
    pass


@pytest.fixture
def gdown(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], list[dict[str, Any]]]:
    """Puts a function in the place of `gdown.download`; returns the arguments of all calls."""

    def replace(behaviour: Callable[..., None]) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def download(**options: Any) -> None:
            calls.append(options)
            behaviour(Path(options["output"]), options["progress"])

        module = ModuleType("gdown")
        module.download = download  # type: ignore[attr-defined]
        module.exceptions = SimpleNamespace(  # type: ignore[attr-defined]
            DownloadError=DownloadError, FileURLRetrievalError=FileURLRetrievalError
        )
        monkeypatch.setitem(sys.modules, "gdown", module)
        return calls

    return replace


def arrive(output: Path, progress: Callable[[int, int | None], None]) -> None:
    progress(10, len(ARCHIVE))
    progress(len(ARCHIVE), len(ARCHIVE))
    output.write_bytes(ARCHIVE)


def test_a_set_comes_from_drive(gdown: Any, tmp_path: Path) -> None:
    calls = gdown(arrive)
    fetch(small_source("drive:some-id"), tmp_path, lambda line: None, patience=QUICK)
    assert (tmp_path / "sets/small/list.txt").read_bytes() == VIDEOS["top/list.txt"]
    (call,) = calls
    assert call["id"] == "some-id"
    assert call["resume"] is True
    assert (call["timeout"], call["retries"]) == (QUICK.timeout, QUICK.attempts - 1)
    assert sorted(path.name for path in (tmp_path / ".fetch").iterdir()) == ["pins.lock", "small.lock"]


def test_the_installed_gdown_takes_these_arguments(gdown: Any, tmp_path: Path) -> None:
    real = pytest.importorskip("gdown")
    calls = gdown(arrive)
    drive.download("id", tmp_path, "x.zip", title="x", patience=QUICK)
    inspect.signature(real.download).bind(**calls[0])
    assert issubclass(real.exceptions.FileURLRetrievalError, real.exceptions.DownloadError)


def test_without_gdown_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(MirrorError, match=r"needs the package gdown, .*pip install 'oneshot-vos\[fetch\]'"):
        drive.download("some-id", tmp_path / "x", "x.zip", title="x", patience=QUICK)
    assert not (tmp_path / "x").exists()


def test_a_quota_is_explained_and_the_part_kept(gdown: Any, tmp_path: Path) -> None:
    def refuse(output: Path, progress: object) -> None:
        raise FileURLRetrievalError("Failed to retrieve file url:\n\n\tToo many users have viewed the file")

    gdown(refuse)
    (tmp_path / "x.zipabc.part").write_bytes(b"half")
    with pytest.raises(
        MirrorError, match=r"did not give the file \(Failed to retrieve file url\); .*Try again tomorrow"
    ):
        drive.download("some-id", tmp_path, "x.zip", title="x", patience=QUICK)
    assert (tmp_path / "x.zipabc.part").exists()


@pytest.mark.parametrize("moved", [True, False])
def test_a_part_that_cannot_be_continued_is_removed(gdown: Any, tmp_path: Path, moved: bool) -> None:
    def fail(output: Path, progress: Callable[[int, int | None], None]) -> None:
        if moved:
            progress(5, 10)
        raise DownloadError("multiple temporary files")

    gdown(fail)
    (tmp_path / "x.zipabc.part").write_bytes(b"half")
    with pytest.raises(MirrorError, match=r"broke off \(multiple temporary files\); run the same command again"):
        drive.download("some-id", tmp_path, "x.zip", title="x", patience=QUICK)
    assert (tmp_path / "x.zipabc.part").exists() == moved


def test_a_full_disk_is_not_blamed_on_google(gdown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(output: Path, progress: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    gdown(fill)
    with pytest.raises(UserError, match=r"x\.zip: cannot be written \(No space left on device\).*Free some space"):
        drive.download("some-id", tmp_path, "x.zip", title="x", patience=QUICK)
    gdown(arrive)
    usage = transfer.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(UserError, match=r"x\.zip: needs .*, and the disk has 10 B left"):
        drive.download("some-id", tmp_path, "x.zip", title="x", patience=QUICK)


def test_an_end_without_a_file_is_a_failure(gdown: Any, tmp_path: Path) -> None:
    gdown(lambda output, progress: None)
    with pytest.raises(MirrorError, match="gdown ended without an error and without a file"):
        drive.download("some-id", tmp_path, "x.zip", title="x", patience=QUICK)
