"""Files that cannot be used, each by itself: too many pixels, pairs of images and masks, weights."""

import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.bad_input.clip import TWO, require_parts
from tests.stages.clips import TINY, tiny_weights

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import load_weights, recognise, save_weights
from oneshot_vos.sets.pairs import read_pairs
from oneshot_vos.videos.images import frame_size, read_frame
from oneshot_vos.videos.masks import mask_size, read_mask, write_mask
from oneshot_vos.videos.pairs import read_objects

# --- files that claim to be more than fits into memory --------------------------------------------------------------

SIDE = 13_400  # pixels; squared, far above what is decoded


def bomb(color_type: int) -> bytes:
    """A small PNG file with 180 million pixels, all of which are there: grey 0, palette 3."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    squeezer = zlib.compressobj(1)
    rows = bytes(100 * (1 + SIDE))
    content = b"".join([*(squeezer.compress(rows) for _ in range(SIDE // 100)), squeezer.flush()])
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, color_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(768)) if color_type == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("color_type", [0, 3])
def test_a_small_file_of_very_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, color_type: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(color_type))
    for reader in (read_mask, mask_size, read_frame, frame_size, read_objects):
        tracemalloc.start()
        with pytest.raises(UserError) as caught:
            reader(path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        require_parts(str(caught.value), rf"bomb\.png ~ {SIDE}x{SIDE} pixels ~ expected at most ~ MAX_PIXELS=")
        assert most < 20_000_000  # bytes; decoded, it is nine times as much


# --- pairs and weights ----------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What is written into an empty folder and read from it, and what the message must say."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    parts: str


class Command:
    """What a hostile weight file would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def load(path: Path) -> None:
    load_weights(path, build_network("stcn", TINY["stcn"]))


def cut_weights(path: Path) -> None:
    content = tiny_weights(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).touch()


WRITTEN = {
    "image without mask": Written(
        lambda root: touch(root, "a.jpg"), read_pairs, r"a\.jpg ~ without ~ mask \(\.png\) ~ add the missing"
    ),
    "mask without image": Written(
        lambda root: touch(root, "a.png"), read_pairs, r"a\.png ~ without ~ image \(\.jpg\) ~ add the missing"
    ),
    "two images of one name": Written(
        lambda root: touch(root, "a.jpg", "a.jpeg", "a.png"),
        read_pairs,
        r"a\.jpg ~ differs from a\.jpeg ~ expected one image and one mask ~ Take one of the two away",
    ),
    "border to ignore in the mask of a pair": Written(
        lambda root: write_mask(root / "a.png", np.where(TWO == 2, 255, TWO).astype(np.uint8)),
        lambda root: read_objects(root / "a.png"),
        r"a\.png ~ value 255 beside 1 id\(s\): a border ~ expected ids counted from 1 ~ Set it to 0",
    ),
    "truncated weights": Written(
        lambda root: cut_weights(root / "w.safetensors"),
        lambda root: load(root / "w.safetensors"),
        r"w\.safetensors ~ not readable ~ expected safetensors weights ~ make or download it again",
    ),
    "weights of another network": Written(
        lambda root: tiny_weights(root / "w.safetensors", "xmem"),
        lambda root: load(root / "w.safetensors"),
        r"w\.safetensors ~ missing: key_comp\.|missing: .*key_comp\. ~ do not fit STCN ~ "
        "Load the weights that belong to this network",
    ),
    "no weights": Written(
        lambda root: None,
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not found ~ expected an official weight file ~ Check the name",
    ),
    "weights that run a command": Written(
        lambda root: torch.save({"weights": Command()}, root / "w.pth"),
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not readable ~ expected an official weight file ~ name another file",
    ),
    "a list in place of weights": Written(
        lambda root: torch.save([torch.zeros(2)], root / "w.pth"),
        lambda root: load(root / "w.pth"),
        r"w\.pth ~ not a table from names to tensors ~ expected an official weight file ~ name another file",
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_pairs_and_weights_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    row = WRITTEN[case]
    row.write(tmp_path)
    with pytest.raises(UserError) as caught:
        row.read(tmp_path)
    require_parts(str(caught.value), row.parts)
    assert not (tmp_path / "executed").exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".pth", ".safetensors"]),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.sampled_from([0, 0, 1, 100, 700]),
)
def test_damaged_weights_are_read_or_refused(
    tmp_path: Path, suffix: str, flips: list[tuple[int, int]], cut: int
) -> None:
    network, path = torch.nn.Linear(2, 2), tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_weights(path, network, {"model": "linear"})
    content = bytearray(path.read_bytes())
    for position, flip in flips:
        content[position % len(content)] ^= flip
    path.write_bytes(content[: max(0, len(content) - cut)])
    try:
        recognise(path)
    except UserError as error:
        require_parts(str(error), f"{re.escape(str(path))} ~ not readable ~ expected ~ name another file")
