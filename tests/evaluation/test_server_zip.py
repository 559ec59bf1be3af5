"""The archive for the YouTube-VOS server: what is in it, and everything that stops it."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.evaluation.conftest import mask_png
from tests.sets import fake_trees
from tests.stages.clips import TINY

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.server_zip import check_server_zip, write_server_zip
from oneshot_vos.evaluation.youtube import evaluate_youtube
from oneshot_vos.files import sha256_of, write_zip
from oneshot_vos.inference.writer import segment_set
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.sets.youtube import ALL_FRAMES, read_youtube
from oneshot_vos.sets.youtube_masks import give_first_masks
from oneshot_vos.videos.masks import DAVIS_PALETTE, encode_mask
from oneshot_vos.videos.objects import YouTubeSet
from oneshot_vos.videos.objects_index import read_youtube_index, write_youtube_index

LATE, LATE_START = fake_trees.VALID_CLEAN[1:]
SIZE = (48, 64)
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, fake_trees.Truth]:
    folder = tmp_path_factory.mktemp("original")
    return folder / "YouTube", fake_trees.make_youtube(folder, 2019, size=SIZE)


@pytest.fixture
def chosen(original: tuple[Path, fake_trees.Truth]) -> YouTubeSet:
    return read_youtube(original[0], split="valid", all_frames=ALL_FRAMES)


@pytest.fixture
def masks(original: tuple[Path, fake_trees.Truth], chosen: YouTubeSet) -> Members:
    """What `infer` would write, with the true masks: `<video>/<stem>.png` of every frame of the clips."""
    names = {each.name for each in chosen.videos}
    return {
        f"{name}/{stem}.png": encode_mask(ids)
        for name, frames in original[1].items()
        if name in names
        for stem, ids in frames.items()
    }


def packed(members: Members, chosen: YouTubeSet, folder: Path) -> Path:
    write_zip(folder / "masks.zip", members.items())
    write_server_zip(chosen, folder / "masks.zip", folder / "server.zip")
    return folder / "server.zip"


def test_the_archive_has_the_required_frames_and_nothing_else(
    chosen: YouTubeSet, masks: Members, tmp_path: Path
) -> None:
    path = packed(masks, chosen, tmp_path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        content = archive.read(f"Annotations/{LATE}/00010.png")
    fifth = [f"{t:05d}" for t in range(0, 22, 5)]
    assert names == [
        *(f"Annotations/{fake_trees.VALID_CLEAN[0]}/{stem}.png" for stem in fifth),
        *(f"Annotations/{LATE}/{stem}.png" for stem in fifth),
        # The clip begins at 00005, its object at 00010: nothing before is handed in.
        *(f"Annotations/{LATE_START}/{stem}.png" for stem in fifth[2:]),
        # A clip that begins with an empty mask, which lists nothing; a clip of two annotated frames.
        *(f"Annotations/{fake_trees.VALID_DIRTY[0]}/{stem}.png" for stem in fifth[1:]),
        *(f"Annotations/{fake_trees.VALID_DIRTY[1]}/{stem}.png" for stem in fifth[:2]),
    ]
    assert content == masks[f"{LATE}/00010.png"]
    with Image.open(io.BytesIO(content)) as image:
        assert (image.mode, image.size) == ("P", SIZE[::-1])
    check_server_zip(path, chosen)


def test_the_log_says_what_was_written(
    chosen: YouTubeSet, masks: Members, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_zip(tmp_path / "masks.zip", masks.items())
    with caplog.at_level("INFO"):
        write_server_zip(chosen, tmp_path / "masks.zip", tmp_path / "one.zip")
    assert f"one.zip: 5 videos, 19 masks, SHA-256 {sha256_of(tmp_path / 'one.zip')}" in caplog.text
    # Equal masks, equal bytes; a folder of masks is as good as an archive.
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        archive.extractall(tmp_path / "folder")
    write_server_zip(chosen, tmp_path / "folder", tmp_path / "two.zip")
    assert (tmp_path / "two.zip").read_bytes() == (tmp_path / "one.zip").read_bytes()


def flat(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full(size, number, np.uint16)


def four_bit() -> bytes:
    image = Image.fromarray(np.ones(SIZE, np.uint8), "P")
    image.putpalette(DAVIS_PALETTE[:16].ravel().tolist())
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue()


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ones(SIZE, np.uint8)).save(stream, "jpeg")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (encode_mask(flat(1, (24, 32))), r"32x24 pixels, but the frame .*00005\.jpg has 64x48"),
        (encode_mask(flat(1, SIZE[::-1])), r"48x64 pixels, but the frame"),
        (encode_mask(flat(3)), r"object ids \[3\]; expected 0 and those of the objects that have begun, \[1\]"),
        (encode_mask(flat(2)), r"object ids \[2\]"),
        (encode_mask(flat(300)), r"mode I;16 with 16 bits; expected .* \(ids above 255 cannot be handed in\)"),
        (mask_png(flat(1), "L"), r"a PNG image of mode L with 8 bits; expected an 8-bit palette PNG"),
        (mask_png(flat(1), "1"), r"a PNG image of mode 1"),
        (four_bit(), r"mode P with 4 bits"),
        (jpeg(), r"a JPEG image of mode L"),
        (b"no image", r"damaged \(not an image\)"),
        (encode_mask(flat(1))[:-30], r"damaged"),
    ],
)
def test_a_mask_that_the_server_would_refuse_stops_the_archive(
    chosen: YouTubeSet, masks: Members, tmp_path: Path, content: bytes, finding: str
) -> None:
    out = tmp_path / "server.zip"
    out.write_bytes(b"the one before")
    masks[f"{LATE}/00005.png"] = content
    with pytest.raises(UserError, match=rf"Annotations/{LATE}/00005\.png: .*{finding}"):
        packed(masks, chosen, tmp_path)
    assert out.read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks.zip", "server.zip"]


def test_an_object_may_be_predicted_from_its_first_mask_on(chosen: YouTubeSet, masks: Members, tmp_path: Path) -> None:
    masks[f"{LATE}/00010.png"] = encode_mask(flat(3))
    packed(masks, chosen, tmp_path)


def test_objects_begin_where_masks_show_them_whatever_meta_lists(
    chosen: YouTubeSet, masks: Members, tmp_path: Path
) -> None:
    name = fake_trees.VALID_DIRTY[1]  # object 2 is listed from frame 0 on, and shown at frame 5
    packed(masks, chosen, tmp_path)
    masks[f"{name}/00000.png"] = encode_mask(flat(2))
    with pytest.raises(UserError, match=rf"{name}/00000\.png: object ids \[2\]; expected .* have begun, \[1\]"):
        packed(masks, chosen, tmp_path)


def test_all_findings_are_named_at_once(chosen: YouTubeSet, masks: Members, tmp_path: Path) -> None:
    for name in masks:
        masks[name] = encode_mask(flat(9, (5, 5)))
    with pytest.raises(UserError, match=r"38 problems[\s\S]*and 18 more"):
        packed(masks, chosen, tmp_path)


def test_missing_masks_are_named(chosen: YouTubeSet, masks: Members, tmp_path: Path) -> None:
    del masks[f"{LATE}/00015.png"]
    with pytest.raises(UserError, match=rf"{LATE}/00015\.png: prediction not found"):
        packed(masks, chosen, tmp_path)
    assert not (tmp_path / "server.zip").exists()
    with pytest.raises(UserError, match="predictions not found"):
        write_server_zip(chosen, tmp_path / "absent.zip", tmp_path / "server.zip")


def _rename(old: str, new: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        for name in [name for name in members if name.startswith(old)]:
            members[new + name.removeprefix(old)] = members.pop(name)

    return change


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_rename("Annotations/", ""), r"00000\.png does not belong there"),
        (_rename(f"Annotations/{LATE}", f"Annotations/{LATE}x"), rf"{LATE}x/00000\.png does not belong there"),
        (_rename(f"Annotations/{LATE}", f"Annotations/{LATE}x"), rf"{LATE}/00000\.png is missing"),
        (lambda members: members.pop(f"Annotations/{LATE}/00020.png"), rf"{LATE}/00020\.png is missing"),
        (lambda members: members.update({f"Annotations/{LATE}/00001.png": b""}), r"00001\.png does not belong there"),
        (
            lambda members: members.update({f"Annotations/{LATE_START}/00005.png": b""}),
            rf"{LATE_START}/00005\.png does not belong there",
        ),
        (lambda members: members.update({"__MACOSX/._x": b""}), r"__MACOSX/\._x does not belong there"),
    ],
)
def test_an_archive_from_elsewhere_is_checked(
    chosen: YouTubeSet, masks: Members, tmp_path: Path, change: Callable[[Members], object], finding: str
) -> None:
    with zipfile.ZipFile(packed(masks, chosen, tmp_path)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    write_zip(tmp_path / "changed.zip", members.items())
    with pytest.raises(UserError, match=finding):
        check_server_zip(tmp_path / "changed.zip", chosen)


def test_a_file_twice_and_no_archive_at_all(chosen: YouTubeSet, masks: Members, tmp_path: Path) -> None:
    path = packed(masks, chosen, tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"Annotations/{LATE}/00000.png", encode_mask(flat(1)))
    with pytest.raises(UserError, match=rf"{LATE}/00000\.png is there 2 times"):
        check_server_zip(path, chosen)
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="not readable as a zip archive"):
        check_server_zip(path, chosen)


# --- from the data set to the archive, with a network ---


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network("stcn", TINY["stcn"]).eval()


def segment(network: Network, index: Path, out: Path) -> YouTubeSet:
    """What the stage `infer` does with the index of such a set."""
    chosen = read_youtube_index(index)
    assert chosen is not None
    segment_set(
        network,
        [each.video for each in chosen.videos],
        InferenceSettings(memory_every=5, short_side=32),
        out,
        state=out.with_suffix(".state"),
        fingerprint="test",
        required=chosen.required,
        given="all",
    )
    return chosen


def test_from_a_validation_set_with_all_frames_to_the_archive(
    network: Network, original: tuple[Path, fake_trees.Truth], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(original[0], tmp_path / "YouTube"))
    read = read_youtube(root, split="valid", all_frames=ALL_FRAMES)
    write_youtube_index(tmp_path / "sets/valid.json", read)
    chosen = segment(network, tmp_path / "sets/valid.json", tmp_path / "masks.zip")
    assert [len(each.video) for each in chosen.videos] == [22, 22, 17, 22, 10]
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        assert len(archive.namelist()) == 19
    write_server_zip(chosen, tmp_path / "masks.zip", tmp_path / "server.zip")
    with zipfile.ZipFile(tmp_path / "server.zip") as archive:
        for name, stem, number in ((LATE, "00010", 3), (LATE_START, "00010", 2)):
            with Image.open(io.BytesIO(archive.read(f"Annotations/{name}/{stem}.png"))) as image:
                ids = np.asarray(image)
            # The late object stands where its first mask shows it, up to the resizing.
            assert np.mean((ids == number) == (original[1][name][stem] == number)) > 0.95


def test_from_the_held_out_part_to_scores(
    network: Network, original: tuple[Path, fake_trees.Truth], tmp_path: Path
) -> None:
    read = read_youtube(original[0], split="held-out")
    write_youtube_index(tmp_path / "sets/held.json", give_first_masks(read, tmp_path / "sets/given"))
    chosen = segment(network, tmp_path / "sets/held.json", tmp_path / "masks.zip")
    result = evaluate_youtube(chosen, tmp_path / "masks.zip")
    assert len(result.objects) == sum(len(each.objects) for each in chosen.videos)
    assert result.counts["objects_unseen"] >= 1
    # The truth in the place of the masks scores everything.
    members = [
        (f"{each.name}/{stem}.png", each.truth[stem].read_bytes()) for each in chosen.videos for stem in each.required
    ]
    write_zip(tmp_path / "truth.zip", members)
    perfect = evaluate_youtube(chosen, tmp_path / "truth.zip")
    assert {value for value in perfect.summary.values() if value is not None} == {1.0}
    assert result.summary != perfect.summary
