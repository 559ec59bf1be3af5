"""Augmentations carried out step by step with PIL, in the order and with the interpolations of the official code."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from oneshot_vos.clips.colours import apply_colours
from oneshot_vos.clips.draws import ClipDraw, StillDraw, StillFrameDraw
from oneshot_vos.videos.images import FILL, normalise
from oneshot_vos.videos.masks import Ids

_NEAREST, _LINEAR, _CUBIC = InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC
_IMAGE_FILL = [float(channel) for channel in FILL]
_MASK_FILL = [0.0]


def clip_image(image: NDArray[np.uint8], draw: ClipDraw, t: int, out: NDArray[np.float32]) -> None:
    """Write frame `t` of a clip [H, W, 3], normalised, into `out` [3, C, C]."""
    frame, way = draw.frames[t], _LINEAR if draw.bilinear else _CUBIC
    picture = _mirrored(Image.fromarray(image), draw)
    if draw.affine_first:
        picture = _affine(picture, frame.angle, 1.0, frame.shear, way, _IMAGE_FILL)
    picture = apply_colours(_part(picture, draw, way), draw.colours)
    if not draw.affine_first:
        picture = _affine(picture, frame.angle, 1.0, frame.shear, way, _IMAGE_FILL)
    out[:] = normalise(np.asarray(apply_colours(picture, frame.colours)))


def clip_ids(ids: Ids, draw: ClipDraw, t: int) -> Ids:
    """Object ids [H, W] of frame `t` as [C, C]."""
    frame = draw.frames[t]
    picture = _mirrored(Image.fromarray(ids.astype(np.int32)), draw)
    if draw.affine_first:
        picture = _affine(picture, frame.angle, 1.0, frame.shear, _NEAREST, _MASK_FILL)
    picture = _part(picture, draw, _NEAREST)
    if not draw.affine_first:
        picture = _affine(picture, frame.angle, 1.0, frame.shear, _NEAREST, _MASK_FILL)
    return np.asarray(picture).astype(ids.dtype)


def still_images(image: NDArray[np.uint8], draw: StillDraw) -> NDArray[np.float32]:
    """The copies of an image [H, W, 3], normalised [T, 3, C, C]."""
    whole = apply_colours(_whole(Image.fromarray(image), draw, _IMAGE_FILL), draw.colours)
    copies = []
    for frame in draw.frames:
        way = _LINEAR if draw.bilinear else _CUBIC
        picture = _copy(whole, frame, draw.crop, way, way, _IMAGE_FILL)
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


def _mirrored(picture: Image.Image, draw: ClipDraw) -> Image.Image:
    return functional.horizontal_flip(picture) if draw.flip else picture


def _part(picture: Image.Image, draw: ClipDraw, interpolation: InterpolationMode) -> Image.Image:
    """The clip's part of the mirrored picture, resized to the crop."""
    return functional.resized_crop(picture, *draw.box, [draw.crop, draw.crop], interpolation=interpolation)


def _whole(picture: Image.Image, draw: StillDraw, fill: list[float]) -> Image.Image:
    """What all copies share: scaling (nearest neighbour, as the official code leaves it) and mirror."""
    picture = _affine(picture, 0.0, draw.scale, 0.0, _NEAREST, fill)
    return functional.horizontal_flip(picture) if draw.flip else picture


def _copy(
    picture: Image.Image,
    frame: StillFrameDraw,
    crop: int,
    turning: InterpolationMode,
    resizing: InterpolationMode,
    fill: list[float],
) -> Image.Image:
    """One copy up to its crop; a cubic affine step makes masks soft."""
    picture = _affine(picture, frame.angle, frame.scale, frame.shear, turning, fill)
    picture = functional.resize(picture, list(frame.resized), interpolation=resizing)
    return functional.crop(picture, frame.top, frame.left, crop, crop)


def _affine(
    picture: Image.Image, angle: float, scale: float, shear: float, interpolation: InterpolationMode, fill: list[float]
) -> Image.Image:
    return functional.affine(picture, angle, [0, 0], scale, [shear, 0.0], interpolation=interpolation, fill=fill)


def _bend(image: NDArray[np.uint8], frame: StillFrameDraw, interpolation: int) -> NDArray[np.uint8]:
    """Apply the copy's spline, evaluated at every pixel; black beyond the border."""
    if frame.spline is None:
        return image
    return np.asarray(cv2.remap(image, *frame.spline.maps, interpolation), np.uint8)
