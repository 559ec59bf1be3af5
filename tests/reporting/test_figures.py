"""Figures 4, 6 and 7: what they show of which run, and where."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.reporting.results_folder import TABLE1_STRATEGY, matrix, run

from oneshot_vos.errors import UserError
from oneshot_vos.files import write_zip
from oneshot_vos.reporting.figures import Scenes, draw_figure4, draw_figure6, draw_figure7, most_motion
from oneshot_vos.reporting.overlay import COLOURS
from oneshot_vos.reporting.results import run_list
from oneshot_vos.stages import figures as stage
from oneshot_vos.videos.index import read_index, write_index
from oneshot_vos.videos.masks import encode_mask, write_mask
from oneshot_vos.videos.video import Video

HEIGHT, WIDTH, FRAMES = 136, 180, 5  # as high as a panel: nothing is scaled, so that pixels can be counted
RED, GREEN = (230, 20, 20), (0, 190, 0)
FIRST_OBJECT = COLOURS[0]
RUNS = matrix()
EDGE = 2 * (20 + 30) - 4  # pixels in the contour of a box


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


def test_predictions_appear_where_the_masks_are(scene):
    scene.add("a")
    scene.predict("stcn-full-static", lambda video, t: box(100))
    runs = specs("stcn-full-static", "stcn-two_step-static")
    image = draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == 3 * EDGE  # one run, three frames
    rows = rows_with(image, FIRST_OBJECT)
    assert (rows.max() - rows.min() + 1, len(rows)) == (20, 20)  # one row of panels, in the place of the box
    other = draw_figure4(scene.scenes(), runs, {"stcn": "t_step"})
    assert count(other, FIRST_OBJECT) == 3 * EDGE
    scene.predict("stcn-two_step-static", lambda video, t: box(100))
    assert count(draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY), FIRST_OBJECT) == 6 * EDGE
    assert len(rows_with(draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY), FIRST_OBJECT)) == 40


def test_objects_keep_their_colours(scene):
    scene.add("a")
    scene.predict("stcn-full-static", lambda video, t: box(0, 1) + box(100, 2))
    image = draw_figure4(scene.scenes(), specs("stcn-full-static"), TABLE1_STRATEGY)
    assert count(image, COLOURS[1]) == count(image, COLOURS[0]) == 3 * EDGE


def test_objects_that_are_one_have_one_colour(scene):
    scene.add("a", single_object=True)
    scene.predict("stcn-full-static", lambda video, t: box(0, 1) + box(100, 255))
    image = draw_figure4(scene.scenes(), specs("stcn-full-static"), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == 6 * EDGE


def test_networks_show_different_videos_spread_over_the_set(scene):
    for name in "abcde":
        scene.add(name)
    scene.predict("stcn-full-static", lambda video, t: box(100) if video.name in "ad" else 0 * box(0))
    scene.predict("cutie-full-static", lambda video, t: box(100) if video.name in "ad" else 0 * box(0))
    image = draw_figure4(scene.scenes(), specs(), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == 3 * EDGE  # a for STCN, e for Cutie, c for XMem has not run
    image = draw_figure4(scene.scenes(chosen=("d",)), specs(), TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT) == 6 * EDGE


def test_the_first_seed_is_shown(scene):
    scene.add("a")
    runs = run_list({f"stcn-full-static-s{seed}": run("stcn", "full", "static", seed) for seed in (2, 1)})
    scene.predict("stcn-full-static-s2", lambda video, t: 0 * box(100))
    scene.predict("stcn-full-static-s1", lambda video, t: box(100, 1))
    image = draw_figure4(scene.scenes(), runs, TABLE1_STRATEGY)
    assert count(image, FIRST_OBJECT)


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
    assert count(image, RED) == 3 * EDGE
    assert count(image, GREEN) == 2 * EDGE  # on the first frame, red covers green
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
        assert not count(image, FIRST_OBJECT)
        assert not count(image, RED)
    assert count(nothing, (242, 242, 242)) > 3 * 0.8 * HEIGHT * HEIGHT


def test_masks_that_cannot_be_shown_are_named(scene):
    scene.add("a")
    scene.predict("stcn-full-static", lambda video, t: box(0)[:100])
    with pytest.raises(UserError, match=r"val\.zip/a/00000\.png: 180x100 pixels; expected the frame's 180x136"):
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


def test_the_stage_always_writes_four_files_with_equal_bytes(scene):
    scene.add("a").add("b")
    names = ["figure4.png", "figure5.png", "figure6.png", "figure7.png"]
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
    assert [name for name in names if written[0][name] == empty[name]] == ["figure5.png"]


def test_the_stage_shows_what_the_parameters_choose(scene):
    scene.add("a").add("b")
    scene.predict("cutie-empty-backbone", lambda video, t: box(0) if video.name == "b" else 0 * box(0))
    assert [video.name for video in read_index(scene.index() / "val.json")] == ["a", "b"]
    stage.run(make_params(videos=("b",), frames=2), scene.root / "masks", scene.root / "sets", scene.root / "out")
    assert count(Image.open(scene.root / "out/figure6.png"), RED) == 2 * EDGE
