"""The mini data set: short made-up videos for trying the whole pipeline in minutes, without any download.

A scene is a stack of layers over a background: objects, which have ids, and distractors, which look alike but have
none. Each layer is a star-shaped outline that wobbles, filled with a texture of its own, and travels on a curved path
while it turns and changes size; the camera pans over a textured background. All scenes follow from a seed: video
number i of a split is the same whatever else is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from oneshot_vos.files import replacing_folder
from oneshot_vos.videos.masks import encode_mask

Range = tuple[float, float]

IMAGES, ANNOTATIONS, LISTS, STATIC = "JPEGImages/480p", "Annotations/480p", "ImageSets/2017", "static"
_SPLITS = {"train": 0, "val": 1, "static": 2}
_JPEG_QUALITY = 95
_SUPERSAMPLING = 2  # scenes are drawn twice as large and averaged down: soft edges in frames, hard masks
_OUTLINE_POINTS = 72

# What makes the videos hard. Lengths are shares of the frame's side, times are per clip, colours 0..255.
OBJECT_COUNTS = (0.40, 0.45, 0.15)  # probability of one, two, three objects
DISTRACTORS = 1
RADIUS = (0.16, 0.24)
VISIBLE = 0.03  # least share of the first frame that each object covers
TRAVEL = (0.12, 0.36)  # distance between the two ends of a path
BEND = 0.20  # how far the middle of a path lies off the straight line, at most
TURN = 0.9  # rotation over the clip in radians, at most
GROWTH = 0.20  # change of size over the clip, at most
WOBBLE = 0.12  # depth of the bays of an outline, as a share of the radius
WOBBLE_CYCLES = 0.8  # how often an outline goes through its shapes, at most
PAN = 0.25  # travel of the camera, at most
ZOOM = 0.15  # change of the background's size, at most
COLOR_DISTANCE = 90.0  # least distance between the mean colours of an object and any other layer
DISTRACTOR_DISTANCE = 45.0  # the same between distractors and the background
CONTRAST = (25.0, 50.0)  # amplitude of a texture's pattern
NOISE = 2.0  # standard deviation of the sensor noise


@dataclass(frozen=True)
class Motion:
    """Where a layer is at time u in 0..1: a quadratic Bézier path (points x, y), a turn and a growth."""

    points: np.ndarray  # 3 x 2: start, control point, end
    angle: Range  # at the start and at the end, radians
    growth: float

    def at(self, u: float) -> tuple[np.ndarray, float, float]:
        """Centre (x, y), angle in radians, and scale."""
        weights = np.array([(1 - u) ** 2, 2 * u * (1 - u), u**2])
        angle = self.angle[0] + u * (self.angle[1] - self.angle[0])
        return weights @ self.points, angle, float(np.exp(self.growth * np.sin(np.pi * u)))


@dataclass(frozen=True)
class Layer:
    """An outline in motion; `object_id` 0 is a distractor."""

    object_id: int
    radius: float
    harmonics: np.ndarray  # rows: amplitude, phase, cycles per clip; one column per frequency 2, 3, …
    motion: Motion

    def outline(self, u: float) -> np.ndarray:
        """Points of the outline at time u: float, N x 2, as shares of the frame's side."""
        centre, angle, scale = self.motion.at(u)
        theta = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)
        amplitude, phase, cycles = self.harmonics
        frequency = np.arange(2, 2 + len(amplitude))
        waves = np.cos(np.outer(theta, frequency) + phase + 2 * np.pi * cycles * u)
        radius = self.radius * scale * (1 + waves @ amplitude)
        rays = np.stack([np.cos(theta + angle), np.sin(theta + angle)], axis=1)
        return np.asarray(centre + radius[:, None] * rays)


@dataclass(frozen=True)
class Scene:
    """Layers from back to front with a texture each (uint8, n x n x 3, drawn scale), and the camera's background."""

    layers: tuple[Layer, ...]
    textures: tuple[np.ndarray, ...]
    background: np.ndarray
    camera: Motion


def generate(out: Path, *, seed: int, train: int, val: int, static: int, frames: int, size: int) -> None:
    """Write `train` + `val` videos in DAVIS layout and `static` image–mask pairs to the folder `out`, atomically.

    `frames` per video, `size` pixels square. Videos are `train-0000`, … and `val-0000`, …,
    with lists in ImageSets/2017; pairs are `static/00000.jpg` and `.png`. Every frame has a mask; every object of a
    video is in its first mask.
    """
    counts = {"train": train, "val": val, "static": static}
    jobs = [(split, number) for split, count in counts.items() for number in range(count)]
    with replacing_folder(out) as folder:
        for part in (IMAGES, ANNOTATIONS, LISTS, STATIC):
            (folder / part).mkdir(parents=True)
        for split in ("train", "val"):
            names = "".join(f"{split}-{number:04d}\n" for number in range(counts[split]))
            (folder / LISTS / f"{split}.txt").write_text(names, encoding="utf-8")
        for split, number in jobs:
            _write_item(folder, seed, frames, size, split, number)


def _write_item(folder: Path, seed: int, frames: int, size: int, split: str, number: int) -> None:
    rng = np.random.default_rng((seed, _SPLITS[split], number))
    if split == "static":
        images, masks = folder / STATIC, folder / STATIC
        first, frames = number, 1
    else:
        images, masks = (folder / part / f"{split}-{number:04d}" for part in (IMAGES, ANNOTATIONS))
        first = 0
        images.mkdir()
        masks.mkdir()
    for t, (frame, ids) in enumerate(make_video(rng, frames, size), first):
        stem = f"{t:05d}"
        Image.fromarray(frame).save(images / f"{stem}.jpg", "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        (masks / f"{stem}.png").write_bytes(encode_mask(ids))


def make_video(rng: np.random.Generator, frames: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the frames (uint8, size x size x 3, RGB) and masks (uint8 ids, size x size) of one random video."""
    scene = draw_scene(rng, size)
    for t in range(frames):
        frame, ids = render(scene, t / max(1, frames - 1), size)
        noise = rng.standard_normal(frame.shape, np.float32) * NOISE
        yield np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8), ids


# --- rendering ------------------------------------------------------------------------------------------------------


def render(scene: Scene, u: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the scene at time u in 0..1: RGB frame (uint8, size x size x 3) and ids (uint8, size x size)."""
    side = size * _SUPERSAMPLING
    canvas = _place(scene.background, scene.camera.at(u), side, (0, 0, side, side))
    for layer, texture in zip(scene.layers, scene.textures, strict=True):
        points = layer.outline(u) * side
        left, top = np.clip(np.floor(points.min(0)).astype(int), 0, side).tolist()
        right, bottom = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, side).tolist()
        if left < right and top < bottom:
            patch = _place(texture, layer.motion.at(u), side, (left, top, right, bottom))
            inside = _fill(points - (left, top), (bottom - top, right - left)) > 0
            np.copyto(canvas[top:bottom, left:right], patch, where=inside[:, :, None])
    frame = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return frame, draw_ids(scene.layers, u, size)


def draw_ids(layers: tuple[Layer, ...], u: float, size: int) -> np.ndarray:
    """Ids (uint8, size x size) at time u: each pixel belongs to what covers the largest part of it."""
    side = size * _SUPERSAMPLING
    labels = np.zeros((side, side), np.uint8)
    for layer in layers:
        labels[_fill(layer.outline(u) * side, labels.shape) > 0] = layer.object_id
    ids = np.arange(1 + max(layer.object_id for layer in layers))
    shares = [cv2.resize((labels == k).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) for k in ids]
    return np.asarray(np.argmax(shares, axis=0), np.uint8)


def _fill(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inside of a polygon (N x 2 points x, y in pixels) as 0/1 mask of `shape`."""
    mask = np.zeros(shape, np.uint8)
    fixed_point = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed_point], 1, shift=4)
    return mask


def _place(
    texture: np.ndarray, pose: tuple[np.ndarray, float, float], side: int, box: tuple[int, int, int, int]
) -> np.ndarray:
    """The part `box` (left, top, right, bottom) of a canvas of `side` pixels covered with the texture in its pose."""
    centre, angle, scale = pose
    left, top, right, bottom = box
    # From canvas to texture: turn and shrink about the centre, which is the middle of the texture.
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    turn = np.array([[cos, sin], [-sin, cos]])
    middle = np.array(texture.shape[1::-1]) / 2
    offset = middle - turn @ (centre * side - (left, top))
    matrix = np.column_stack([turn, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    extent = (right - left, bottom - top)
    return np.asarray(cv2.warpAffine(texture, matrix, extent, flags=flags, borderMode=cv2.BORDER_REFLECT))


# --- drawing lots ---------------------------------------------------------------------------------------------------


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """A random scene in which every object covers at least `VISIBLE` of the first frame."""
    side = size * _SUPERSAMPLING
    layers = _draw_layers(rng, size)
    means = _draw_colors(rng, [layer.object_id > 0 for layer in layers])
    textures = []
    for layer, mean in zip(layers, means[1:], strict=True):
        # The scale of a pattern must not give the layer's kind away: objects and distractors draw from one range.
        extent = int(np.ceil(2.8 * layer.radius * side))
        textures.append(draw_texture(rng, extent, mean, side * rng.uniform(0.05, 0.16)))
    background = draw_texture(rng, int(1.5 * side), means[0], side * rng.uniform(0.08, 0.30))
    start = np.array([0.5, 0.5])
    points = start + rng.uniform(-PAN, PAN, (3, 2))
    camera = Motion(points, _turn(rng, 0.15), rng.uniform(-ZOOM, ZOOM))
    return Scene(layers, tuple(textures), background, camera)


def _draw_layers(rng: np.random.Generator, size: int) -> tuple[Layer, ...]:
    count = 1 + int(rng.choice(len(OBJECT_COUNTS), p=OBJECT_COUNTS))
    while True:
        ids = rng.permutation([*range(1, count + 1), *[0] * DISTRACTORS])
        layers = tuple(_draw_layer(rng, int(object_id)) for object_id in ids)
        shares = np.bincount(draw_ids(layers, 0.0, size).ravel(), minlength=count + 1) / size**2
        if shares[1:].min() >= VISIBLE:
            return layers


def _draw_layer(rng: np.random.Generator, object_id: int) -> Layer:
    decay = np.array([1.0, 0.8, 0.5, 0.3])  # finer bays are shallower
    amplitude = WOBBLE * decay * rng.uniform(0.3, 1.0, 4) / decay.sum() * 1.6
    phase = rng.uniform(0, 2 * np.pi, 4)
    cycles = rng.uniform(-WOBBLE_CYCLES, WOBBLE_CYCLES, 4)
    growth = rng.uniform(-GROWTH, GROWTH)
    motion = Motion(_draw_path(rng), _turn(rng, TURN), growth)
    return Layer(object_id, rng.uniform(*RADIUS), np.stack([amplitude, phase, cycles]), motion)


def _draw_path(rng: np.random.Generator) -> np.ndarray:
    """Start, control point and end of a path that starts well inside the frame and may leave it half way."""
    while True:
        start, end = rng.uniform(0.12, 0.88, 2), rng.uniform(0.0, 1.0, 2)
        if TRAVEL[0] <= np.linalg.norm(end - start) <= TRAVEL[1]:
            across = np.array([start[1] - end[1], end[0] - start[0]])
            control = (start + end) / 2 + across * rng.uniform(-2, 2) * BEND
            return np.stack([start, control, end])


def _turn(rng: np.random.Generator, most: float) -> Range:
    start = rng.uniform(0, 2 * np.pi)
    return start, start + rng.uniform(-most, most)


def _draw_colors(rng: np.random.Generator, is_object: list[bool]) -> np.ndarray:
    """Mean colours (N + 1, 3) of the background and the layers; objects keep their distance from all others."""
    while True:
        colors = rng.uniform(40, 215, (1 + len(is_object), 3))
        distances = np.linalg.norm(colors[:, None] - colors[None], axis=2)
        objects = np.array([False, *is_object])
        involves_object = objects[:, None] | objects[None]
        least = np.where(involves_object, COLOR_DISTANCE, DISTRACTOR_DISTANCE)
        if np.all(distances[np.triu_indices(len(colors), 1)] >= least[np.triu_indices(len(colors), 1)]):
            return colors


def draw_texture(rng: np.random.Generator, extent: int, mean: np.ndarray, wavelength: float) -> np.ndarray:
    """A random pattern (uint8, extent x extent x 3) around the colour `mean`: stripes plus blobs of two other hues.

    `wavelength` in pixels is the scale of the stripes and, roughly, of the blobs.
    """
    axis = np.arange(extent, dtype=np.float32)
    stripes = np.zeros((extent, extent), np.float32)
    for _ in range(2):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        frequency = 2 * np.pi / (wavelength * rng.uniform(0.8, 1.6))
        stripes += np.sin(frequency * (np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]) + phase)
    cells = max(3, int(np.ceil(2 * extent / wavelength)))
    lattice = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    blobs = cv2.resize(lattice, (extent, extent), interpolation=cv2.INTER_CUBIC)
    share = rng.uniform(0.2, 0.8)  # of the stripes
    first, second = (_hue(rng) * rng.uniform(*CONTRAST) for _ in range(2))
    pattern = share * stripes[:, :, None] * first + (1 - share) * 1.5 * blobs[:, :, None] * second
    return np.clip(mean + pattern, 0, 255).astype(np.uint8)


def _hue(rng: np.random.Generator) -> np.ndarray:
    direction = rng.standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction) * np.sqrt(3) * 0.7, np.float32)
