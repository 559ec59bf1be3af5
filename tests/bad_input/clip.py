"""A small clip on disk that every case spoils in its own way, and the doors through which a clip comes in."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stages.clips import SIZE, TINY, ids, picture

from oneshot_vos.errors import UserError
from oneshot_vos.inference.video import segment_video
from oneshot_vos.inference.walk import Walk, both_ways
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.sets.check import check_folder, check_videos
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages.segment_files import find_masks
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.masks import read_mask, write_mask
from oneshot_vos.videos.video import Video

IMAGES, ANNOTATIONS, NAME = "JPEGImages", "Annotations", "walk"
TWO = ids(0, 2).astype(np.uint8)  # two discs on background
# No two of them and black lie on a line, so that none is a blend of the others.
COLORS = np.array([(0, 0, 0), (250, 20, 40), (10, 200, 250)], np.uint8)
Masks = dict[str, np.ndarray]


class Clip:
    """Three frames of one video, a mask of two objects on the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.frames, self.masks = root / IMAGES / NAME, root / ANNOTATIONS / NAME
        self.frames.mkdir(parents=True)
        self.masks.mkdir(parents=True)
        for t in range(3):
            self.put_frame(f"{t:05}.jpg", t)
        self.put_mask("00000.png", TWO)

    def put_frame(self, name: str, t: int = 0, size: tuple[int, int] = SIZE) -> None:
        Image.fromarray(picture(t, 2, size)).save(self.frames / name)

    def put_mask(self, name: str, values: np.ndarray) -> None:
        write_mask(self.masks / name, values)

    def draw(self, name: str, pixels: np.ndarray, kind: str | None = None) -> None:
        """A mask as another tool would save it: the image library chooses the mode."""
        Image.fromarray(pixels).save(self.masks / name, kind)

    def cut(self, path: Path, share: float) -> None:
        """Keep the first part of a file."""
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    def rename(self, names: Mapping[str, str]) -> None:
        for old, new in names.items():
            (self.frames / old).rename(self.frames / new)


@cache
def network() -> Network:
    """A tiny random network: what it finds means nothing, what it is given comes back."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network("stcn", TINY["stcn"]).eval()


def folder_named_like(folder: Path) -> None:
    """Put a folder in the place of the last file."""
    file = sorted(folder.iterdir())[-1]
    file.unlink()
    file.mkdir()


def moving(path: Path, *pictures: np.ndarray) -> None:
    """Several pictures in one file."""
    first, *rest = map(Image.fromarray, pictures)
    first.save(path, save_all=True, append_images=rest)


def the_video(root: Path) -> Video:
    (video,) = read_davis(root, images=IMAGES, annotations=ANNOTATIONS)
    return video


def check(root: Path) -> None:
    """`oneshot-vos check-data`."""
    check_folder(root, images=IMAGES, annotations=ANNOTATIONS).raise_for_errors()


def train(root: Path) -> None:
    """The stage `data`, for a set to train on."""
    check_videos([the_video(root)], training=True).raise_for_errors()


def score(root: Path) -> Masks:
    """The stage `infer`: the first mask is given."""
    return dict(segment_video(network(), the_video(root), InferenceSettings()))


def segment(root: Path) -> Masks:
    """`oneshot-vos segment FRAMES --mask FOLDER`: every mask is given."""
    source = open_frames(root / IMAGES / NAME)
    given = find_masks([str(root / ANNOTATIONS / NAME)], source, root)
    settings, tiny = InferenceSettings(), network()
    found: Masks = {}
    for order, wanted in both_ways(len(source.names), given):
        walk = Walk(tiny, source, given, order, settings, output=wanted)
        found |= {source.names[result.frame]: result.ids for result in walk.frames()}
    return {name: found[name] for name in source.names}


def mask(root: Path) -> Masks:
    """Every mask on its own."""
    return {path.stem: read_mask(path) for path in sorted((root / ANNOTATIONS / NAME).iterdir())}


Door = Callable[[Path], Masks | None]


# --- what a door says -----------------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """What is done to a sound clip, what must be said of it, see `require_parts`, and by which doors."""

    spoil: Callable[[Clip], object]
    parts: str
    doors: tuple[Door, ...] = (check, train, score, segment)

    def require(self, root: Path, door: Door) -> None:
        """Spoil a clip, and let it through a door."""
        self.spoil(Clip(root))
        with pytest.raises(UserError) as caught:
            door(root)
        require_parts(str(caught.value), self.parts)


def rows(table: Mapping[str, Refused]) -> list[Any]:
    """Every case at every door of it."""
    return [pytest.param(row, door, id=f"{case}-{door.__name__}") for case, row in table.items() for door in row.doors]


def require_parts(message: str, parts: str) -> None:
    """File, finding, expectation and remedy: regular expressions, with `~` between them."""
    for part, pattern in zip(("file", "finding", "expectation", "remedy"), parts.split(" ~ "), strict=True):
        assert re.search(pattern, message), f"no {part} ({pattern}) in: {message}"
