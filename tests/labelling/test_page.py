"""The page in a browser: what is drawn with mouse, keys and fingers is what lies in the PNG file."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.browser import NewPage
from tests.labelling.conftest import FRAMES
from tests.labelling.serving import site
from tests.stages.clips import SIZE, ids

from oneshot_vos.sets.own import import_videos
from oneshot_vos.videos.masks import read_mask

expect.set_options(timeout=60_000)  # of a machine with other work to do


class Drawn:
    """The page, told in pixels of the frame."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, video: str) -> None:
        self.page.select_option("#video", video)
        expect(self.page.locator("#where")).to_contain_text(f"/{video}")
        self.wait_for("00000")

    def wait_for(self, frame: str, kind: str | None = None) -> None:
        expect(self.page.locator("#view")).to_have_attribute("data-frame", frame)
        if kind:
            expect(self.page.locator("#view")).to_have_attribute("data-kind", kind)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen the point (x, y) of the frame is."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        scale, left, top = map(float, str(self.page.get_attribute("#view", "data-view")).split())
        box = self.page.locator("#view").bounding_box()
        assert box is not None
        return box["x"] + left + x * scale, box["y"] + top + y * scale

    def stroke(self, *points: tuple[float, float]) -> None:
        for number, point in enumerate(points):
            self.page.mouse.move(*self.place(*point))
            if number == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def click(self, *points: tuple[float, float]) -> None:
        for point in points:
            self.page.mouse.click(*self.place(*point))

    def set(self, control: str, value: int) -> None:
        self.page.locator(control).fill(str(value))

    def said(self, text: str) -> None:
        expect(self.page.locator("#status")).to_contain_text(text)

    def save(self) -> None:
        self.page.evaluate("document.getElementById('status').textContent = ''")
        self.page.keyboard.press("Control+s")
        self.said("is saved in")


PageOf = Callable[..., AbstractContextManager[Drawn]]


@pytest.fixture
def page_of(weights: Path, new_page: NewPage) -> PageOf:
    """Serves recordings, and opens their page."""

    @contextmanager
    def opened(path: Path, suggested: Path | None = None, **look: bool | int) -> Iterator[Drawn]:
        with site(path, weights, suggested=suggested) as served, new_page(**look) as page:
            page.goto(served.address)
            yield Drawn(page)

    return opened


def near(line: list[tuple[float, float]], radius: float) -> np.ndarray:
    """Pixels whose centre is at most `radius` from the line."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    found = np.zeros(SIZE, np.bool_)
    for (x0, y0), (x1, y1) in pairwise(line):
        length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        along = (((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / length).clip(0, 1)
        found |= np.hypot(columns - x0 - along * (x1 - x0), rows - y0 - along * (y1 - y0)) <= radius
    return found


def nearly_equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether they differ at most where a border runs: the mouse moves by whole pixels of the screen."""
    different = one != other
    edges = cv2.dilate((cv2.Laplacian(other.astype(np.float32), cv2.CV_32F) != 0).astype(np.uint8), np.ones((3, 3)))
    return not (different & (edges == 0)).any() and different.mean() < 0.03


def test_brush_polygon_two_objects_undo_and_save(recordings: Path, page_of: PageOf, tmp_path: Path) -> None:
    file = recordings / "masks/bare/00000.png"
    with page_of(recordings) as drawn:
        drawn.wait_for("00000", "none")
        drawn.set("#size", 6)
        drawn.stroke((10.5, 10.5), (30.5, 10.5), (30.5, 20.5))
        drawn.page.keyboard.press("n")
        drawn.page.keyboard.press("p")
        drawn.click((36, 24), (60, 24), (60, 44), (36, 44))
        drawn.page.keyboard.press("Enter")
        drawn.save()
        first = read_mask(file)
        drawn.page.keyboard.press("b")
        drawn.stroke((5, 40), (60, 40))
        drawn.page.keyboard.press("Control+z")
        drawn.save()
        np.testing.assert_array_equal(read_mask(file), first)
        expect(drawn.page.locator("#command")).to_have_text(f"oneshot-vos adapt '{recordings}'")
        drawn.page.keyboard.press("Control+Shift+z")
        drawn.save()
        assert nearly_equal(read_mask(file) == 2, (first == 2) | near([(5, 40), (60, 40)], 3))
    expected = near([(10.5, 10.5), (30.5, 10.5), (30.5, 20.5)], 3).astype(np.int32)
    expected[24:44, 36:60] = 2
    assert nearly_equal(first, expected)
    (recordings / "videos/film.mp4").unlink()  # it has no mask
    list(import_videos(recordings, tmp_path / "out"))
    assert (tmp_path / "out/Annotations/bare/00000.png").read_bytes() == file.read_bytes()


def test_eraser_fill_and_clear(recordings: Path, page_of: PageOf) -> None:
    file = recordings / "masks/walk/00003.png"
    with page_of(recordings) as drawn:
        drawn.page.select_option("#video", "walk")
        drawn.wait_for("00003", "given")
        rows, columns = np.nonzero(ids(3, 2) == 1)
        middle = float(columns.mean() + 0.5), float(rows.mean() + 0.5)
        drawn.page.keyboard.press("2")
        drawn.page.keyboard.press("f")
        drawn.click(middle)
        drawn.save()
        np.testing.assert_array_equal(read_mask(file), np.where(ids(3, 2) > 0, 2, 0))
        drawn.page.keyboard.press("e")
        drawn.set("#size", 4)
        drawn.stroke(middle, (middle[0] + 3, middle[1]))
        drawn.save()
        gone = (read_mask(file) == 0) & (ids(3, 2) > 0)
        assert nearly_equal(gone, near([middle, (middle[0] + 3, middle[1])], 2))
        drawn.page.click("#clear")
        drawn.page.click("#save")
        drawn.said("no mask any more")
        assert not file.exists()


def test_a_frame_is_saved_when_it_is_left_and_no_other_is(recordings: Path, page_of: PageOf) -> None:
    film = recordings / "masks/film"
    with page_of(recordings) as drawn:
        drawn.page.select_option("#video", "film")
        expect(drawn.page.locator("#where")).to_contain_text("/film")
        drawn.wait_for("00000", "none")
        drawn.page.keyboard.press("ArrowRight")
        drawn.wait_for("00001", "none")
        drawn.stroke((20, 20), (30, 30))
        drawn.page.keyboard.press("End")
        drawn.wait_for(f"{FRAMES - 1:05}", "none")
        drawn.said("Frame 00001 is saved in")
        drawn.page.keyboard.press("Home")
        drawn.wait_for("00000", "none")
        drawn.page.keyboard.press("ArrowRight")
        drawn.wait_for("00001", "given")
        expect(drawn.page.locator("#video option:checked")).to_have_text("film (1 mask)")
    assert [file.name for file in film.iterdir()] == ["00001.png"]


def test_a_network_shows_its_masks_and_a_corrected_one_is_given(recordings: Path, page_of: PageOf) -> None:
    folder = recordings / "masks/walk"
    with page_of(recordings) as drawn:
        drawn.page.select_option("#video", "walk")
        drawn.wait_for("00003", "given")
        drawn.page.keyboard.press("ArrowRight")
        drawn.wait_for("00004", "none")
        bare = drawn.page.locator("#view").screenshot()
        drawn.page.click("#propagate")
        drawn.wait_for("00004", "made")  # without a key pressed
        drawn.said("All frames have a mask")
        assert drawn.page.locator("#view").screenshot() != bare
        drawn.set("#size", 8)
        drawn.stroke((2, 2), (60, 2))
        drawn.wait_for("00004", "given")
        drawn.save()
        assert (read_mask(folder / "00004.png")[1, 4:60] == 1).all()
        drawn.page.keyboard.press("Control+z")
        drawn.wait_for("00004", "made")
        drawn.said("no mask any more")
        assert not (folder / "00004.png").exists()
        drawn.page.keyboard.press("k")
        drawn.wait_for("00004", "given")
        drawn.page.click("#propagate")
        drawn.said("All frames have a mask")
        assert sorted(file.name for file in folder.iterdir()) == ["00003.png", "00004.png"]


def test_zooming_and_moving_change_no_mask(recordings: Path, page_of: PageOf) -> None:
    file = recordings / "masks/bare/00000.png"
    with page_of(recordings) as drawn:
        drawn.wait_for("00000", "none")
        before = drawn.place(30, 20)
        drawn.page.mouse.move(*before)
        fitted = str(drawn.page.get_attribute("#view", "data-view"))
        drawn.page.mouse.wheel(0, -600)
        expect(drawn.page.locator("#view")).not_to_have_attribute("data-view", fitted)
        after = drawn.place(30, 20)
        assert after == pytest.approx(before, abs=3)  # zoomed about the pointer
        assert abs(drawn.place(31, 20)[0] - after[0]) > 15
        drawn.page.keyboard.press("m")
        drawn.page.mouse.down()
        drawn.page.mouse.move(before[0] + 50, before[1] + 30)
        drawn.page.mouse.up()
        assert drawn.place(30, 20) == pytest.approx((after[0] + 50, after[1] + 30), abs=1)
        assert not file.exists()
        drawn.page.keyboard.press("b")
        drawn.set("#size", 6)
        drawn.stroke((28.5, 20.5), (34.5, 20.5))
        drawn.save()
    assert nearly_equal(read_mask(file) > 0, near([(28.5, 20.5), (34.5, 20.5)], 3))


def test_a_phone_draws_with_fingers(recordings: Path, page_of: PageOf) -> None:
    file = recordings / "masks/bare/00000.png"
    with page_of(recordings, width=390, height=760, touch=True, dark=True) as drawn:
        drawn.wait_for("00000", "none")
        page = drawn.page
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("[data-tool=polygon]").tap()
        for point in ((10, 10), (40, 10), (40, 30), (10, 30)):
            page.touchscreen.tap(*drawn.place(*point))
        page.locator("#polygon-close").tap()
        page.locator("[data-tool=brush]").tap()
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            places = [dict(zip("xy", point, strict=True)) for point in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        left, right = drawn.place(24, 24), drawn.place(40, 24)
        touch("touchStart", left)
        touch("touchStart", left, right)  # the second finger takes back what the first began to draw
        touch("touchMove", (left[0] - 40, left[1]), (right[0] + 40, right[1]))
        touch("touchEnd")
        wider = drawn.place(40, 24)[0] - drawn.place(24, 24)[0]
        assert wider > 1.5 * (right[0] - left[0])
        page.locator("#save").tap()
        drawn.said("is saved in")
    expected = np.zeros(SIZE, np.bool_)
    expected[10:30, 10:40] = True
    assert nearly_equal(read_mask(file) > 0, expected)


def test_suggested_frames_are_marked_and_reached_by_a_key(recordings: Path, page_of: PageOf, tmp_path: Path) -> None:
    (tmp_path / "next.csv").write_text(
        "rank,video,frame,why\n1,walk,00005,lost\n2,bare,00002,x\n3,walk,00001,blurred\n"
    )
    with page_of(recordings, suggested=tmp_path / "next.csv") as drawn:
        drawn.page.select_option("#video", "walk")
        drawn.wait_for("00003", "given")
        drawn.page.keyboard.press("g")
        drawn.wait_for("00005")
        drawn.said("A mask is suggested here: lost")
        drawn.page.click("#suggested")
        drawn.wait_for("00001")
        drawn.said("blurred")


def test_what_is_wrong_is_said(recordings: Path, page_of: PageOf) -> None:
    with page_of(recordings) as drawn:
        drawn.wait_for("00000", "none")
        drawn.page.keyboard.press("?")
        expect(drawn.page.locator("#help-text")).to_be_visible()
        drawn.page.keyboard.press("Escape")
        failed = {"state": "failed", "message": "no memory", "done": 0, "total": 6, "seconds_left": None, "frames": []}
        drawn.page.route("**/propagation*", lambda route: route.fulfill(status=200, json=failed))
        drawn.stroke((20, 20), (30, 30))
        drawn.page.click("#propagate")
        drawn.said("no memory")
