"""What the official programs take from torchvision is done with Pillow here, to the bit."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from oneshot_vos.clips import exact
from oneshot_vos.clips.colours import apply_colours

WAYS = {
    Image.Resampling.NEAREST: InterpolationMode.NEAREST,
    Image.Resampling.BILINEAR: InterpolationMode.BILINEAR,
    Image.Resampling.BICUBIC: InterpolationMode.BICUBIC,
}
COLOURS = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}


def picture(rng: np.random.Generator, *channels: int) -> Image.Image:
    height, width = (int(side) for side in rng.integers(20, 60, 2))
    return Image.fromarray(rng.integers(0, 256, (height, width, *channels), dtype=np.uint8))


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("way", WAYS)
def test_affine(way: Image.Resampling) -> None:
    rng = np.random.default_rng(0)
    for number in range(100):
        angle = float(rng.uniform(-40, 40)) if number % 3 else 0.0
        scale = float(rng.uniform(0.5, 1.5)) if number % 4 else 1.0
        shear = float(rng.uniform(-30, 30)) if number % 5 else 0.0
        for image, fill in ((picture(rng, 3), exact.FILL), (picture(rng), 0)):
            expected = functional.affine(
                image, angle, [0, 0], scale, [shear, 0.0], WAYS[way], list(fill) if isinstance(fill, tuple) else [fill]
            )
            assert same(exact._affine(image, angle, scale, shear, way, fill), expected)


@pytest.mark.parametrize("name", COLOURS)
def test_colours(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        image, amount = picture(rng, 3), float(rng.uniform(-0.5, 0.5)) + (name != "hue")
        assert same(apply_colours(image, ((name, amount),)), COLOURS[name](image, amount))


def test_grey() -> None:
    image = picture(np.random.default_rng(0), 3)
    assert same(apply_colours(image, (("gray", 0.0),)), functional.rgb_to_grayscale(image, num_output_channels=3))


def test_torchvision_is_left_to_its_weights(repository: Path) -> None:
    """Importing it costs a process as much as torch itself."""
    package = repository / "src/oneshot_vos"
    found = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"^\s*(from|import) torchvision", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == {"networks/common/imagenet.py"}
