"""Geometry of the augmentations: matrices, thin-plate splines, and one-call warps.

Coordinates are continuous (x, y): the centre of pixel (0, 0) lies at (0.5, 0.5), as in PIL. Matrices are 3×3 and map
a point of the source to a point of the result; `b @ a` does `a` first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, radians, sin, tan
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from oneshot_vos.videos.images import FILL
from oneshot_vos.videos.masks import Ids

P = TypeVar("P", np.uint8, np.uint16, np.float32)
Matrix = NDArray[np.float64]
Maps = tuple[NDArray[np.float32], NDArray[np.float32]]
Box = tuple[int, int, int, int]  # top, left, height, width in pixels

_SHRINK_BELOW = 0.5  # a scale under this would alias in a plain warp
_SCALE_LEFT = 0.7  # what area averaging leaves for the warp to do
_SPLINE_STEP = 4  # pixels between the points at which a spline is evaluated before interpolation


def affine(width: float, height: float, angle: float = 0, scale: float = 1, shear: float = 0) -> Matrix:
    """Rotation by `angle` degrees (clockwise), scaling and shear along x by `shear` degrees, about the centre."""
    turn = radians(angle)
    rotate = np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]])
    linear = scale * rotate @ np.array([[1, -tan(radians(shear))], [0, 1]])
    centre = np.array([width / 2, height / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre
    return matrix


def stretch(scale_x: float, scale_y: float) -> Matrix:
    """Scaling about the origin."""
    return np.diag([scale_x, scale_y, 1.0])


def shift(x: float, y: float) -> Matrix:
    """Translation."""
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix


def mirror(width: float) -> Matrix:
    """Horizontal flip of an image `width` wide."""
    return shift(width, 0) @ stretch(-1, 1)


def shrink(image: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.uint8], Matrix]:
    """Shrink `image` by area averaging ahead of a warp that scales it by `scale`, so that the warp does not alias.

    Returns it, as it is if it need not shrink, and the matrix from the original's coordinates to those of the result.
    """
    if scale >= _SHRINK_BELOW:
        return image, np.eye(3)
    height, width = image.shape[:2]
    factor = scale / _SCALE_LEFT
    small = max(1, round(width * factor)), max(1, round(height * factor))
    averaged = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    return averaged, stretch(small[0] / width, small[1] / height)


def _sampling(matrix: Matrix) -> Matrix:
    """From pixel indices of the result to pixel indices of the source, as OpenCV counts them."""
    back = np.asarray(cv2.invertAffineTransform(matrix[:2]), np.float64)
    back[:, 2] += back[:, :2] @ (0.5, 0.5) - 0.5
    return back


def warp_image(image: NDArray[np.float32], matrix: Matrix, size: int, *, bilinear: bool = False) -> NDArray[np.float32]:
    """Warp RGB of 0..255 [H, W, 3] to [size, size, 3], bicubic or bilinear; beyond the border lies the mean colour.

    In float32, since OpenCV's cubic warp is nearly twice as fast there as in 8 bits. Values may overshoot a little.
    """
    return _warp(image, matrix, size, cv2.INTER_LINEAR if bilinear else cv2.INTER_CUBIC, FILL)


def warp_soft(mask: NDArray[np.uint8], matrix: Matrix, size: int) -> NDArray[np.uint8]:
    """Warp a soft mask [H, W] to [size, size] by linear interpolation; beyond its border lies 0."""
    return _warp(mask, matrix, size, cv2.INTER_LINEAR, (0,))


def warp_ids(ids: Ids, matrix: Matrix, size: int) -> Ids:
    """Warp object ids [H, W] to [size, size], each pixel taking its nearest neighbour; beyond the border lies 0."""
    return _warp(ids, matrix, size, cv2.INTER_NEAREST, (0,))


def _warp(source: NDArray[P], matrix: Matrix, size: int, interpolation: int, fill: tuple[int, ...]) -> NDArray[P]:
    flags = interpolation | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        source, _sampling(matrix), (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
    return np.asarray(warped, source.dtype)


@dataclass(frozen=True)
class Spline:
    """A thin-plate spline between control points [P, 2], in coordinates (x, y) divided by the image's side."""

    source: NDArray[np.float64]
    target: NDArray[np.float64]
    size: int  # side of the square image in pixels

    @cached_property
    def maps(self) -> Maps:
        """Where `cv2.remap` finds each pixel: x and y in pixels, each [size, size]."""
        return _to_maps(_displacement(self, np.linspace(0, 1, self.size)), self.size)

    @cached_property
    def quick_maps(self) -> Maps:
        """`maps`, evaluated at every fourth pixel and interpolated between: off by hundredths of a pixel on average."""
        fields = _displacement(self, np.linspace(0, 1, self.size // _SPLINE_STEP + 1))
        return _to_maps([_enlarge(field.astype(np.float32), self.size) for field in fields], self.size)


def draw_spline(rng: np.random.Generator, size: int) -> Spline:
    """Draw 12 control points on a square image of `size` pixels and move each by N(0, 0.02) along both axes."""
    source = np.stack([rng.choice(size, 12, replace=False) for _ in range(2)], axis=1) / size
    return Spline(source, source + rng.normal(0, 0.02, source.shape), size)


def _to_maps(displacement: Sequence[NDArray[np.floating]], size: int) -> Maps:
    axis = np.linspace(0, 1, size, dtype=np.float32)
    x, y = (field.astype(np.float32) for field in displacement)
    return (x + axis[None]) * np.float32(size), (y + axis[:, None]) * np.float32(size)


def _enlarge(field: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Interpolate a field whose first and last points sit on the first and last pixel."""
    scale = (field.shape[0] - 1) / (size - 1)
    sampling = np.array([[scale, 0, 0], [0, scale, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    enlarged = cv2.warpAffine(field, sampling, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(enlarged, np.float32)


def _kernel(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """r² log(r + 1e-6), given r²."""
    return squares * np.log(np.sqrt(squares) + 1e-6)


def _displacement(spline: Spline, axis: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Displacements along x and along y on the grid `axis` × `axis`: target points go back to their sources."""
    centres, count = spline.target, len(spline.target)
    linear_part = np.concatenate([np.ones((count, 1)), centres], axis=1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(((centres[:, None] - centres[None]) ** 2).sum(-1))
    system[:count, count:] = linear_part
    system[count:, :count] = linear_part.T
    values = np.zeros((count + 3, 2))
    values[:count] = spline.source - centres
    weights = np.linalg.solve(system, values)
    constant, along_x, along_y = weights[count:]
    moves = [constant[d] + along_x[d] * axis[None] + along_y[d] * axis[:, None] for d in range(2)]
    for (x, y), weight in zip(centres, weights[:count], strict=True):
        radial = _kernel((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2)
        moves[0] += weight[0] * radial
        moves[1] += weight[1] * radial
    return moves
