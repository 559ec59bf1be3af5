"""The page of own videos, written from tiny results and used in a browser, by mouse and by keyboard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page
from tests.browser import NewPage
from tests.reporting.page.looking import every_picture_loads, foreign_addresses, open_page, sideways
from tests.reporting.page.own_results import Results
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.reporting.page.own import write_own_report


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `adapt` leaves: a video to play, one with frames alone, one of which nothing but masks is left."""
    results = Results(tmp_path_factory.mktemp("own") / "adapted")
    results.add("a clip & more", low=3)
    results.add("frames", overlay=False, low=4)
    results.add("masks", overlay=False, source=False, objects=[255], low=None)
    results.suggest(
        ("a clip & more", "00003", 0.25, "the two directions disagree"), ("frames", "00004", 0.25, "<b>lost</b>")
    )
    results.adapt("a clip & more", "frames")
    return write_own_report(results.root)


def value_of(page: Page, film: str) -> str:
    return str(page.locator(f'[data-film="{film}"] output').text_content())


def test_everything_stands_in_one_folder(adapted: Path) -> None:
    html = adapted.read_text(encoding="utf-8")
    assert foreign_addresses(adapted.parent) == []
    linked = re.findall(r'(?:src|href|poster)="([^"#]+)"', html)
    local = [each for each in linked if each != "data:,"]
    assert len(local) > 8
    assert [each for each in local if each.startswith("..") or not (adapted.parent / each).is_file()] == []
    assert "agreement rose from 70.0 to 80.0 %" in html
    assert "&lt;b&gt;lost&lt;/b&gt;" in html


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_it_opens_from_disk(adapted: Path, width: int, dark: bool, new_page: NewPage) -> None:
    with new_page(width=width, dark=dark, touch=width < 500) as page:
        open_page(page, adapted)
        assert every_picture_loads(page) >= 3
        assert sideways(page) == 0
        assert page.locator(".chart[data-drawn] svg.main-svg").count() >= 4
        ink = page.evaluate("getComputedStyle(document.body).color")
        drawn = page.evaluate("""[...document.querySelectorAll('.chart .xtick text')].map(e => e.style.fill)""")
        assert set(drawn) == {ink}  # charts follow the colours of the page
        assert ink == ("rgb(230, 237, 243)" if dark else "rgb(27, 31, 36)")


def test_a_slider_moves_the_picture(adapted: Path, new_page: NewPage) -> None:
    with new_page() as page:
        open_page(page, adapted)
        image = page.locator('article:has(h2:text-is("frames")) .film img')
        slider = page.locator('article:has(h2:text-is("frames")) .film input')
        film = slider.locator("xpath=ancestor::*[@data-film]").get_attribute("data-film")
        assert film is not None
        assert value_of(page, film) == "00000"
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert value_of(page, film) == "00001"
        assert image.get_attribute("src").endswith("000001.jpg")
        assert image.get_attribute("alt") == "frames with its masks, frame 00001"
        assert slider.get_attribute("aria-valuetext") == "frame 00001"
        box = slider.bounding_box()
        assert box is not None
        slider.click(position={"x": box["width"] - 2, "y": 10})
        assert value_of(page, film) == "00005"
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
        page.get_by_role("button", name="Frame 00004").click()
        assert value_of(page, film) == "00004"


def test_a_slider_moves_the_video(adapted: Path, new_page: NewPage) -> None:
    with new_page() as page:
        open_page(page, adapted)
        article = page.locator('article:has(h2:text-is("a clip & more"))')
        article.locator(".film input").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        video = article.locator("video").element_handle()
        page.wait_for_function("video => Math.abs(video.currentTime - 3.5 / 6) < 0.01 && !video.seeking", arg=video)
        assert page.evaluate("video => [video.videoWidth, video.videoHeight]", video) == [64, 48]
        assert article.locator("output").text_content() == "00003"
        assert article.locator(".chart .shapelayer path").count() == 1  # the frame is marked in the chart


def test_results_without_a_record_of_adapt(tmp_path: Path, new_page: NewPage) -> None:
    results = Results(tmp_path / "plain", inner="")
    results.add("one", low=None)
    index = write_own_report(results.root)
    html = " ".join(index.read_text(encoding="utf-8").split())
    assert "1 video, 6 frames, 1 given mask." in html
    assert "No confidence was written for this video." in html
    for absent in ("Adaptation", "Label next"):
        assert absent not in html
    with new_page() as page:
        open_page(page, index)


def test_the_least_certain_video_stands_first(adapted: Path, tmp_path: Path) -> None:
    results = Results(tmp_path, inner="")
    results.add("sure", low=99)
    results.add("unsure")
    html = write_own_report(tmp_path).read_text(encoding="utf-8")
    assert re.findall(r'<h2 id="[^"]*">(.*?)</h2>', html) == ["unsure", "sure"]


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    results = Results(tmp_path, inner="")
    results.add("one")
    write_own_report(tmp_path)
    (tmp_path / "report/old").touch()
    done = CliRunner().invoke(app, ["report-videos", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "report/index.html: the page of 1 video(s)" in done.output
    assert not (tmp_path / "report/old").exists()


HEADER = "frame,object,agreement,reconstruction,entropy,confidence\n"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("one/segment.json", '{"masks": {}}', r"incomplete .*'objects'.*Segment the video again"),
        (
            "one/confidence.csv",
            "frame,confidence\n",
            r", line 1: its columns are frame, confidence; .*entropy",
        ),
        ("one/confidence.csv", f"{HEADER}00000,0,,,,1.5\n", r", line 2: 1.5 is not from 0 to 1.*make it again"),
        ("one/confidence.csv", f"{HEADER}99999,0,,,,0.5\n", r": frame '99999' has no mask in .*Make it again"),
        ("next.csv", "rank,video\n1,one\n", r", line 1: its columns are rank, video; expected .*frame, why"),
        ("adapt.json", "[1]", r"expected one JSON object, found list"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    Results(tmp_path, inner="").add("one", overlay=False)
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"{file}.*{message}"):
        write_own_report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results of videos in it; expected folders with segment\.json"):
        write_own_report(tmp_path)
