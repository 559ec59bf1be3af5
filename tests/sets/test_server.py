"""Sets that a server scores: from the package to the archive, in the pipeline and beside it."""

import shutil
import zipfile
from pathlib import Path

import pytest
from tests.parameters import read_document, write_document
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.params import load_params
from oneshot_vos.sets.generated import generate
from oneshot_vos.stages import data, evaluate
from oneshot_vos.videos.objects_index import read_youtube_index

VIDEOS, FRAMES = ("val-0000", "val-0001"), 4
RUN = "stcn-two_step-static"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`truth` with all masks, and `package` with those of first frames alone."""
    root = tmp_path_factory.mktemp("server")
    generate(root / "truth", seed=1, train=3, val=2, static=2, frames=FRAMES, size=48)
    shutil.copytree(root / "truth", root / "package")
    for mask in (root / "package/Annotations").rglob("*.png"):
        if mask.parent.name in VIDEOS and mask.stem != "00000":
            mask.unlink()
    return root


@pytest.fixture
def masks(made: Path, tmp_path: Path) -> Path:
    """True masks of all frames as `infer` would write them."""
    path = tmp_path / "masks" / "theirs.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for mask in sorted((made / "truth/Annotations/480p").rglob("val-*/*.png")):
            archive.write(mask, f"{mask.parent.name}/{mask.name}")
    return path


def indexed(repository: Path, root: Path, out: Path, server: str) -> Path:
    """The index that the stage `data` writes of the set `theirs`, which smoke evaluates beside its own."""
    document = read_document(repository)
    smoke = document["profiles"]["smoke"]["data"]
    smoke["root"], smoke["generate"] = str(root), None
    folders = {"images": "JPEGImages/480p", "annotations": "Annotations/480p", "list": "ImageSets/2017/val.txt"}
    smoke["sets"]["theirs"] = {"kind": "server", "server": server, "path": "package", **folders}
    for name in ("mini-train", "mini-val"):
        smoke["sets"][name]["path"] = "truth"
    smoke["sets"]["mini-static"]["path"] = "truth/static"
    smoke["evaluate"] = ["mini-val", "theirs"]
    data.run(load_params(write_document(out / "params.yaml", document), "smoke"), out / "sets")
    return out / "sets/evaluate/theirs.json"


@pytest.mark.parametrize(("server", "top"), [("davis", ""), ("mose", ""), ("lvos", "Annotations/")])
def test_the_archive_has_the_names_that_the_server_expects(
    repository: Path, made: Path, masks: Path, tmp_path: Path, server: str, top: str
) -> None:
    index = indexed(repository, made, tmp_path, server)
    chosen = read_youtube_index(index)
    assert chosen is not None
    assert [[t for t in range(FRAMES) if video.video.mask_path(t)] for video in chosen.videos] == [[0], [0]]
    assert list(chosen.required.values()) == [tuple(f"{t:05d}" for t in range(FRAMES))] * 2
    params = load_params(tmp_path / "params.yaml", "smoke")
    assert params.profile.data.davis_sets == ("mini-val",), "nothing is scored here"
    evaluate._score_youtube(params, masks.parent, index.parent, tmp_path)
    archive = tmp_path / "theirs-server.zip"
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == [f"{top}{video}/{t:05d}.png" for video in VIDEOS for t in range(FRAMES)]
    result = CliRunner().invoke(app, ["check-server-zip", str(archive), "--index", str(index)])
    assert (result.exit_code, "2 videos, 8 masks" in result.output) == (0, True)
    packed = tmp_path / "packed.zip"
    words = ["pack", str(made / "package"), str(masks), "--server", server, "--out", str(packed)]
    words += ["--images", "JPEGImages/480p", "--annotations", "Annotations/480p", "--list", "ImageSets/2017/val.txt"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert packed.read_bytes() == archive.read_bytes()


def test_an_archive_for_another_server_is_told(repository: Path, made: Path, masks: Path, tmp_path: Path) -> None:
    index = indexed(repository, made, tmp_path, "lvos")
    result = CliRunner().invoke(app, ["check-server-zip", str(masks), "--index", str(index)])
    assert result.exit_code == 2
    assert "(archive for the LVOS server)" in result.stderr
    assert "Annotations/val-0000/00000.png is missing" in result.stderr
    assert "val-0000/00000.png does not belong there" in result.stderr


def test_ground_truth_and_missing_masks_are_refused(made: Path, masks: Path, tmp_path: Path) -> None:
    folders = ["--images", "JPEGImages/480p", "--annotations", "Annotations/480p", "--list", "ImageSets/2017/val.txt"]
    words = ["--server", "mose", "--out", str(tmp_path / "packed.zip"), *folders]
    result = CliRunner().invoke(app, ["pack", str(made / "truth"), str(masks), *words])
    assert result.exit_code == 2
    assert "a mask for each of its 4 frames; expected those of the frames in which objects begin" in result.stderr
    with zipfile.ZipFile(masks) as archive:
        archive.extractall(tmp_path / "some")
    (tmp_path / "some/val-0001/00002.png").unlink()
    result = CliRunner().invoke(app, ["pack", str(made / "package"), str(tmp_path / "some"), *words])
    assert result.exit_code == 2
    assert f"{tmp_path}/some/val-0001/00002.png: prediction not found; 1 of the 4 masks" in result.stderr
    with zipfile.ZipFile(tmp_path / "torn.zip", "w") as archive:
        archive.writestr("val-0000/00000.json", b"{")
    result = CliRunner().invoke(app, ["pack", str(made / "package"), str(tmp_path / "torn.zip"), *words])
    assert f"{tmp_path}/torn.zip/val-0000/00000.json: not readable" in result.stderr
    assert not (tmp_path / "packed.zip").exists()


def test_a_server_set_is_not_what_curves_are_drawn_of(repository: Path, tmp_path: Path) -> None:
    document = read_document(repository)
    smoke = document["profiles"]["smoke"]
    folders = {"images": "a", "annotations": "b", "list": None}
    smoke["data"]["sets"]["theirs"] = {"kind": "server", "server": "mose", "path": ".", **folders}
    smoke["data"]["evaluate"] = ["mini-val", "theirs"]
    smoke["curve"]["set"] = "theirs"
    with pytest.raises(UserError, match=r"curve.set: 'theirs' is of kind 'server', not 'davis'"):
        load_params(write_document(tmp_path / "params.yaml", document), "smoke")
