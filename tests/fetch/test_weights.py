"""Official weights by name, from a real server on 127.0.0.1."""

import hashlib
from pathlib import Path

import pytest
from tests.fetch.loopback import Fault, Site
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.fetch.sources import Source
from oneshot_vos.fetch.weights import WEIGHTS, cache_folder, find_weights
from oneshot_vos.registry import Registry


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache/oneshot-vos/weights"


def known(site: Site, md5: str | None = None) -> Registry[Source]:
    page, checksum = "https://example.org/net", md5 and f"md5:{md5}"
    source = Source("net-s0", "net", "net-s0.pth", (site.url,), page, checksum=checksum)
    return Registry("official weights", {"net-s0": source})


def test_weights_are_fetched_once_and_pinned(site: Site, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    found = find_weights(Path("net-s0"), known(site))
    assert found == cache / "net-s0.pth"
    assert found.read_bytes() == site.content
    assert "nobody published a checksum; pinned as first seen" in caplog.text
    asked = len(site.ranges)
    assert find_weights(Path("net-s0"), known(site)) == found
    assert len(site.ranges) == asked
    assert sorted(path.name for path in cache.iterdir()) == [".fetch", "fetch.lock.json", "net-s0.pth"]
    found.write_bytes(site.content[:-1])
    with pytest.raises(UserError, match=r"net-s0\.pth: .* SHA256 .*; expected .* pinned on first use"):
        find_weights(Path("net-s0"), known(site))


def test_a_published_checksum_is_held_against_the_file(site: Site, cache: Path) -> None:
    right = hashlib.md5(site.content).hexdigest()
    with pytest.raises(UserError, match=f"MD5 {right}; expected {'0' * 32}, as its publisher gives it"):
        find_weights(Path("net-s0"), known(site, "0" * 32))
    assert not (cache / "net-s0.pth").exists()
    assert find_weights(Path("net-s0"), known(site, right)).read_bytes() == site.content


def test_without_a_connection_the_message_says_what_to_put_where(site: Site, cache: Path) -> None:
    site.faults = [Fault(status=404)] * 9
    with pytest.raises(UserError) as caught:
        find_weights(Path("net-s0"), known(site))
    assert f"get the file from https://example.org/net and put it at {cache / 'net-s0.pth'}" in str(caught.value)
    cache.joinpath("net-s0.pth").write_bytes(b"by hand")
    assert find_weights(Path("net-s0"), known(site)).read_bytes() == b"by hand"


def test_what_is_no_name_stays_a_file(tmp_path: Path) -> None:
    (tmp_path / "xmem").write_bytes(b"a file of that name")
    for given in ("xmem", "missing.pth", "folder/missing"):
        assert find_weights(Path(given)) == Path(given)


def test_an_unknown_name_gets_the_nearest_and_all(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    done = CliRunner().invoke(app, ["segment", "frames", "--mask", "m.png", "--weights", "cutie-base-mgea"])
    assert done.exit_code == 2
    assert "no such file, nor official weights of that name; did you mean 'cutie-base-mega'? (known: " in done.stderr
    assert all(name in done.stderr for name in WEIGHTS)


def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    assert cache_folder() == Path.home() / ".cache/oneshot-vos/weights"
    assert all(each.mirrors[0].startswith("https://") for each in WEIGHTS.values())
