"""A headless Chromium for tests of pages; it skips with a reason where there is none."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

# No request of the browser itself, and a sandbox only where it can be had.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NewPage = Callable[..., AbstractContextManager[Page]]


@contextmanager
def one_browser() -> Iterator[NewPage]:
    """Makes pages for the time of the block, none of which knows of the others."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("ONESHOT_VOS_REQUIRE_CHROMIUM"):
            pytest.fail("no Chromium, but ONESHOT_VOS_REQUIRE_CHROMIUM is set")
        pytest.skip("no Chromium to open the page in; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)

        @contextmanager
        def new_page(
            *, width: int = 1280, height: int = 800, touch: bool = False, dark: bool = False
        ) -> Iterator[Page]:
            """A new page; what its console or scripts complain of fails the test at the end of its block."""
            complaints: list[str] = []
            page = browser.new_page(
                viewport={"width": width, "height": height},
                has_touch=touch,
                color_scheme="dark" if dark else "light",
            )
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url}"))
            try:
                yield page
                assert complaints == []
            finally:
                page.close()

        try:
            yield new_page
        finally:
            browser.close()
