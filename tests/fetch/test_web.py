"""Downloads from a real server on the loopback, which cuts, lies, forgets and changes its mind."""

import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fetch.loopback import QUICK, Fault, Site, served

from oneshot_vos.errors import UserError
from oneshot_vos.fetch import transfer, web
from oneshot_vos.fetch.transfer import MirrorError, Patience

CONTENT = bytes(range(256)) * 400  # 102,400 bytes


@pytest.fixture
def site() -> Iterator[Site]:
    with served(CONTENT) as running:
        yield running


def fetch(site: Site, folder: Path, size: int | None = None, patience: Patience = QUICK) -> bytes:
    part = folder / "data.part"
    web.download(site.url, part, size=size, title="data", patience=patience)
    return part.read_bytes()


def test_a_file_arrives(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path / "new", len(CONTENT)) == CONTENT
    assert site.ranges == [None]


def test_a_finished_part_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    fetch(site, tmp_path)
    assert len(site.requests) == 1


def test_a_cut_connection_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=50_000), Fault(cut_after=30_000)]
    assert fetch(site, tmp_path) == CONTENT
    first, second = 50_000 - web.OVERLAP, 50_000 - web.OVERLAP + 30_000 - web.OVERLAP
    assert site.ranges == [None, f"bytes={first}-", f"bytes={second}-"]
    assert site.requests[1]["If-Range"] == '"one"'


def test_progress_renews_the_patience(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=web.OVERLAP + 10_000) for _ in range(8)]  # more cuts than attempts
    assert fetch(site, tmp_path) == CONTENT


def test_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=60_000), *[Fault(status=503)] * 3]
    with pytest.raises(MirrorError, match="the server answered 503, 3 times without getting further than byte 60000"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path) == CONTENT
    assert site.ranges[-1] == f"bytes={60_000 - web.OVERLAP}-"


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=60_000), Fault(ignore_range=True)]
    assert fetch(site, tmp_path) == CONTENT
    assert len(site.requests) == 2


def test_a_server_without_ranges_that_always_cuts_is_given_up(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=60_000, ignore_range=True) for _ in range(9)]
    with pytest.raises(MirrorError, match=r"the connection was cut at byte 60000 of 102400, 3 times"):
        fetch(site, tmp_path)
    assert len(site.requests) == 3


def test_a_range_from_another_place_is_refused(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=60_000), Fault(shift=10)]
    with pytest.raises(
        MirrorError, match=r"asked for byte 55904 and answered with the range 'bytes 55914-102399/102400'"
    ):
        fetch(site, tmp_path)


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_file_that_changed_between_tries_is_fetched_anew(site: Site, tmp_path: Path, etag: str | None) -> None:
    changed = bytes(reversed(CONTENT))

    def change() -> None:
        site.content, site.etag = changed, etag

    if etag is None:
        site.etag = None  # only the bytes themselves can tell
    site.faults = [Fault(cut_after=60_000), Fault(before=change)]
    assert fetch(site, tmp_path) == changed


def test_a_file_that_changed_under_the_same_validator_is_noticed_by_its_size(site: Site, tmp_path: Path) -> None:
    def change() -> None:
        site.content = CONTENT + b"more"

    site.faults = [Fault(cut_after=60_000), Fault(before=change)]
    assert fetch(site, tmp_path) == CONTENT + b"more"
    assert site.ranges[2] is None


def test_a_file_that_shrank_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    def change() -> None:
        site.content, site.etag = b"short", None

    site.etag = None
    site.faults = [Fault(cut_after=60_000), Fault(before=change)]
    assert fetch(site, tmp_path) == b"short"


def test_last_modified_is_a_validator_too(site: Site, tmp_path: Path) -> None:
    site.etag, site.last_modified = 'W/"weak"', "Mon, 01 Jan 2018 00:00:00 GMT"
    site.faults = [Fault(cut_after=60_000)]
    assert fetch(site, tmp_path) == CONTENT
    assert site.requests[1]["If-Range"] == site.last_modified


def test_a_length_that_promises_too_much_is_a_cut(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(announce=200_000)]
    assert fetch(site, tmp_path) == CONTENT  # the second answer tells the true length
    site.faults = [Fault(announce=200_000, ignore_range=True)] * 9
    with pytest.raises(MirrorError, match="cut at byte 102400 of 200000"):
        fetch(site, tmp_path / "again")


def test_a_length_other_than_the_published_one_is_refused_before_the_bytes(site: Site, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"the server offers 102400 bytes; expected 832766765"):
        fetch(site, tmp_path, 832_766_765)
    assert not (tmp_path / "data.part").exists()


def test_a_length_that_hides_the_end_gives_a_short_file(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(announce=100)]  # the checksum or the archive's end tells later
    assert fetch(site, tmp_path) == CONTENT[:100]


def test_chunks_without_a_length(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(chunked=True, cut_after=50_000), Fault(chunked=True, ignore_range=True)]
    assert fetch(site, tmp_path) == CONTENT
    fetch(site, tmp_path)
    assert len(site.requests) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(site: Site, tmp_path: Path, status: int) -> None:
    site.faults = [Fault(status=status)]
    with pytest.raises(MirrorError, match=rf"the server answered {status} .*; expected the file"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1


def test_an_overloaded_server_is_asked_again_when_it_says(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(web.time, "sleep", waits.append)
    site.faults = [Fault(status=503, headers={"Retry-After": "7"}), Fault(status=429, headers={"Retry-After": "9999"})]
    assert fetch(site, tmp_path) == CONTENT
    assert waits == [7.0, 60.0]


def test_a_silent_server_is_a_cut(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(silent=5.0)]
    assert fetch(site, tmp_path, patience=Patience(attempts=6, timeout=1.0, pause=0.01)) == CONTENT
    assert site.ranges[1] == f"bytes={51_200 - web.OVERLAP}-"


def test_a_web_page_is_no_file(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(body=b"<html>please log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})]
    with pytest.raises(MirrorError, match="the server sent a web page; expected a file"):
        fetch(site, tmp_path)


def test_an_encoded_file_is_refused(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(MirrorError, match="encoded as gzip"):
        fetch(site, tmp_path)
    assert site.requests[0]["Accept-Encoding"] == "identity"


def test_a_redirection_is_followed_but_not_out_of_https(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(status=302, headers={"Location": "/elsewhere.zip"})]
    assert fetch(site, tmp_path) == CONTENT
    request = web.urllib.request.Request("https://example.org/data.zip")
    with pytest.raises(MirrorError, match="redirects to http://evil/; expected an https address"):
        web._SafeRedirects().redirect_request(request, None, 302, "", {}, "http://evil/")  # type: ignore[arg-type]


def test_no_server_at_all(tmp_path: Path) -> None:
    with served(b"") as gone:
        url = gone.url
    with pytest.raises(MirrorError, match=r"127\.0\.0\.1.*: no connection \(.*refused.*\), 3 times"):
        web.download(url, tmp_path / "x.part", size=None, title="x", patience=QUICK)


def test_a_part_of_another_address_is_not_continued(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "data.part"
    part.write_bytes(b"?" * 50_000)
    state = {"url": "http://other/", "size": len(CONTENT), "etag": '"one"', "last_modified": None}
    (tmp_path / "data.part.json").write_text(json.dumps(state))
    assert fetch(site, tmp_path) == CONTENT
    assert site.ranges == [None]


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"url": 3}', "\x00"])
def test_a_damaged_record_of_a_part_is_not_trusted(site: Site, tmp_path: Path, state: str) -> None:
    (tmp_path / "data.part").write_bytes(b"?" * 50_000)
    (tmp_path / "data.part.json").write_text(state)
    assert fetch(site, tmp_path) == CONTENT


def test_a_part_whose_end_is_torn_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.faults = [Fault(cut_after=60_000), *[Fault(status=503)] * 3]
    with pytest.raises(MirrorError):
        fetch(site, tmp_path)
    with (tmp_path / "data.part").open("rb+") as stream:
        stream.seek(59_990)
        stream.write(bytes(10))
    assert fetch(site, tmp_path) == CONTENT


def test_a_full_disk_is_noticed_before_the_bytes(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    with pytest.raises(UserError, match=r"data\.part: needs 102\.4 kB, and the disk has 50\.0 kB left; expected room"):
        fetch(site, tmp_path)


def test_a_disk_that_fills_up_is_not_blamed_on_the_server(site: Site, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(UserError, match=r"data\.part: cannot be written \(File too large\); expected room"):
            fetch(site, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fetch(site, tmp_path) == CONTENT
    assert site.ranges[1] is not None
