"""Writing masks as files, and finding golden cases by what is in their folder."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.files import write_zip
from oneshot_vos.videos.video import Video

# Any 256 colours make Pillow write 8 bits per pixel without row filters, as most tools' palette masks are.
PALETTE = [value * 7 % 256 for value in range(768)]

WriteVideo = Callable[..., Video]


def mask_png(ids: np.ndarray, mode: str = "P") -> bytes:
    """A mask file: palette ("P"), grey ("L", "I;16") or one bit ("1")."""
    if mode == "1":
        image = Image.fromarray(ids > 0)
    elif mode == "I;16":
        image = Image.fromarray(ids.astype(np.uint16))
    else:
        image = Image.fromarray(ids.astype(np.uint8))
        if mode == "P":
            image.putpalette(PALETTE)
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue()


@dataclass
class Tree:
    """A folder with ground truth and predictions that a test fills video by video."""

    root: Path

    @property
    def predictions(self) -> Path:
        return self.root / "predictions"

    def add(
        self, name: str, truth: np.ndarray, predicted: np.ndarray, *, mode: str = "P", single_object: bool = False
    ) -> Video:
        """Write T x H x W ids as `00000.png`, ... and return the video."""
        masks = {f"{t:05d}": self.root / "truth" / name / f"{t:05d}.png" for t in range(len(truth))}
        for t, (stem, path) in enumerate(masks.items()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mask_png(truth[t]))
            self.write(name, stem, mask_png(predicted[t], mode))
        return Video(name, (), masks, single_object)

    def write(self, name: str, stem: str, content: bytes) -> None:
        path = self.predictions / name / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def zipped(self) -> Path:
        """The predictions as an archive."""
        files = sorted(self.predictions.rglob("*.png"))
        target = self.root / "predictions.zip"
        write_zip(target, ((str(file.relative_to(self.predictions)), file.read_bytes()) for file in files))
        return target


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def moving_squares() -> tuple[np.ndarray, np.ndarray]:
    """Ground truth and prediction of two objects in 6 frames of 48 x 64 pixels."""
    truth, predicted = np.zeros((2, 6, 48, 64), np.uint8)
    for t in range(6):
        truth[t, 5:20, 4 + 3 * t : 20 + 3 * t] = 1
        truth[t, 25:45, 40 - 2 * t : 60 - 2 * t] = 2
        predicted[t, 6:21, 6 + 3 * t : 20 + 3 * t] = 1
        predicted[t, 25:44, 41 - 2 * t : 63 - 2 * t] = 2
    return truth, predicted


class Cases(Mapping[str, Any]):
    """One golden JSON file with the arrays of the same name beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values = json.loads(path.read_text(encoding="utf-8"))
        archive = path.with_suffix(".npz")
        self.arrays = np.load(archive) if archive.is_file() else {}

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


FindCases = Callable[[Callable[[Cases], bool], str], list[Cases]]


@pytest.fixture(scope="session")
def golden_evaluation(golden_root: Path) -> Path:
    folder = golden_root / "evaluation"
    if not folder.is_dir():
        pytest.skip(f"no golden numbers of the evaluation in {golden_root}")
    return folder


@pytest.fixture(scope="session")
def find_cases(golden_evaluation: Path) -> FindCases:
    """Golden JSON files of a kind, told by their contents; the test is skipped where the folder has none."""
    everything = [Cases(path) for path in sorted(golden_evaluation.glob("*.json"))]

    def find(fits: Callable[[Cases], bool], kind: str) -> list[Cases]:
        found = [cases for cases in everything if fits(cases)]
        if not found:
            pytest.skip(f"no golden numbers of kind '{kind}' in {golden_evaluation}")
        return found

    return find
