"""Screenshots of pages, wide and narrow, as docs/images holds them.

    python benchmarks/screenshots.py results/mini/report/index.html --name profile --at "#curves"
    python benchmarks/screenshots.py FOLDER/report/index.html --name videos --at ".card"

Writes `<out>/<name>-wide.png` and `<name>-narrow.png` of the part of the page that begins at `--at`, a CSS selector.
The images of docs/pages.md are of the profile mini after `make repro`, and of every second of the first 24 frames of
three sequences of DAVIS (dog, drift-chicane, parkour), with their first masks alone: `oneshot-vos segment-all CLIPS
--out FOLDER --short-side 240 --confidence`, `oneshot-vos suggest FOLDER`, `oneshot-vos report-videos FOLDER`. Needs
Chromium and Playwright.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
LARGEST = 300_000  # bytes of a file
PATIENCE = 300_000  # milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--at", default="body")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium; on Debian: apt install chromium")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            picture = photograph(page, arguments.index, arguments.at)
            path = arguments.out / f"{arguments.name}-{size}.png"
            path.write_bytes(small(picture))
            print(f"{path}: {path.stat().st_size} bytes")
        browser.close()


def photograph(page: Page, index: Path, place: str) -> bytes:
    """PNG of the window, scrolled to a place, when everything in it is drawn."""
    page.set_default_timeout(PATIENCE)
    page.emulate_media(reduced_motion="reduce")
    page.goto(index.resolve().as_uri())
    page.locator(place).first.evaluate("element => element.scrollIntoView()")
    page.wait_for_timeout(3000)  # charts are drawn, and pictures loaded, as they come near
    page.locator(place).first.evaluate("element => element.scrollIntoView()")
    page.wait_for_function("[...document.images].every((image) => image.complete || image.loading === 'lazy')")
    return page.screenshot()


def small(picture: bytes) -> bytes:
    """The picture in at most `LARGEST` bytes, reduced in size if it has to be."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for percent in range(100, 40, -5):
        stream = io.BytesIO()
        size = (image.width * percent // 100, image.height * percent // 100)
        image.resize(size, Image.Resampling.LANCZOS).save(stream, format="PNG", optimize=True)
        if stream.tell() <= LARGEST:
            break
    return stream.getvalue()


if __name__ == "__main__":
    main()
