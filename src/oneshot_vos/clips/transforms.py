"""Augmentations of training clips: what is drawn at random, kept apart from how it is carried out.

`draw` takes an explicit generator and returns plain numbers; carrying out is deterministic and is given the same
numbers for an image and its mask, so that the two cannot come apart. Two modules carry out, `exact` says which:

- exact: one PIL operation after another, interpolating each time, as the official programs do;
- composed: all geometry of a frame in one matrix and one OpenCV warp, all colours in one matrix after the crop.

Composed keeps the borders of every step (what exact cuts off or fills, it does too) and differs by interpolation only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import exp, log, sqrt
from typing import Literal

import numpy as np

from oneshot_vos.clips.colours import Colours, draw_gray, draw_jitter
from oneshot_vos.clips.draws import ClipDraw, FrameDraw, StillDraw, StillFrameDraw
from oneshot_vos.clips.warps import Box, draw_spline
from oneshot_vos.registry import Registry
from oneshot_vos.videos.images import shorter_side_to

Interpolation = Literal["bicubic", "bilinear"]

_AREA, _ASPECT = (0.36, 1.0), (3 / 4, 4 / 3)  # of the part of an image that a clip shows


@dataclass(frozen=True)
class ClipTransform:
    """Augmentation of video clips.

    For the whole clip: mirror (probability 0.5), random part of the image (see `draw_box`) resized to `crop` × `crop`,
    colours. For each frame, or once for all of them if `alike`: rotation within ±`rotation`° and shear within ±`shear`°
    (of the crop, or of the whole image if `affine_first`), brightness, contrast and saturation within ±`jitter`.
    """

    crop: int
    exact: bool = False
    rotation: float = 15.0
    shear: float = 10.0
    jitter: tuple[float, float, float] = (0.01, 0.01, 0.01)
    alike: bool = False
    affine_first: bool = False
    interpolation: Interpolation = "bicubic"

    def upright(self) -> "ClipTransform":
        """The same without rotation and shear; it draws as many random numbers."""
        return replace(self, rotation=0.0, shear=0.0)

    def draw(self, rng: np.random.Generator, height: int, width: int, frames: int) -> ClipDraw:
        """Draw everything for a clip of `frames` frames of `height` × `width` pixels."""
        flip = bool(rng.random() < 0.5)
        box = draw_box(rng, height, width)
        colours = draw_jitter(rng, 0.1, 0.03, 0.03) + draw_gray(rng, 0.05)
        different = tuple(self._draw_frame(rng) for _ in range(1 if self.alike else frames))
        return ClipDraw(
            flip=flip,
            box=box,
            crop=self.crop,
            colours=colours,
            frames=different * frames if self.alike else different,
            affine_first=self.affine_first,
            bilinear=self.interpolation == "bilinear",
        )

    def _draw_frame(self, rng: np.random.Generator) -> FrameDraw:
        return FrameDraw(
            angle=float(rng.uniform(-self.rotation, self.rotation)),
            shear=float(rng.uniform(-self.shear, self.shear)),
            colours=draw_jitter(rng, *self.jitter),
        )


@dataclass(frozen=True)
class StaticTransform:
    """Augmentation that makes a clip of `frames` warped copies from one image.

    For the whole clip: scaling within `scale`, mirror, colours. For each copy: rotation within ±20°, scaling within
    `copy_scale`, shear within ±10°, the shorter side resized to `crop`, a random `crop` × `crop` part of that, slight
    colours, and with probability `bend` a thin-plate spline.
    """

    crop: int
    frames: int = 3
    exact: bool = False
    bend: float = 0.33
    scale: tuple[float, float] = (0.8, 1.5)
    copy_scale: tuple[float, float] = (0.9, 1.1)
    interpolation: Interpolation = "bicubic"

    def draw(self, rng: np.random.Generator, height: int, width: int) -> StillDraw:
        """Draw everything for an image of `height` × `width` pixels."""
        return StillDraw(
            scale=float(rng.uniform(*self.scale)),
            flip=bool(rng.random() < 0.5),
            crop=self.crop,
            colours=draw_jitter(rng, 0.1, 0.05, 0.05, 0.05) + draw_gray(rng, 0.05),
            frames=tuple(self._draw_copy(rng, height, width) for _ in range(self.frames)),
            bilinear=self.interpolation == "bilinear",
        )

    def _draw_copy(self, rng: np.random.Generator, height: int, width: int) -> StillFrameDraw:
        resized = shorter_side_to(height, width, self.crop)
        colours: Colours = draw_jitter(rng, 0.1, 0.05, 0.05)
        return StillFrameDraw(
            angle=float(rng.uniform(-20, 20)),
            scale=float(rng.uniform(*self.copy_scale)),
            shear=float(rng.uniform(-10, 10)),
            resized=resized,
            top=int(rng.integers(resized[0] - self.crop + 1)),
            left=int(rng.integers(resized[1] - self.crop + 1)),
            colours=colours,
            spline=draw_spline(rng, self.crop) if rng.random() < self.bend else None,
        )


# What the networks' own recipes augment by; order and interpolation are values of the recipe. Cutie varies nothing from
# frame to frame of a video (its code means to, but seeds its generator anew for every frame).
CLIP_RECIPES: Registry[Callable[..., ClipTransform]] = Registry(
    "augmentation",
    {
        "stcn": ClipTransform,
        "xmem": ClipTransform,
        "cutie": partial(ClipTransform, rotation=25.0, shear=20.0, jitter=(0.1, 0.05, 0.05), alike=True),
    },
)
STATIC_RECIPES: Registry[Callable[..., StaticTransform]] = Registry(
    "augmentation",
    {
        "stcn": StaticTransform,
        "xmem": StaticTransform,
        "cutie": partial(StaticTransform, scale=(0.5, 2.0), copy_scale=(0.5, 2.0)),
    },
)


def draw_box(rng: np.random.Generator, height: int, width: int) -> Box:
    """Draw a part of an image: its share of the area uniform in 0.36 to 1, its aspect log-uniform in 3/4 to 4/3.

    After ten boxes that do not fit, the largest central one of an allowed aspect.
    """
    for _ in range(10):
        target = height * width * rng.uniform(*_AREA)
        aspect = exp(rng.uniform(log(_ASPECT[0]), log(_ASPECT[1])))
        box_width, box_height = round(sqrt(target * aspect)), round(sqrt(target / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(rng.integers(height - box_height + 1))
            return top, int(rng.integers(width - box_width + 1)), box_height, box_width
    box_width = min(width, round(height * _ASPECT[1]))
    box_height = min(height, round(width / _ASPECT[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
