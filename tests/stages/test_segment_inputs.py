"""What `segment` is given: masks that do not fit, videos and weights that are none, official weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.stages.clips import FRAMES, SIZE, TINY, write_masks
from tests.stages.segmenting import done, masks_of, refused, segment

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import architecture
from oneshot_vos.stages import segment as stage
from oneshot_vos.videos.masks import write_mask


def empty(folder: Path) -> list[str]:
    write_mask(folder / "00000.png", np.zeros(SIZE, np.int32))
    return [str(folder / "00000.png")]


def twice(folder: Path) -> list[str]:
    (path,) = write_masks(folder, 0)
    return [path, f"00000={path}"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: write_masks(folder, 0, size=(24, 32)), "00000.png: the mask is 32x24 pixels, but the video"),
        (empty, "00000.png: the mask is empty (no id above 0)"),
        (lambda folder: [str(folder / "00000.png")], "00000.png: no such file"),
        (lambda folder: [str(folder)], "given: no mask in it"),
        (lambda folder: write_masks(folder, 12), "has no frame '00012'; did you mean '00002'?"),
        (lambda folder: [f"cat={write_masks(folder, 0)[0]}"], "has no frame 'cat'; its frames are '00000' to '00008'"),
        (twice, "frame '00000' has a mask already"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(
    folder: Path, weights: Path, tmp_path: Path, make: Callable[[Path], list[str]], expected: str
) -> None:
    (tmp_path / "given").mkdir()
    refused(segment(folder, weights, tmp_path / "out", masks=make(tmp_path / "given")), expected)
    assert not (tmp_path / "out").exists()


def test_a_video_that_is_none_is_named(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    refused(segment(tmp_path / "wakl", weights, tmp_path / "out", masks=given), "did you mean 'walk'?")
    (tmp_path / "bad.mp4").write_text("no video", encoding="utf-8")
    unreadable = segment(tmp_path / "bad.mp4", weights, tmp_path / "out", masks=given)
    refused(unreadable, "bad.mp4: not readable as a video")


def test_a_mask_must_be_given(folder: Path, weights: Path, tmp_path: Path) -> None:
    refused(segment(folder, weights, tmp_path / "out", masks=[]))
    with pytest.raises(UserError, match="no mask is given"):
        stage.run(folder, [], weights, None, tmp_path / "out", stage.Options())


@pytest.mark.parametrize(
    ("file", "network", "expected"),
    [
        (None, "xmem", "weights of 'stcn', not of 'xmem'"),
        (None, "xmen", "did you mean 'xmem'?"),
        ("foreign.pth", None, "foreign.pth: does not say which network"),
        ("none.pth", None, "none.pth: not found"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    folder: Path, weights: Path, tmp_path: Path, file: str | None, network: str | None, expected: str
) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "foreign.pth")
    chosen, more = tmp_path / file if file else weights, ("--network", network) if network else ()
    given = write_masks(tmp_path / "given", 0)
    refused(segment(folder, chosen, tmp_path / "out", *more, masks=given), expected)


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_official_weights_tell_their_network(tmp_path: Path, network: str) -> None:
    with torch.device("meta"):
        names = list(build_network(network, {}).state_dict())
    for wrapped in (False, True):
        state = {f"module.{name}" if wrapped else name: torch.zeros(1) for name in names}
        torch.save({"network": state, "it": 3} if wrapped else state, tmp_path / "w.pth")
        assert architecture(tmp_path / "w.pth", None) == (network, {})


def test_the_small_variant_of_cutie_is_told_from_the_base(tmp_path: Path) -> None:
    arguments = {"pixel_block": "basic", "pixel_depths": [2, 2, 2]}
    with torch.device("meta"):
        names = list(build_network("cutie", arguments).state_dict())
    torch.save({name: torch.zeros(1) for name in names}, tmp_path / "w.pth")
    assert architecture(tmp_path / "w.pth", None) == ("cutie", arguments)


def test_an_official_file_is_segmented_with(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way with a small stand-in: full-size networks are compared with golden clips elsewhere."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.save(build_network("stcn", TINY["stcn"]).state_dict(), tmp_path / "stcn.pth")
    monkeypatch.setattr("oneshot_vos.networks.common.weights.recognise", lambda path: ("stcn", TINY["stcn"]))
    done(segment(folder, tmp_path / "stcn.pth", tmp_path / "out", masks=write_masks(tmp_path / "given", 2)))
    assert len(masks_of(tmp_path / "out")) == FRAMES
