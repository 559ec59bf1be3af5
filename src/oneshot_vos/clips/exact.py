"""Augmentations carried out step by step with PIL, in the order and with the interpolations of the official code.

Letters: T frames, K objects, C crop size in pixels.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oneshot_vos.clips.colours import Colours, apply_colours
from oneshot_vos.clips.draws import ClipDraw, StillDraw, StillFrameDraw
from oneshot_vos.videos.images import FILL, normalise
from oneshot_vos.videos.masks import Ids

_NEAREST, _LINEAR, _CUBIC = Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
_Fill = int | tuple[int, int, int]
_MASK_FILL = 0


def clip_image(image: NDArray[np.uint8], draw: ClipDraw, t: int, out: NDArray[np.float32]) -> None:
    """Write frame `t` of a clip [H, W, 3], normalised, into `out` [3, C, C]."""
    picture = _frame(Image.fromarray(image), draw, t, _LINEAR if draw.bilinear else _CUBIC, FILL, draw.colours)
    out[:] = normalise(np.asarray(apply_colours(picture, draw.frames[t].colours)))


def clip_ids(ids: Ids, draw: ClipDraw, t: int) -> Ids:
    """Object ids [H, W] of frame `t` as [C, C]; 0 beyond the image."""
    picture = _frame(Image.fromarray(ids.astype(np.int32)), draw, t, _NEAREST, _MASK_FILL, ())
    return np.asarray(picture).astype(ids.dtype)


def still_images(image: NDArray[np.uint8], draw: StillDraw) -> NDArray[np.float32]:
    """The copies of an image [H, W, 3], normalised [T, 3, C, C]."""
    whole = apply_colours(_whole(Image.fromarray(image), draw, FILL), draw.colours)
    copies = []
    for frame in draw.frames:
        way = _LINEAR if draw.bilinear else _CUBIC
        picture = _copy(whole, frame, draw.crop, way, way, FILL)
        bent = _bend(np.asarray(apply_colours(picture, frame.colours)), frame, cv2.INTER_LINEAR)
        copies.append(normalise(bent))
    return np.stack(copies)


def still_masks(planes: list[NDArray[np.uint8]], draw: StillDraw) -> NDArray[np.float32]:
    """The copies of K masks [H, W] of 0..255, soft [T, K, C, C]."""
    wholes = [_whole(Image.fromarray(plane), draw, _MASK_FILL) for plane in planes]
    copies = np.empty((len(draw.frames), len(planes), draw.crop, draw.crop), np.float32)
    for t, frame in enumerate(draw.frames):
        for k, whole in enumerate(wholes):
            turning = _NEAREST if draw.bilinear else _CUBIC
            picture = _copy(whole, frame, draw.crop, turning, _NEAREST, _MASK_FILL)
            copies[t, k] = _bend(np.asarray(picture), frame, cv2.INTER_NEAREST)
    return copies / np.float32(255)


def _frame(
    picture: Image.Image, draw: ClipDraw, t: int, way: Image.Resampling, fill: _Fill, colours: Colours
) -> Image.Image:
    """Frame `t` of a clip: mirror, its part resized to the crop, colours; rotation and shear before or after that."""
    angle, shear = draw.frames[t].angle, draw.frames[t].shear
    if draw.flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw.affine_first:
        picture = _affine(picture, angle, 1.0, shear, way, fill)
    top, left, height, width = draw.box
    picture = picture.crop((left, top, left + width, top + height)).resize((draw.crop, draw.crop), way)
    picture = apply_colours(picture, colours)
    return picture if draw.affine_first else _affine(picture, angle, 1.0, shear, way, fill)


def _whole(picture: Image.Image, draw: StillDraw, fill: _Fill) -> Image.Image:
    """What all copies share: scaling (nearest neighbour, as the official code leaves it) and mirror."""
    picture = _affine(picture, 0.0, draw.scale, 0.0, _NEAREST, fill)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.flip else picture


def _copy(
    picture: Image.Image,
    frame: StillFrameDraw,
    crop: int,
    turning: Image.Resampling,
    resizing: Image.Resampling,
    fill: _Fill,
) -> Image.Image:
    """One copy up to its crop; a cubic affine step makes masks soft."""
    picture = _affine(picture, frame.angle, frame.scale, frame.shear, turning, fill)
    height, width = frame.resized
    picture = picture.resize((width, height), resizing)
    return picture.crop((frame.left, frame.top, frame.left + crop, frame.top + crop))


def _affine(
    picture: Image.Image, angle: float, scale: float, shear: float, interpolation: Image.Resampling, fill: _Fill
) -> Image.Image:
    """Shear along the rows, turn clockwise (both in degrees) and scale about the middle, as torchvision does it."""
    turn, slant = math.radians(angle), math.tan(math.radians(shear))
    sine, cosine = math.sin(turn), math.cos(turn)
    # Pillow asks where a pixel comes from, that is for the inverse.
    rows = ((cosine - sine * slant) / scale, (cosine * slant + sine) / scale), (-sine / scale, cosine / scale)
    middle = picture.width * 0.5, picture.height * 0.5
    matrix: list[float] = []
    for (x, y), own in zip(rows, middle, strict=True):
        matrix += [x, y, own - x * middle[0] - y * middle[1]]
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, interpolation, fillcolor=fill)


def _bend(image: NDArray[np.uint8], frame: StillFrameDraw, interpolation: int) -> NDArray[np.uint8]:
    """Apply the copy's spline, evaluated at every pixel; black beyond the border."""
    if frame.spline is None:
        return image
    return np.asarray(cv2.remap(image, *frame.spline.maps, interpolation), np.uint8)
