"""Several processes that fetch the same set, and what a killed or interrupted one leaves."""

import signal
import subprocess
import sys
import time
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
    write_tree,
    zipped,
)

ARCHIVE = zipped(VIDEOS)


@pytest.fixture
def site() -> Iterator[Site]:
    with served(ARCHIVE) as running:
        yield running


CHILD = """
import sys
from pathlib import Path
from tests.fetch.loopback import QUICK, small_source
from oneshot_vos.fetch.obtain import fetch
fetch(small_source(sys.argv[1]), Path(sys.argv[2]), lambda line: print(line, flush=True), patience=QUICK)
"""


def child(site: Site, root: Path, repository: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, site.url, str(root)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_two_processes_fetch_once(site: Site, tmp_path: Path, repository: Path) -> None:
    site.faults = [Fault(silent=2.0)]
    processes = [child(site, tmp_path, repository) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []
    assert len(site.requests) == 1
    assert sum("was there before" in text for text in said) == 1


def test_a_killed_process_is_continued(site: Site, tmp_path: Path, repository: Path) -> None:
    site.faults = [Fault(silent=60.0)]
    killed = child(site, tmp_path, repository)
    part = tmp_path / ".fetch/small.zip.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= len(ARCHIVE) // 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert part.stat().st_size == len(ARCHIVE) // 2
    obtain(small_source(site.url), tmp_path)  # the lock died with its holder
    assert is_whole(tmp_path)
    assert site.ranges[0] is None
    assert site.ranges[1] == f"bytes={len(ARCHIVE) // 2 - 4096}-"


def test_what_a_kill_leaves_is_cleared_away(site: Site, tmp_path: Path) -> None:
    write_tree(tmp_path / "sets/.small.unpacking", {"top/half": b"half"})  # killed while it unpacked
    (tmp_path / ".fetch").mkdir()
    (tmp_path / ".fetch/small.zip").write_bytes(ARCHIVE)  # the download was complete
    obtain(small_source(site.url), tmp_path)
    assert site.requests == []
    assert is_whole(tmp_path)
    assert leftovers(tmp_path) == []


def test_an_archive_that_a_kill_left_is_verified(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".fetch").mkdir()
    (tmp_path / ".fetch/small.zip").write_bytes(b"not what it should be")
    said = obtain(small_source(site.url), tmp_path)
    assert (
        "small: an earlier download: the file is neither a zip nor a tar file, or was cut off; it was deleted" in said
    )
    assert is_whole(tmp_path)


def test_an_interrupt_leaves_the_part_and_no_folder(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oneshot_vos.fetch.obtain.os.sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        obtain(small_source(site.url), tmp_path)
    assert leftovers(tmp_path) == [".fetch/small.zip"]
    monkeypatch.undo()
    obtain(small_source(site.url), tmp_path)
    assert len(site.requests) == 1
