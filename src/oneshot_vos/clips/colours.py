"""Colour changes: drawn once as a list of operations, then applied step by step or folded into one matrix."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

# Operations in the order in which they apply: ("brightness" | "contrast" | "saturation" | "hue" | "gray", amount).
Colours = tuple[tuple[str, float], ...]

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as in PIL's conversion to grey


def _shift_hue(image: Image.Image, turns: float) -> Image.Image:
    """Turn the hue, of which 256 steps make one turn; the shift is a whole number of them, cut towards 0."""
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.asarray(hue) + np.array(int(turns * 255)).astype(np.uint8)  # 8 bits, which wrap
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")


# As torchvision's functions for Pillow images; importing torchvision costs a process as much as torch itself.
_EXACT: Mapping[str, Callable[[Image.Image, float], Image.Image]] = MappingProxyType(
    {
        "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
        "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
        "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
        "hue": _shift_hue,
        "gray": lambda image, _: image.convert("L").convert("RGB"),
    }
)


def draw_jitter(
    rng: np.random.Generator, brightness: float, contrast: float, saturation: float, hue: float = 0.0
) -> Colours:
    """Draw a colour jitter in random order: factors uniform in 1 ± range (hue: 0 ± range, in turns).

    A range of 0 leaves its operation out.
    """
    ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    drawn = [
        (name, float(rng.uniform(-extent, extent)) + (0.0 if name == "hue" else 1.0))
        for name, extent in ranges.items()
        if extent > 0
    ]
    return tuple(drawn[i] for i in rng.permutation(len(drawn)))


def draw_gray(rng: np.random.Generator, probability: float) -> Colours:
    """Draw whether the image loses its colours."""
    return (("gray", 0.0),) if rng.random() < probability else ()


def apply_colours(image: Image.Image, colours: Colours) -> Image.Image:
    """Apply the operations one after the other to an RGB image, with rounding to 8 bits after each."""
    for name, amount in colours:
        image = _EXACT[name](image, amount)
    return image


def fold_colours(colours: Colours, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fold operations into one matrix [3, 4] on (R, G, B, 1) in 0..255, given the image's mean colour [3].

    Brightness, contrast, saturation and grey are all affine in the colour, so that their chain is too (the clipping
    between them apart). Hue is not: it must have been applied before, and is skipped here.
    """
    total = np.eye(4)
    for name, amount in colours:
        step = np.eye(4)
        if name == "brightness":
            step[:3, :3] *= amount
        elif name == "contrast":
            current = (total @ np.append(mean, 1.0))[:3]
            step[:3, :3] *= amount
            step[:3, 3] = (1 - amount) * (_LUMA @ current)
        elif name in ("saturation", "gray"):
            keep = amount if name == "saturation" else 0.0
            step[:3, :3] = keep * np.eye(3) + (1 - keep) * np.tile(_LUMA, (3, 1))
        total = step @ total
    return total[:3]


def hue_of(colours: Colours) -> float:
    """The sum of the hue shifts among the operations, in turns."""
    return sum(amount for name, amount in colours if name == "hue")
