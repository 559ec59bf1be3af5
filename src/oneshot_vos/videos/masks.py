"""Masks as PNG files: pixels are object ids, 0 is background.

A mask file may come from any tool: palette (DAVIS), grey, 1-bit, 16-bit or RGB. Reading never guesses silently. What
stands for ids is read exactly; what cannot (lossy files, anti-aliased edges) is refused with the reason.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.videos.images import (
    ORIENTATION_TAG,
    PNG_ORIENTATION_MARKS,
    decoding,
    frame_size,
    image_kind,
    open_image,
    require_one_picture,
)
from oneshot_vos.videos.label_map import Color, read_label_map, require_labelled
from oneshot_vos.videos.png import GREY, PALETTE, SIGNATURE, decode_plain_png

LARGEST_ID = 65_535
VOID = 255  # a pixel of which nothing is said: in DAVIS, and in masks that a network made, see `Video.anchor`
_LARGEST_PALETTE_ID = 255
_MOST_COLORS = 256
_BIT_DEPTH = 24  # place of the byte in a PNG file
_LEAST_PIXELS = 400  # of a mask whose edges tell what it is; in a smaller one nothing forms an area
_LEAST_BLENDS = 8  # values of soft edges; an object more or less that is a line of one pixel is no edge
_SNAP = "snap each pixel to the nearest one in Python: write_mask(path, read_mask(path, snap_colors=True))"

Ids = NDArray[np.unsignedinteger[Any]]  # H x W, uint8 or uint16: object ids as files hold them, 0 is background


def davis_palette() -> np.ndarray:
    """The colour map of PASCAL VOC and DAVIS: uint8, 256 x 3; entry k is the colour of object k.

    The bits of k are dealt out to red, green and blue in turn, from the highest bit of each channel down, so that
    neighbouring ids differ strongly.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for step in range(8):
        for channel in range(3):
            bit = (ids >> (3 * step + channel)) & 1
            palette[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    return palette


DAVIS_PALETTE = davis_palette()
DAVIS_COLORS: dict[Color, int] = {(red, green, blue): k for k, (red, green, blue) in enumerate(DAVIS_PALETTE.tolist())}


@dataclass(frozen=True)
class MaskReading:
    """Ids of a mask (H x W) and, for an RGB file, the colour that stands for each id found."""

    ids: Ids
    colors: dict[int, Color] | None = None


def read_mask(path: Path, *, snap_colors: bool = False) -> np.ndarray:
    """Read object ids: int32, H x W, values 0..65535; 0 is background.

    - palette: the palette index; grey of 8 or 16 bits: the value (a lone 255 stays 255); 1 bit: 0 and 1;
    - RGB: a `labelmap.txt` of CVAT beside the masks says which colour is background and numbers the others. Without
      one, black is background, and colours of the DAVIS palette mean their index if all colours of the file are in it;
      otherwise each exact colour gets an id, 1 upwards in the order of (red, green, blue). A warning lists them;
    - alpha 0 is background, whatever the colour below.

    Refused with `UserError`: lossy files, anti-aliased edges (blends of two ids are not ids), half-transparent
    pixels, damaged files. `snap_colors` gives each anti-aliased pixel to the nearest flat colour around it instead.
    """
    return read_small_mask(path, snap_colors=snap_colors).astype(np.int32)


def read_small_mask(path: Path, *, snap_colors: bool = False) -> Ids:
    """`read_mask` as uint8 or, for 16-bit and RGB files, uint16: less to copy."""
    reading = inspect_mask(path, snap_colors=snap_colors)
    if reading.colors is not None:
        listed = ", ".join(f"{color} = {object_id}" for object_id, color in sorted(reading.colors.items()))
        warnings.warn(f"{path}: RGB mask, colours read as object ids: {listed or 'none'}", stacklevel=2)
    return reading.ids


def inspect_mask(path: Path, *, snap_colors: bool = False) -> MaskReading:
    """Like `read_mask`, with the ids as small integers (faster), and the colours of an RGB mask told, not warned of."""
    with decoding(path, "a mask as PNG file"):
        content = path.read_bytes()
    return decode_mask(content, path, snap_colors=snap_colors)


def decode_mask(content: bytes, origin: Path, *, snap_colors: bool = False) -> MaskReading:
    """`inspect_mask` for a file's content; `origin` names the file, which may lie in an archive, in messages."""
    with decoding(origin, "a mask as PNG file"):
        ids = None if _needs_a_look(content) else decode_plain_png(content)
        return _read_any_png(origin, content, snap_colors) if ids is None else MaskReading(ids)


def require_same_colors(known: dict[int, tuple[Color, Path]], colors: Mapping[int, Color], file: Path) -> None:
    """Raise `UserError` if an id is another colour than in the masks of the video read before.

    RGB masks number the colours of each file by itself. `known` (id to colour and file) gains what is new.
    """
    for number, color in colors.items():
        before, where = known.setdefault(number, (color, file))
        if before != color:
            raise UserError(
                f"{file}: id {number} is the colour {color} here and {before} in {where}; expected one colour per "
                "object in all masks of a video. Save the masks with one palette, or as grey PNG files of ids"
            )


def mask_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels of a mask, from the file's header alone."""
    with decoding(path, "a mask as PNG file"), open_image(path, path) as image:
        return image.height, image.width


def check_same_size(frame_path: Path, mask_path: Path) -> None:
    """Raise `UserError` with both names and sizes unless frame and mask have the same size; nothing is decoded."""
    (frame_height, frame_width), (height, width) = frame_size(frame_path), mask_size(mask_path)
    if (frame_height, frame_width) != (height, width):
        raise UserError(
            f"{mask_path}: mask of {width}x{height} pixels, but its frame {frame_path} has "
            f"{frame_width}x{frame_height}; expected the same size. Export the mask at the size of the frame, or "
            "resize it with nearest neighbour"
        )


def object_ids(ids: np.ndarray) -> list[int]:
    """The ids above 0 in a mask of non-negative integers, in increasing order."""
    if ids.dtype == np.uint8:
        counts = Image.fromarray(ids).histogram()  # many times faster than sorting the pixels
        return [object_id for object_id in range(1, 256) if counts[object_id]]
    return [object_id for object_id in np.unique(ids).tolist() if object_id]


def encode_mask(ids: np.ndarray) -> bytes:
    """Encode object ids (H x W, integers 0..65535) as PNG: the same ids always give the same bytes.

    Up to id 255: 8 bits with DAVIS' palette of 256 colours; beyond: 16-bit grey. Ids are never wrapped or clipped:
    others raise `UserError`. Rows are unfiltered, which `read_mask` and the scoring read fastest.
    """
    if ids.ndim != 2 or 0 in ids.shape or not (np.issubdtype(ids.dtype, np.integer) or ids.dtype == np.bool_):
        raise ValueError(f"ids must be a non-empty integer array H x W, not {ids.dtype} {ids.shape}")
    smallest, largest = int(ids.min()), int(ids.max())
    if smallest < 0 or largest > LARGEST_ID:
        raise UserError(f"object ids from {smallest} to {largest} in a mask; expected 0 to {LARGEST_ID}: renumber them")
    height, width = ids.shape
    if largest <= _LARGEST_PALETTE_ID:
        depth, color_type, pixels = 8, PALETTE, ids.astype(np.uint8)
        palette_chunk = _chunk(b"PLTE", DAVIS_PALETTE.tobytes())
    else:
        depth, color_type, palette_chunk = 16, GREY, b""
        pixels = ids.astype(">u2").view(np.uint8)
    rows = np.zeros((height, 1 + width * depth // 8), np.uint8)  # each row starts with its filter: 0, none
    rows[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
    return SIGNATURE + _chunk(b"IHDR", header) + palette_chunk + body + _chunk(b"IEND", b"")


def write_mask(path: Path, ids: np.ndarray) -> None:
    """Write `encode_mask(ids)` to `path` atomically."""
    content = encode_mask(ids)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


# --- PNG ------------------------------------------------------------------------------------------------------------


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _needs_a_look(content: bytes) -> bool:
    """Whether a PNG says before its pixels that it is partly transparent or moves, or anywhere that it is turned."""
    head = content[: content.find(b"IDAT")]
    return b"tRNS" in head or b"acTL" in head or any(mark in content for mark in PNG_ORIENTATION_MARKS)


def _read_any_png(path: Path, content: bytes, snap_colors: bool) -> MaskReading:
    image: Image.Image
    kind = image_kind(content[:16])
    if kind not in (None, "PNG"):
        raise UserError(
            f"{path}: a mask saved as {kind}; expected a PNG file, which keeps object ids exactly. "
            "Export the masks again as PNG: converting a lossy file does not bring the exact ids back"
        )
    with open_image(io.BytesIO(content), path) as image:
        require_one_picture(path, image)
        depth = content[_BIT_DEPTH]
        image.load()
        if depth == 16 and image.mode not in ("I;16", "I;16B", "I"):
            raise UserError(
                f"{path}: a 16-bit mask with colour or alpha channels; expected 16-bit grey, 8-bit palette or RGB. "
                "Save the object ids as one 16-bit grey channel"
            )
        if image.getexif().get(ORIENTATION_TAG, 1) != 1:
            raise UserError(
                f"{path}: a mask that is to be shown turned (EXIF orientation {image.getexif()[ORIENTATION_TAG]}), and "
                "programs differ in whether they do; expected a mask as it lies over the upright frame. Save it again "
                "without that mark"
            )
        if image.mode == "P":
            _require_no_transparent_object(path, image)
        elif "transparency" in image.info and image.mode in ("RGB", "L"):
            image = image.convert("RGBA" if image.mode == "RGB" else "LA")  # one colour is declared transparent
        pixels = np.asarray(image)
    if pixels.ndim == 2:
        if depth == 8 and image.mode == "L" and _has_grey_edges(pixels):
            pixels = _harden(path, pixels, snap_colors)
        return MaskReading(pixels.astype(np.uint8 if depth <= 8 else np.uint16, copy=False))
    channels = pixels.shape[2]
    if channels in (2, 4):
        pixels = _drop_transparency(path, pixels)
    if channels == 2:
        return MaskReading(pixels[:, :, 0].astype(np.uint8))
    return _ids_of_colors(path, pixels, snap_colors)


def _require_no_transparent_object(path: Path, image: Image.Image) -> None:
    """Refuse a palette in which another entry than the first is transparent: alpha and index differ in what is 0."""
    alphas = image.info.get("transparency")
    if isinstance(alphas, int):
        alphas = b"\xff" * alphas + b"\0"
    used = np.flatnonzero(image.histogram()).tolist()
    clear = [number for number in used if number and (alphas or b"")[number : number + 1] == b"\0"]
    if clear:
        raise UserError(
            f"{path}: index {clear[0]} of the palette is transparent, as background is, and index 0 is the background "
            "of a palette mask: a program has reordered the palette; expected index 0 alone to be transparent. Save "
            "the mask again with the palette it had, or as a grey PNG file of ids"
        )


def _drop_transparency(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Colour channels with 0 where alpha is 0; half-transparent pixels are refused."""
    alpha = pixels[:, :, -1]
    partial = int(np.count_nonzero((alpha > 0) & (alpha < 255)))
    if partial:
        raise UserError(
            f"{path}: {partial} half-transparent pixels in a mask; expected alpha 0 (background) or 255. "
            "Export the mask without anti-aliasing"
        )
    if 0 < np.count_nonzero(alpha) < alpha.size and not pixels[:, :, :-1][alpha > 0].any():
        raise UserError(
            f"{path}: all that is not transparent is black, like background; expected objects in a colour. Draw them so"
        )
    return np.where(alpha[:, :, None] == 0, 0, pixels[:, :, :-1])


# --- grey levels and colours ----------------------------------------------------------------------------------------


def _has_grey_edges(values: np.ndarray) -> bool:
    """Whether a grey mask (uint8) has soft edges: many values that form no area, a few that do.

    Masks with ids have few values, or areas of one value; both rules leave them alone.
    """
    # 255 + 1 wraps to 0, so that 0 and 255 alone become 1 and 0: many times faster than counting values.
    if values.size < _LEAST_PIXELS or values.max() < _LEAST_BLENDS or not ((values + np.uint8(1)) >> np.uint8(1)).any():
        return False  # nearly every mask
    found = np.flatnonzero(Image.fromarray(values).histogram())
    if np.count_nonzero(found) < _LEAST_BLENDS:
        return False
    return mostly_thin(found, flat_ids(values))


def flat_ids(ids: Ids) -> np.ndarray:
    """The ids that form an area somewhere: 3 x 3 pixels, or less at the border."""
    return np.unique(ids[_is_flat(ids.astype(np.int32))])


def mostly_thin(found: np.ndarray, flat: np.ndarray) -> bool:
    """Whether nearly all values of a mask but 0 form no area, as those at soft edges; `flat`: those that do."""
    thin = np.setdiff1d(found, np.append(flat, 0))
    return len(thin) >= _LEAST_BLENDS and len(thin) > 4 * int(np.count_nonzero(flat))


def _harden(path: Path, values: np.ndarray, snap: bool) -> np.ndarray:
    """Give each pixel at a soft edge to the flat value most like it if asked to, else refuse the mask."""
    if not snap:
        raise UserError(
            f"{path}: a grey mask with soft (anti-aliased) edges; expected one value per object. Export the mask "
            f"without anti-aliasing, or {_SNAP}"
        )
    flat = np.unique(np.append(flat_ids(values), 0))
    if flat.tolist() == [0, 255]:
        return np.where(values >= 128, np.uint8(255), np.uint8(0))
    return _snap(values[:, :, None], values.astype(np.int32), flat.astype(np.int32)).astype(np.uint8)


def _is_flat(codes: np.ndarray) -> np.ndarray:
    """Bool H x W: pixels whose 3 x 3 neighbourhood, as far as it lies in the image, has one value (24-bit codes)."""
    import cv2  # for these rare masks alone

    exact, square = codes.astype(np.float32), np.ones((3, 3), np.uint8)
    return np.asarray(cv2.erode(exact, square) == cv2.dilate(exact, square))


def _ids_of_colors(path: Path, pixels: np.ndarray, snap_colors: bool) -> MaskReading:
    """Ids of an RGB mask (uint8, H x W x 3)."""
    codes = (pixels.astype(np.int32) << np.array([16, 8, 0])).sum(axis=2, dtype=np.int32)
    labels = read_label_map(path)
    found = np.unique(codes)
    flat = np.unique(np.append(codes[_is_flat(codes)], 0))
    edges = _edge_colors(found, flat)
    if snap_colors and (len(edges) or len(found) > _MOST_COLORS) and 2 <= len(flat) <= _MOST_COLORS:
        codes = _snap(pixels, codes, flat)
        found = np.unique(codes)
    elif len(edges):
        raise UserError(
            f"{path}: an anti-aliased RGB mask: {len(edges)} of its {len(found)} colours are blends at edges, such as "
            f"{', '.join(map(str, _colors(edges[:4])))}; expected one exact colour per object. Export the mask without "
            f"anti-aliasing, or {_SNAP}"
        )
    if len(found) > _MOST_COLORS:
        raise UserError(
            f"{path}: {len(found)} colours in an RGB mask; expected one exact colour per object, at most "
            f"{_MOST_COLORS}. Save object ids as palette or 16-bit grey PNG"
        )
    require_labelled(path, _colors(found), labels)
    ids_found = _ids_for(found, labels)
    ids = ids_found[np.searchsorted(found, codes)].astype(np.uint16)
    pairs = zip(ids_found.tolist(), _colors(found), strict=True)
    return MaskReading(ids, {object_id: color for object_id, color in pairs if object_id})


def _ids_for(codes: np.ndarray, labels: Mapping[Color, int]) -> np.ndarray:
    """Id of each colour (sorted codes): what the label map says if it has all of them, else the index in the DAVIS
    palette if all are in that, else the rank; the label map's background, or black, is 0.
    """
    colors = _colors(codes)
    background = next((color for color, number in labels.items() if number == 0), (0, 0, 0))
    ranks = {color: rank for rank, color in enumerate((each for each in colors if each != background), 1)}
    tables: tuple[Mapping[Color, int], ...] = (labels, {**DAVIS_COLORS, background: 0}, {**ranks, background: 0})
    fitting = next(table for table in tables if all(color in table for color in colors))
    return np.array([fitting[color] for color in colors])


def _colors(codes: np.ndarray) -> list[Color]:
    return [(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()]


def _edge_colors(found: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Codes of the colours that form no area and lie between two colours that do (black counts as one).

    With implausibly many colours around a few areas, every colour without an area counts, without a closer look.
    """
    thin = np.setdiff1d(found, flat)
    if not 2 <= len(flat) <= _MOST_COLORS:
        return thin[:0]
    if len(found) > _MOST_COLORS:
        return thin
    ends = np.array(_colors(flat), np.float32)
    first, second = np.triu_indices(len(ends), 1)
    start, direction = ends[first], ends[second] - ends[first]
    is_edge = np.zeros(len(thin), np.bool_)
    for index, color in enumerate(np.array(_colors(thin), np.float32).reshape(-1, 3)):
        share = ((color - start) * direction).sum(1) / (direction**2).sum(1)
        distance = np.abs(start + share[:, None] * direction - color).max(1)
        is_edge[index] = np.any((distance <= 2) & (share > 0) & (share < 1))  # 2: rounding and gamma tables
    return thin[is_edge]


def _snap(pixels: np.ndarray, codes: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Replace every colour that is not in `flat` by the most similar flat colour within two pixels (else of all)."""
    best, best_cost = codes.copy(), np.full(codes.shape, np.inf)
    for code, color in zip(flat.tolist(), _colors(flat), strict=True):
        cost = np.abs(pixels.astype(np.int32) - np.array(color[-pixels.shape[2] :])).sum(axis=2).astype(np.float64)
        near = np.asarray(Image.fromarray((codes == code).astype(np.uint8)).filter(ImageFilter.MaxFilter(5))) > 0
        cost[~near] += 1_000  # more than any difference of colours
        closer = cost < best_cost
        best[closer], best_cost[closer] = code, cost[closer]
    return best
