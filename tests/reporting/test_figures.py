"""Figures 4, 6 and 7: what they show of which run, and where."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.reporting.results_folder import TABLE1_STRATEGY, matrix, run

from oneshot_vos.errors import UserError
from oneshot_vos.files import write_zip
from oneshot_vos.reporting.figures import (
    Scenes,
    _Strip,
    draw_figure4,
    draw_figure6,
    draw_figure7,
    most_motion,
    network_name,
    strategy_name,
)
from oneshot_vos.reporting.overlay import COLOURS
from oneshot_vos.reporting.results import run_list
from oneshot_vos.stages import figures as stage
from oneshot_vos.videos.index import read_index, write_index
from oneshot_vos.videos.masks import encode_mask, write_mask
from oneshot_vos.videos.video import Video

HEIGHT, WIDTH, FRAMES = 272, 360, 5  # as high as a panel: nothing is scaled, so that pixels can be counted
RED, GREEN = (230, 20, 20), (0, 190, 0)
FIRST_OBJECT = COLOURS[0]
RUNS = matrix()
EDGE = 20 * 30 - 16 * 26  # pixels in the contour of a box, two wide
TRUTH = 3 * EDGE  # in the row of true masks, of three frames


def box(left, object_id=1):
    """Ids with one object of 20 x 30 pixels whose left edge is at `left`."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[40:60, left : left + 30] = object_id
    return ids


class Scene:
    """Videos of one moving box, an index of them, and masks of runs."""

    def __init__(self, root: Path):
        self.root, self.videos = root, []

    def add(self, name, speed=10, frames=FRAMES, labelled=None, single_object=False):
        """A video whose box moves `speed` pixels a frame; `labelled`: frames with a mask, by default all."""
        files, masks = [], {}
        for t in range(frames):
            file = self.root / "JPEGImages" / name / f"{t:05d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)).save(file)
            files.append(file)
            if labelled is None or t in labelled:
                mask = self.root / "Annotations" / name / f"{t:05d}.png"
                mask.parent.mkdir(parents=True, exist_ok=True)
                write_mask(mask, box(speed * t))
                masks[file.stem] = mask
        self.videos.append(Video(name, tuple(files), masks, single_object))
        return self

    def predict(self, run, masks):
        """`masks(video, t)` gives the ids that the run predicts for a frame."""
        members = [
            (f"{video.name}/{video.stem(t)}.png", encode_mask(masks(video, t)))
            for video in self.videos
            for t in range(len(video))
        ]
        write_zip(self.root / "masks" / run / "val.zip", members)

    def scenes(self, chosen=None, frames=3):
        return Scenes("val", {video.name: video for video in self.videos}, self.root / "masks", chosen, frames)

    def index(self):
        write_index(self.root / "sets" / "val.json", self.videos)
        return self.root / "sets"


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def specs(*names):
    return run_list({name: RUNS[name] for name in names or RUNS})


def count(image, colour):
    return np.count_nonzero(np.all(np.asarray(image) == colour, axis=2))


def rows_with(image, colour):
    return np.flatnonzero(np.any(np.all(np.asarray(image) == colour, axis=2), axis=1))


def test_predictions_appear_where_the_masks_are_below_the_truth(scene):
    scene.add("a", speed=0)
    scene.predict("stcn-full-static", lambda video, t: box(100))
    runs = specs("stcn-full-static", "stcn-two_step-static")
    image = draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == TRUTH + 3 * EDGE  # one run, three frames
    rows = rows_with(image, FIRST_OBJECT)
    assert len(rows) == 40  # a row of panels of truth and one of the run, in the place of the box
    assert rows[20] - rows[0] > HEIGHT
    other = draw_figure4(scene.scenes(), runs, {"stcn": "t_step"})
    assert count(other, FIRST_OBJECT) == TRUTH + 3 * EDGE
    scene.predict("stcn-two_step-static", lambda video, t: box(100))
    image = draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == TRUTH + 6 * EDGE
    assert len(rows_with(image, FIRST_OBJECT)) == 60


def test_objects_keep_their_colours(scene):
    scene.add("a", speed=0)
    scene.predict("stcn-full-static", lambda video, t: box(150, 1) + box(200, 2))
    image = draw_figure4(scene.scenes(), specs("stcn-full-static"), TABLE1_STRATEGY)
    assert (count(image, COLOURS[0]), count(image, COLOURS[1])) == (TRUTH + 3 * EDGE, 3 * EDGE)
    scene.predict("stcn-full-static", lambda video, t: box(200, 2))
    image = draw_figure4(scene.scenes(), specs("stcn-full-static"), TABLE1_STRATEGY)
    assert (count(image, COLOURS[0]), count(image, COLOURS[1])) == (TRUTH, 3 * EDGE)


def test_objects_that_are_one_have_one_colour(scene):
    scene.add("a", single_object=True)
    scene.predict("stcn-full-static", lambda video, t: box(0, 1) + box(100, 255))
    image = draw_figure4(scene.scenes(), specs("stcn-full-static"), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == TRUTH + 6 * EDGE


def test_all_networks_show_the_same_videos(scene):
    for name in "abcde":
        scene.add(name, labelled=[0])
    for key in ("stcn-full-static", "cutie-full-static"):
        scene.predict(key, lambda video, t: box(100) if video.name in "ad" else 0 * box(0))
    image = draw_figure4(scene.scenes(), specs(), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == 2 * EDGE + 2 * 3 * EDGE  # a and e, with their first masks; nothing on e
    image = draw_figure4(scene.scenes(chosen=("d",)), specs(), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == EDGE + 2 * 3 * EDGE


def test_the_corner_tells_j_of_the_frame(scene):
    scene.add("a", labelled=[0, 2])
    strip = _Strip(scene.scenes(), scene.videos[0])
    scene.predict("stcn-full-static", lambda video, t: box(10 * t) if t < 2 else box(35))
    row = strip.predicted("stcn-full-static", ("STCN", "full supervision"))
    assert row.corners == ("given", "J 33", "")  # frames 0, 2 and 4: 15 of 45 columns; without truth, no J
    assert _Strip(scene.scenes(), scene.videos[0]).truth().label == ("a", "given masks")
    given = _Strip(replace(scene.scenes(), judged=False), scene.videos[0])
    assert given.predicted("stcn-full-static", ()).corners == ("given", "", "")
    both = Scene(scene.root / "two").add("c", speed=0)
    for mask in both.videos[0].masks.values():
        write_mask(mask, box(0, 1) + box(200, 2))
    both.predict("stcn-full-static", lambda video, t: box(0, 1))
    row = _Strip(both.scenes(), both.videos[0]).predicted("stcn-full-static", ())
    assert row.corners == ("given", "J 50", "J 50")  # the mean over objects
    strip = _Strip(both.scenes(), both.videos[0], merged=True, against_first=True)
    row = strip.predicted("stcn-full-static", ())
    assert (row.corners[0], row.captions[0]) == ("J 50", "IoU with the first 0.50")


def test_labels_are_those_of_the_paper() -> None:
    assert [network_name(name) for name in ("stcn", "xmem", "cutie", "mine")] == ["STCN", "XMem", "Cutie", "mine"]
    assert [strategy_name(name) for name in ("full", "two_step", "t_step", "two_step-long")] == [
        *("full supervision", "one-shot (2-step)", "one-shot (T-step)", "two_step-long")
    ]


def test_the_first_seed_is_shown(scene):
    scene.add("a")
    runs = run_list({f"stcn-full-static-s{seed}": run("stcn", "full", "static", seed) for seed in (2, 1)})
    scene.predict("stcn-full-static-s2", lambda video, t: 0 * box(100))
    scene.predict("stcn-full-static-s1", lambda video, t: box(100, 1))
    image = draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == TRUTH + 3 * EDGE


def test_coarse_masks_are_drawn_as_one_object(scene):
    scene.add("a").add("b").add("c")
    scene.predict("cutie-empty-backbone", lambda video, t: box(0, 1) + box(100, 2))
    image = draw_figure6(scene.scenes(), specs())
    assert count(image, RED) == 2 * 3 * 2 * EDGE  # boxes, frames, the first two videos
    scene.add("drift-chicane")
    scene.predict("cutie-empty-backbone", lambda video, t: box(0) if video.name == "drift-chicane" else 0 * box(0))
    image = draw_figure6(scene.scenes(), specs())
    assert count(image, RED) == 3 * EDGE  # the paper's video alone
    assert count(draw_figure6(scene.scenes(chosen=("b",)), specs()), RED) == 0


def test_truth_is_green_and_prediction_red(scene):
    scene.add("drift-chicane", speed=30)
    scene.predict("cutie-t_step-backbone", lambda video, t: box(0))  # copies the first mask
    image = draw_figure7(scene.scenes(), specs())
    assert count(image, RED) == count(image, GREEN) == 3 * EDGE
    places = np.asarray(image)
    columns = [np.flatnonzero(np.any(np.all(places == colour, axis=2), axis=0)) for colour in (RED, GREEN)]
    assert columns[1].max() - columns[0].max() == 4 * 30  # how far the box has moved on the last frame


def test_the_video_that_moves_most_shows_what_copying_does(scene):
    scene.add("a", speed=1).add("b", speed=5).add("c", speed=2).add("d", speed=30, labelled=[0])
    assert most_motion(scene.videos) == "b"  # d has no second mask to tell
    scene.predict("cutie-t_step-backbone", lambda video, t: box(0) if video.name == "b" else 0 * box(0))
    assert count(draw_figure7(scene.scenes(), specs()), RED) == 3 * EDGE


def test_only_frames_with_a_true_mask_are_judged(scene):
    scene.add("a", labelled=[0, 3])
    scene.predict("cutie-t_step-backbone", lambda video, t: box(140))
    image = draw_figure7(scene.scenes(), specs())
    assert count(image, GREEN) == count(image, RED) == 2 * EDGE


@pytest.mark.parametrize("draw", [lambda *a: draw_figure4(*a, TABLE1_STRATEGY), draw_figure6, draw_figure7])
def test_what_has_not_run_is_a_placeholder(scene, draw):
    scene.add("a")
    nothing = draw(scene.scenes(), specs())
    empty = draw(scene.scenes(), run_list({}))
    for image in (nothing, empty):
        assert image.size[1] > 20
        assert count(image, FIRST_OBJECT) + count(image, GREEN) in (0, TRUTH)
        assert not count(image, RED)
    assert count(nothing, (242, 242, 242)) > 3 * 0.8 * HEIGHT * HEIGHT


def test_masks_that_cannot_be_shown_are_named(scene):
    scene.add("a")
    scene.predict("stcn-full-static", lambda video, t: box(0)[:100])
    with pytest.raises(UserError, match=r"val\.zip/a/00000\.png: 360x100 pixels; expected the frame's 360x272"):
        draw_figure4(scene.scenes(), specs(), TABLE1_STRATEGY)
    write_zip(scene.root / "masks/stcn-full-static/val.zip", [("a/00000.png", encode_mask(box(0)))])
    with pytest.raises(UserError, match="prediction not found"):
        draw_figure4(scene.scenes(), specs(), TABLE1_STRATEGY)


def test_an_unknown_video_is_refused_with_the_nearest_name(scene):
    scene.add("drift-chicane")
    with pytest.raises(UserError, match=r"set 'val' has no video 'drift-chican'; did you mean 'drift-chicane'"):
        draw_figure7(scene.scenes(chosen=("drift-chican",)), specs())


def make_params(**choice):
    figure = SimpleNamespace(**{"set": "val", "videos": None, "frames": 3} | choice)
    figure6 = SimpleNamespace(**vars(figure), iteration=None)
    figures = SimpleNamespace(figure4=figure, figure5=None, figure6=figure6, figure7=figure)
    chosen = {"profile_name": "test", "profile": SimpleNamespace(figures=figures)}
    return SimpleNamespace(runs=RUNS, table1_strategy=TABLE1_STRATEGY, **chosen)


def test_the_stage_always_writes_the_same_files_with_equal_bytes(scene):
    scene.add("a").add("b")
    names = [f"figure{number}.{kind}" for number in (4, 5, 6, 7) for kind in ("pdf", "png")]
    out = scene.root / "figures"
    stage.run(make_params(), scene.root / "masks", scene.index(), out)
    assert sorted(path.name for path in out.iterdir()) == names
    empty = {name: (out / name).read_bytes() for name in names}
    for name in ("stcn-full-static", "cutie-empty-backbone", "cutie-t_step-backbone"):
        scene.predict(name, lambda video, t: box(20 * t))
    written = []
    for _ in range(2):
        stage.run(make_params(), scene.root / "masks", scene.index(), out)
        written.append({name: (out / name).read_bytes() for name in names})
    assert written[0] == written[1]
    # Figure 5 says that there is no set of YouTube-VOS.
    assert [name for name in names if written[0][name] == empty[name]] == ["figure5.pdf", "figure5.png"]
    with Image.open(out / "figure4.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert (out / "figure4.pdf").read_bytes().startswith(b"%PDF-")


def test_the_stage_shows_what_the_parameters_choose(scene):
    scene.add("a").add("b")
    scene.predict("cutie-empty-backbone", lambda video, t: box(0) if video.name == "b" else 0 * box(0))
    assert [video.name for video in read_index(scene.index() / "val.json")] == ["a", "b"]
    stage.run(make_params(videos=("b",), frames=2), scene.root / "masks", scene.root / "sets", scene.root / "out")
    assert count(Image.open(scene.root / "out/figure6.png"), RED) == 2 * EDGE
