"""Opening a page from disk and looking at all of it."""

import re
from pathlib import Path

from playwright.sync_api import Page

PATIENCE = 120_000  # milliseconds: other work may have the machine


def open_page(page: Page, index: Path) -> None:
    """Open the page and have every chart drawn and every picture loaded, as printing does."""
    page.set_default_timeout(PATIENCE)
    page.goto(index.as_uri())
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")


def every_picture_loads(page: Page) -> int:
    """The number of pictures, all of which have pixels and say what they show."""
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    broken = page.evaluate("[...document.images].filter((i) => !i.naturalWidth || !i.alt).map((i) => i.src)")
    assert broken == []
    return int(page.locator("img").count())


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def foreign_addresses(folder: Path) -> list[str]:
    """Addresses of other hosts in what this project wrote; the library names some that it never asks here."""
    files = [file for file in folder.iterdir() if file.suffix in (".html", ".js", ".css") and "plotly" not in file.name]
    return [found for file in files for found in re.findall(r"https?://[^\s\"']+", file.read_text(encoding="utf-8"))]
