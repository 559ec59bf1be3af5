"""A server for every test that asks, and downloads that do not wait long."""

from collections.abc import Iterator

import pytest
from tests.fetch.loopback import VIDEOS, Site, served, zipped

from oneshot_vos.fetch import download


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ATTEMPTS": 3, "TIMEOUT": 30.0, "PAUSE": 0.01}.items():
        monkeypatch.setattr(download, name, value)


@pytest.fixture
def site() -> Iterator[Site]:
    with served(zipped(VIDEOS)) as running:
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    with served(zipped(VIDEOS)) as running:
        yield running
