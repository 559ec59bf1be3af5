"""Where tests find what does not lie in the repository: golden numbers and real videos."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser import NewPage

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no worker begins one when the others have nothing left to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden_root() -> Path:
    """The folder of golden numbers; the test is skipped where there is none."""
    return _outside("ONESHOT_VOS_GOLDEN", "../shared/golden", "golden numbers")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real videos; the test is skipped where there is none."""
    return _outside("ONESHOT_VOS_DATA", "../shared/data", "real videos")


@pytest.fixture(scope="session")
def cases_root() -> Path:
    """The folder of files that went wrong for their users; the test is skipped where there is none."""
    return _outside("ONESHOT_VOS_CASES", "../shared/cases", "cases of users")


def _outside(variable: str, default: str, what: str) -> Path:
    """A folder named by an environment variable, or the default beside the repository.

    Where ONESHOT_VOS_REQUIRE_SHARED=1 says that the folders must be there, as in continuous integration, their absence
    is an error, not a skip.
    """
    root = Path(os.environ.get(variable, REPOSITORY / default)).resolve()
    if not root.is_dir():
        message = f"no {what} at {root}; set {variable} to their folder"
        if os.environ.get("ONESHOT_VOS_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return root


@pytest.fixture(scope="module")
def new_page() -> Iterator["NewPage"]:
    """Makes pages of a headless Chromium, one for all tests of a module; see browser.py."""
    from tests.browser import one_browser

    with one_browser() as new:
        yield new


@pytest.fixture
def held_elsewhere() -> Iterator[Callable[[Path, str], int]]:
    """Lets another process hold a folder until the test ends; returns its number."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom oneshot_vos.files import held\n"
        "with held(Path(sys.argv[1]), sys.argv[2]):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with ExitStack() as ending:

        def hold(folder: Path, doing: str) -> int:
            arguments = [sys.executable, "-c", code, str(folder), doing]
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            ending.enter_context(process)  # closes its input, which ends it
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            return process.pid

        yield hold
