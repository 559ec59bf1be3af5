"""What the augmentations drew at random: plain numbers, in the order in which they take effect."""

from dataclasses import dataclass

from oneshot_vos.clips.colours import Colours
from oneshot_vos.clips.warps import Box, Spline


@dataclass(frozen=True)
class FrameDraw:
    """Changes of one frame of a video clip; degrees."""

    angle: float
    shear: float
    colours: Colours


@dataclass(frozen=True)
class ClipDraw:
    """Changes of a video clip: mirror, then `box` of the mirrored image resized to a square of `crop` pixels.

    Each frame's rotation and shear come after that, about the centre of the square, or, if `affine_first`, between the
    two, about the centre of the image.
    """

    flip: bool
    box: Box
    crop: int
    colours: Colours
    frames: tuple[FrameDraw, ...]
    affine_first: bool = False
    bilinear: bool = False  # images; bicubic otherwise


@dataclass(frozen=True)
class StillFrameDraw:
    """Changes of one copy of a still image: affine (degrees), resize to `resized` (height, width), crop, spline."""

    angle: float
    scale: float
    shear: float
    resized: tuple[int, int]
    top: int
    left: int
    colours: Colours
    spline: Spline | None


@dataclass(frozen=True)
class StillDraw:
    """Changes of a still image: scaling about its centre on an unchanged canvas, mirror, then each copy's own."""

    scale: float
    flip: bool
    crop: int
    colours: Colours
    frames: tuple[StillFrameDraw, ...]
    bilinear: bool = False  # images, with masks by the nearest pixel; bicubic otherwise, with soft masks
