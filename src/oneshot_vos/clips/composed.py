"""Augmentations carried out with one warp per frame and one colour matrix after the crop.

Letters: T frames, K objects, C crop size in pixels.
"""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.clips.colours import Colours, fold_colours, hue_of
from oneshot_vos.clips.draws import ClipDraw, StillDraw, StillFrameDraw
from oneshot_vos.clips.warps import Matrix, affine, mirror, shift, shrink, stretch, warp_ids, warp_image, warp_soft
from oneshot_vos.videos.images import MEAN, STD
from oneshot_vos.videos.masks import Ids

P = TypeVar("P", np.uint8, np.float32)

# ImageNet normalisation of (R, G, B, 1) in 0..255, and the values that 0 and 255 come to.
_NORMALISE = np.concatenate([np.diag(1 / (255 * STD)), -(MEAN / STD)[:, None]], axis=1).astype(np.float64)
_DARKEST, _BRIGHTEST = -MEAN / STD, (1 - MEAN) / STD


def clip_image(image: NDArray[np.uint8], draw: ClipDraw, t: int, out: NDArray[np.float32]) -> None:
    """Write frame `t` of a clip [H, W, 3], normalised, into `out` [3, C, C]."""
    matrix, (rows, columns) = _clip_warp(draw, t, *image.shape[:2])
    _, _, height, width = draw.box
    small, to_small = shrink(image[rows, columns], min(draw.crop / height, draw.crop / width))
    way = matrix @ np.linalg.inv(to_small)
    warped = warp_image(small.astype(np.float32), way, draw.crop, bilinear=draw.bilinear)
    _colour(warped, draw.colours + draw.frames[t].colours, out)


def clip_ids(ids: Ids, draw: ClipDraw, t: int) -> Ids:
    """Object ids [H, W] of frame `t` as [C, C]; 0 beyond the image."""
    matrix, (rows, columns) = _clip_warp(draw, t, *ids.shape)
    return warp_ids(ids[rows, columns], matrix, draw.crop)


def still_images(image: NDArray[np.uint8], draw: StillDraw) -> NDArray[np.float32]:
    """The copies of an image [H, W, 3], normalised [T, 3, C, C]."""
    canvas = _Canvas(image, draw)
    source = _turn_hue(canvas.image, hue_of(draw.colours)).astype(np.float32)
    copies = np.empty((len(draw.frames), 3, draw.crop, draw.crop), np.float32)
    for t, frame in enumerate(draw.frames):
        warped = _bend(warp_image(source, canvas.matrix(frame), draw.crop, bilinear=draw.bilinear), frame)
        _colour(warped, draw.colours + frame.colours, copies[t])
    return copies


def still_masks(planes: list[NDArray[np.uint8]], draw: StillDraw) -> NDArray[np.float32]:
    """The copies of K masks [H, W] of 0..255, soft [T, K, C, C]."""
    canvases = [_Canvas(plane, draw) for plane in planes]
    copies = np.empty((len(draw.frames), len(planes), draw.crop, draw.crop), np.float32)
    for t, frame in enumerate(draw.frames):
        for k, canvas in enumerate(canvases):
            warp = warp_ids if draw.bilinear else warp_soft
            copies[t, k] = _bend(warp(canvas.image, canvas.matrix(frame), draw.crop), frame)
    return copies / np.float32(255)


class _Canvas:
    """The part of a still image (or mask) that the shared scaling leaves on the canvas, and its way into each copy."""

    def __init__(self, image: NDArray[np.uint8], draw: StillDraw) -> None:
        self._height, self._width = image.shape[:2]
        self._draw = draw
        # Enlarging pushes the image's rim off the canvas; what stays, in whole pixels.
        share = min(1.0, 1 / draw.scale)
        height, width = round(self._height * share), round(self._width * share)
        top, left = (self._height - height) // 2, (self._width - width) // 2
        resize = draw.crop / min(self._height, self._width)
        self.image, to_small = shrink(
            image[top : top + height, left : left + width],
            draw.scale * resize * min(frame.scale for frame in draw.frames),
        )
        self._back = shift(left, top) @ np.linalg.inv(to_small)

    def matrix(self, frame: StillFrameDraw) -> Matrix:
        """From `self.image` to the copy `frame`."""
        height, width = self._height, self._width
        shared = affine(width, height, scale=self._draw.scale)
        if self._draw.flip:
            shared = mirror(width) @ shared
        own = affine(width, height, frame.angle, frame.scale, frame.shear)
        resize = stretch(frame.resized[1] / width, frame.resized[0] / height)
        return shift(-frame.left, -frame.top) @ resize @ own @ shared @ self._back


def _clip_warp(draw: ClipDraw, t: int, height: int, width: int) -> tuple[Matrix, tuple[slice, slice]]:
    """From a part of an image of that size to frame `t`, and which part: rows and columns."""
    top, left, box_height, box_width = draw.box
    crop, frame = draw.crop, draw.frames[t]
    resize = stretch(crop / box_width, crop / box_height)
    if draw.affine_first:
        turned = affine(width, height, frame.angle, 1.0, frame.shear)
        if draw.flip:
            turned = turned @ mirror(width)
        return resize @ shift(-left, -top) @ turned, (slice(None), slice(None))
    mirrored = mirror(crop) @ resize if draw.flip else resize
    # The box was drawn on the mirrored image; here is its place on the image as it is stored.
    start = width - left - box_width if draw.flip else left
    part = slice(top, top + box_height), slice(start, start + box_width)
    return affine(crop, crop, frame.angle, 1.0, frame.shear) @ mirrored, part


def _bend(image: NDArray[P], frame: StillFrameDraw) -> NDArray[P]:
    """Apply the copy's spline; black beyond the border."""
    if frame.spline is None:
        return image
    return np.asarray(cv2.remap(image, *frame.spline.quick_maps, cv2.INTER_LINEAR), image.dtype)


def _turn_hue(image: NDArray[np.uint8], turns: float) -> NDArray[np.uint8]:
    """Shift the hue of an RGB image, in 8-bit HSV as PIL does."""
    if turns == 0:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    table = ((np.arange(256) + round(turns * 255)) % 256).astype(np.uint8)
    hsv[..., 0] = table[hsv[..., 0]]
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _colour(image: NDArray[np.float32], colours: Colours, out: NDArray[np.float32]) -> None:
    """Colour changes and ImageNet normalisation of RGB 0..255 [C, C, 3] in one matrix, into `out` [3, C, C]."""
    mean = np.array(cv2.mean(image)[:3])
    matrix = np.eye(4)
    matrix[:3] = fold_colours(colours, mean)
    changed = cv2.transform(image, (_NORMALISE @ matrix).astype(np.float32))
    cv2.split(changed, list(out))
    for plane, low, high in zip(out, _DARKEST, _BRIGHTEST, strict=True):
        np.clip(plane, low, high, out=plane)
