"""Augmentations: image and mask stay together, and the composed way does what the exact way does."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import functional as official

from oneshot_vos.clips import composed, exact, warps
from oneshot_vos.clips.colours import apply_colours, fold_colours
from oneshot_vos.clips.draws import ClipDraw
from oneshot_vos.clips.transforms import CLIP_RECIPES, STATIC_RECIPES, ClipTransform, StaticTransform, draw_box
from oneshot_vos.videos.images import FILL, MEAN, STD, shorter_side_to

HEIGHT, WIDTH = 120, 200


@pytest.fixture
def ids() -> NDArray[np.uint16]:
    """Three objects of simple shape on background; id 300 needs more than 8 bits."""
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    ids[20:70, 30:110] = 1
    ids[60:110, 120:180] = 2
    cv2.circle(ids, (95, 85), 22, 300, -1)
    return ids.astype(np.uint16)


def _painted(ids: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """An image whose red channel shows object 1, green object 2, blue object 300."""
    return np.stack([(ids == each) * 255 for each in (1, 2, 300)], axis=-1).astype(np.uint8)


def carried_out(way: Callable[..., None], image: NDArray[np.uint8], draw: ClipDraw, t: int) -> NDArray[np.float32]:
    out = np.full((3, draw.crop, draw.crop), np.nan, np.float32)
    way(image, draw, t, out)
    return out


def _rgb(normalised: NDArray[np.float32]) -> NDArray[np.float32]:
    return normalised * STD[:, None, None] + MEAN[:, None, None]


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@pytest.mark.parametrize("way", [exact, composed])
@pytest.mark.parametrize("crop", [32, 96, 160])
def test_video_image_and_mask_stay_aligned(ids, way, crop):
    transform = ClipTransform(crop)
    for seed in range(6):
        draw = transform.draw(np.random.default_rng(seed), HEIGHT, WIDTH, frames=2)
        for t in range(2):
            image = _rgb(carried_out(way.clip_image, _painted(ids), draw, t))
            warped = way.clip_ids(ids, draw, t)
            assert set(np.unique(warped)) <= {0, 1, 2, 300}
            painted = image > 0.62  # above the fill colour, and grey-scale images are skipped below
            if any(name == "gray" for name, _ in draw.colours):
                continue
            for channel, each in enumerate((1, 2, 300)):
                if (warped == each).sum() > 0.02 * crop * crop:
                    assert _iou(painted[channel], warped == each) > 0.85


@pytest.mark.parametrize("way", [exact, composed])
def test_still_image_and_masks_stay_aligned(ids, way):
    transform = StaticTransform(96, frames=3, bend=1.0)
    planes = [((ids == each) * 255).astype(np.uint8) for each in (1, 2)]
    for seed in range(6):
        draw = transform.draw(np.random.default_rng(seed), HEIGHT, WIDTH)
        if any(name == "gray" for name, _ in draw.colours):
            continue
        images, masks = way.still_images(_painted(ids), draw), way.still_masks(planes, draw)
        assert images.shape == (3, 3, 96, 96)
        assert masks.shape == (3, 2, 96, 96)
        assert masks.min() >= 0
        assert masks.max() <= 1
        for t in range(3):
            painted = _rgb(images[t]) > 0.62
            for k in range(2):
                if (masks[t, k] > 0.5).sum() > 200:
                    assert _iou(painted[k], masks[t, k] > 0.5) > 0.85


@pytest.mark.parametrize("affine_first", [False, True])
@pytest.mark.parametrize("crop", [64, 128])
def test_composed_video_masks_equal_exact_ones_but_for_the_edges(ids, crop, affine_first):
    transform = ClipTransform(crop, affine_first=affine_first)
    for seed in range(8):
        draw = transform.draw(np.random.default_rng(seed), HEIGHT, WIDTH, frames=1)
        a, b = exact.clip_ids(ids, draw, 0), composed.clip_ids(ids, draw, 0)
        assert (a == b).mean() > 0.97
        # No systematic shift: moving either by a pixel makes it worse.
        for shift in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            assert (a == b).mean() > (a == np.roll(b, shift, (0, 1))).mean() or (a == b).all()


@pytest.mark.parametrize(("bend", "agreement"), [(0.0, 0.985), (1.0, 0.98)])
def test_composed_still_masks_equal_exact_ones_but_for_the_edges(ids, bend, agreement):
    transform = StaticTransform(96, bend=bend)
    plane = ((ids == 1) * 255).astype(np.uint8)
    for seed in range(8):
        draw = transform.draw(np.random.default_rng(seed), HEIGHT, WIDTH)
        a, b = exact.still_masks([plane], draw), composed.still_masks([plane], draw)
        assert ((a > 0.5) == (b > 0.5)).mean() > agreement


@pytest.mark.parametrize("changes", [{}, {"interpolation": "bilinear"}, {"affine_first": True}])
@pytest.mark.parametrize("kind", ["clip", "still"])
def test_composed_images_are_near_exact_ones(kind, changes):
    if kind == "still":
        changes.pop("affine_first", None)
    rng = np.random.default_rng(3)
    image = cv2.resize(
        rng.integers(0, 256, (12, 20, 3), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    for seed in range(6):
        if kind == "clip":
            draw = ClipTransform(96, **changes).draw(np.random.default_rng(seed), HEIGHT, WIDTH, 1)
            a, b = (carried_out(module.clip_image, image, draw, 0) for module in (exact, composed))
        else:
            still = StaticTransform(96, **changes).draw(np.random.default_rng(seed), HEIGHT, WIDTH)
            a, b = exact.still_images(image, still), composed.still_images(image, still)
        assert np.abs(_rgb(a) - _rgb(b)).mean() < 0.03  # PIL rounds down after each colour step
        assert np.percentile(np.abs(_rgb(a) - _rgb(b)), 95) < 0.07


@pytest.mark.parametrize(("affine_first", "share"), [(False, 0.091), (True, 0.030)])
def test_share_of_a_crop_that_is_filled(affine_first, share):
    """As measured on the official order and on the other one, with Cutie's ranges and frames of DAVIS."""
    transform = CLIP_RECIPES["cutie"](64, affine_first=affine_first)
    whole = np.ones((480, 854), np.uint8)
    rng = np.random.default_rng(0)
    filled = [(composed.clip_ids(whole, transform.draw(rng, 480, 854, 1), 0) == 0).mean() for _ in range(1500)]
    assert abs(np.mean(filled) - share) < 0.005


@pytest.mark.parametrize("way", [exact, composed])
def test_bilinear_takes_other_pixels_than_bicubic_and_hardly_softens_still_masks(ids, way):
    plane = ((ids == 1) * 255).astype(np.uint8)
    soft = []
    for interpolation in ("bicubic", "bilinear"):
        clip = ClipTransform(96, interpolation=interpolation)
        drawn = clip.draw(np.random.default_rng(5), HEIGHT, WIDTH, 1)
        still = StaticTransform(96, bend=0.0, interpolation=interpolation)
        masks = way.still_masks([plane], still.draw(np.random.default_rng(5), HEIGHT, WIDTH))
        soft.append(float(((masks > 0) & (masks < 1)).mean()))
        bright = _rgb(carried_out(way.clip_image, _painted(ids), drawn, 0))
        assert bright.shape == (3, 96, 96)
        soft.append(bright)
    assert not np.array_equal(soft[1], soft[3])
    assert np.abs(soft[1] - soft[3]).mean() < 0.02
    assert soft[0] > 0
    assert soft[2] == 0, "by the nearest pixel"


def test_upright_clips_draw_all_else_alike():
    transform = ClipTransform(96)
    drawn = transform.draw(np.random.default_rng(1), HEIGHT, WIDTH, 3)
    upright = transform.upright().draw(np.random.default_rng(1), HEIGHT, WIDTH, 3)
    assert (drawn.flip, drawn.box, drawn.colours) == (upright.flip, upright.box, upright.colours)
    assert [frame.colours for frame in drawn.frames] == [frame.colours for frame in upright.frames]
    assert {(frame.angle, frame.shear) for frame in upright.frames} == {(0.0, 0.0)}


def test_beyond_the_border_lies_the_mean_colour():
    image = np.full((HEIGHT, WIDTH, 3), 255, np.float32)
    matrix = warps.affine(WIDTH, HEIGHT, angle=15)
    corner = warps.warp_image(image, matrix, HEIGHT)[0, 0]
    assert tuple(corner) == FILL


@pytest.mark.parametrize(
    ("angle", "scale", "shear"), [(17.0, 1.0, 0.0), (0.0, 1.3, 0.0), (0.0, 1.0, 9.0), (-12.0, 0.9, -7.0)]
)
def test_affine_matrix_is_torchvisions(angle, scale, shear):
    """The inverse of ours, about the centre, is the matrix torchvision hands to PIL."""
    inverse = official._get_inverse_affine_matrix([WIDTH / 2, HEIGHT / 2], angle, [0.0, 0.0], scale, [shear, 0.0])
    ours = np.linalg.inv(warps.affine(WIDTH, HEIGHT, angle, scale, shear))
    np.testing.assert_allclose(ours[:2].ravel(), inverse, atol=1e-9)


def test_strong_shrinking_averages_instead_of_picking_pixels():
    """Stripes of one pixel vanish into their mean when the image shrinks to a tenth."""
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, ::2] = 255
    small, to_small = warps.shrink(image, 0.1)
    result = warps.warp_image(small.astype(np.float32), warps.stretch(0.1, 0.1) @ np.linalg.inv(to_small), 40)
    assert np.abs(result[5:-5, 5:-5].astype(int) - 127).max() <= 15


def test_folded_colours_equal_the_steps():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 190, (40, 50, 3), dtype=np.uint8)
    colours = (("contrast", 0.9), ("saturation", 1.1), ("brightness", 1.08), ("gray", 0.0), ("contrast", 1.05))
    stepwise = np.asarray(apply_colours(Image.fromarray(image), colours)).astype(float)
    matrix = fold_colours(colours, image.mean((0, 1)))
    folded = image @ matrix[:, :3].T + matrix[:, 3]
    assert np.abs(stepwise - folded).max() < 4  # five roundings


def test_spline_moves_sources_to_targets():
    spline = warps.draw_spline(np.random.default_rng(5), 200)
    x, y = spline.maps
    for (source_x, source_y), (target_x, target_y) in zip(spline.source, spline.target, strict=True):
        column, row = round(target_x * 199), round(target_y * 199)
        if 0 <= column < 200 and 0 <= row < 200:
            assert abs(x[row, column] - source_x * 200) < 2
            assert abs(y[row, column] - source_y * 200) < 2


def test_quick_spline_is_near_the_full_one():
    for seed in range(5):
        spline = warps.draw_spline(np.random.default_rng(seed), 128)
        for quick, full in zip(spline.quick_maps, spline.maps, strict=True):
            assert np.abs(quick - full).mean() < 0.03
            assert np.abs(quick - full).max() < 1


def test_box_keeps_area_and_aspect_and_lies_inside():
    rng = np.random.default_rng(0)
    for _ in range(300):
        top, left, height, width = draw_box(rng, 480, 854)
        assert 0 <= top <= 480 - height
        assert 0 <= left <= 854 - width
        assert 0.74 <= width / height <= 1.35
    assert draw_box(rng, 10, 1000) == (0, 493, 10, 13), "too flat: the central box of the largest aspect"


def test_drawing_depends_on_the_generator_alone():
    draws = [ClipTransform(96).draw(np.random.default_rng(4), 480, 854, 3) for _ in range(2)]
    assert draws[0] == draws[1] == ClipTransform(96).draw(np.random.default_rng(4), 480, 854, 3)


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 854), (384, 683)), ((854, 480), (683, 384)), ((96, 96), (384, 384))]
)
def test_shorter_side(size, expected):
    assert shorter_side_to(*size, 384) == expected


def test_cutie_varies_nothing_from_frame_to_frame():
    draw = CLIP_RECIPES["cutie"](96).draw(np.random.default_rng(4), HEIGHT, WIDTH, 5)
    assert len(draw.frames) == 5
    assert len(set(map(repr, draw.frames))) == 1
    assert len(set(map(repr, CLIP_RECIPES["xmem"](96).draw(np.random.default_rng(4), HEIGHT, WIDTH, 5).frames))) == 5


def test_cutie_scales_still_images_more():
    def scales(name):
        transform = STATIC_RECIPES[name](96)
        return [transform.draw(np.random.default_rng(seed), HEIGHT, WIDTH).scale for seed in range(50)]

    assert min(scales("cutie")) < 0.8 <= min(scales("stcn"))
    assert max(scales("stcn")) <= 1.5 < max(scales("cutie"))
