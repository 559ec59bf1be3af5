"""Downloads from a real server that cuts, refuses and changes its mind, and from a replaced Google Drive."""

import errno
import inspect
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdown
import pytest
import requests
from tests.fetch.loopback import Fault, Site, served

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import disk, download
from oneshot_vos.fetch.download import MirrorError
from oneshot_vos.fetch.sources import DRIVE

BLOCK = 512 * 1024  # of gdown: what a cut may lose


def fetch(url: str, folder: Path, size: int | None = None) -> bytes:
    download.download(url, folder / "own/data.zip", size=size, title="data")
    return (folder / "own/data.zip").read_bytes()


def test_a_cut_download_resumes_and_progress_renews_the_patience(site: Site, tmp_path: Path) -> None:
    # gdown asks without a range first, then for the rest
    cuts = [Fault(), Fault(cut_after=BLOCK + 1000)] * 3
    site.faults = [Fault(cut_after=BLOCK + 1000), *cuts]
    assert fetch(site.url, tmp_path, len(site.content)) == site.content
    assert [asked for asked in site.ranges if asked] == [f"bytes={k * BLOCK}-" for k in (1, 2, 3, 4)]
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["data.zip"]


def test_a_later_call_resumes_what_an_overloaded_server_began(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=BLOCK + 1000), *[Fault(status=503)] * 3]
    with pytest.raises(MirrorError, match=r"503 .*; 3 attempts got no further than byte 524288\. Rerun to resume"):
        fetch(site.url, tmp_path)
    assert fetch(site.url, tmp_path) == site.content
    assert site.ranges[-1] == f"bytes={BLOCK}-"


@pytest.mark.parametrize("validator", ["etag", "last_modified", "length"])
def test_a_file_that_was_replaced_is_noticed_before_it_is_resumed(site: Site, tmp_path: Path, validator: str) -> None:
    changed = bytes(reversed(site.content)) + b"more" * (validator == "length")
    site.etag = '"one"' if validator == "etag" else None
    site.last_modified = "Mon, 01 Jan 2018 00:00:00 GMT" if validator == "last_modified" else None
    site.faults = [Fault(cut_after=BLOCK + 1000), *[Fault(status=503)] * 3]
    with pytest.raises(MirrorError):
        fetch(site.url, tmp_path)
    site.content, site.ranges, site.faults = changed, [], []
    if validator == "etag":
        site.etag = '"two"'
    if validator == "last_modified":
        site.last_modified = "Tue, 02 Jan 2018 00:00:00 GMT"
    assert fetch(site.url, tmp_path) == changed
    assert site.ranges == [None]


def test_a_server_that_answers_no_head_is_resumed_all_the_same(site: Site, tmp_path: Path) -> None:
    site.head_status = 405
    site.faults = [Fault(cut_after=BLOCK + 1000)]
    assert fetch(site.url, tmp_path) == site.content
    assert site.ranges[-1] == f"bytes={BLOCK}-"


def test_a_redirection_out_of_https_is_refused_before_it_is_followed(site: Site, tmp_path: Path) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://example.org/data.zip"
    answer.headers["Location"] = "/elsewhere.zip"
    download._refuse_downgrade(answer)
    answer.headers["Location"] = "http://example.org/data.zip"
    with pytest.raises(MirrorError, match=r"redirects to http://example\.org/data\.zip; expected an https address"):
        download._refuse_downgrade(answer)


def test_a_server_without_ranges_starts_over_and_is_given_up_if_it_always_cuts(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=BLOCK + 1000), *[Fault(ignore_range=True)] * 9]
    assert fetch(site.url, tmp_path / "once") == site.content
    site.faults = [Fault(cut_after=BLOCK + 1000, ignore_range=True) for _ in range(40)]
    with pytest.raises(MirrorError, match="3 attempts got no further than byte 524288"):
        fetch(site.url, tmp_path / "always")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(site: Site, tmp_path: Path, status: int) -> None:
    site.faults = [Fault(status=status)]
    with pytest.raises(MirrorError, match=rf"{site.url}: {status} .*; expected the file"):
        fetch(site.url, tmp_path)
    assert len(site.ranges) == 1


def test_a_size_other_than_the_published_one_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=rf"the server offers {len(site.content)} bytes; expected 832766765"):
        fetch(site.url, tmp_path, 832_766_765)
    assert list((tmp_path / "own").iterdir()) == []


def test_no_server_at_all(tmp_path: Path) -> None:
    with served(b"") as gone:
        url = gone.url
    with pytest.raises(MirrorError, match=r"127\.0\.0\.1.*refused.*Rerun to resume"):
        fetch(url, tmp_path)


def test_a_full_disk_is_noticed_before_the_bytes(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda path: 50_000)
    with pytest.raises(UserError, match=r"data\.zip: needs [0-9.]+MB, and the disk has 50\.0kB left; expected room"):
        fetch(site.url, tmp_path)


def test_a_disk_that_fills_up_is_not_blamed_on_the_server(site: Site, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK, hard))
    try:
        with pytest.raises(UserError, match=r"data\.zip: cannot be read or written \(File too large\)"):
            fetch(site.url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fetch(site.url, tmp_path) == site.content
    assert site.ranges[-1] is not None


# --- Google Drive: gdown itself is replaced ---------------------------------------------------------------------------


def replace(monkeypatch: pytest.MonkeyPatch, behaviour: Callable[[Path, Any], object]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def pretend(**options: Any) -> None:
        calls.append(options)
        behaviour(Path(options["output"]), options["progress"])

    monkeypatch.setattr(gdown, "download", pretend)
    return calls


def test_drive_is_asked_in_a_way_that_the_installed_gdown_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gdown.download
    calls = replace(monkeypatch, lambda output, progress: output.write_bytes(b"content"))
    assert fetch(f"{DRIVE}some-id", tmp_path) == b"content"
    (call,) = calls
    inspect.signature(real).bind(**call)
    assert gdown.parse_url.parse_url(call["url"])[0] == "some-id"
    assert (call["resume"], call["use_cookies"]) == (True, True)


def test_a_quota_is_explained_and_the_part_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(output: Path, progress: object) -> None:
        (output.parent / "data.zipabcdefgh.part").write_bytes(b"half")
        raise gdown.exceptions.FileURLRetrievalError("Failed to retrieve file url:\n\n\tToo many users")

    replace(monkeypatch, refuse)
    with pytest.raises(MirrorError, match=r"did not give the file \(Failed to retrieve file url\); .*Try again tomor"):
        fetch(f"{DRIVE}some-id", tmp_path)
    assert (tmp_path / "own/data.zipabcdefgh.part").exists()


def test_a_full_disk_is_not_blamed_on_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(output: Path, progress: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    replace(monkeypatch, fill)
    with pytest.raises(UserError, match=r"data\.zip: cannot be read or written \(No space left on device\)"):
        fetch(f"{DRIVE}some-id", tmp_path)


def test_an_end_without_a_file_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, lambda output, progress: None)
    with pytest.raises(MirrorError, match="gdown ended without an error and without a file"):
        fetch(f"{DRIVE}some-id", tmp_path)


def test_without_gdown_a_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(MirrorError, match=r"needs the package gdown, .*pip install 'oneshot-vos\[fetch\]'"):
        fetch(f"{DRIVE}some-id", tmp_path)
    assert list(tmp_path.iterdir()) == []
