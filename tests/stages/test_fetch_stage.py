"""The commands `fetch` and `resize-youtube`: from archives in the shape of the public ones to the trees of `paper`."""

import dataclasses
import json
from pathlib import Path

import pytest
from tests.fetch.loopback import VIDEOS, served, small_source, zipped
from tests.parameters import read_document, write_document
from tests.sets import fake_trees
from typer.testing import CliRunner

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.fetch.sources import SOURCES, Source
from oneshot_vos.params import load_params
from oneshot_vos.registry import Registry
from oneshot_vos.stages import data, fetch, resize_youtube


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives of tiny sets with the names and top folders of the public ones."""
    folder = tmp_path_factory.mktemp("archives")
    trees = folder / "trees"
    fake_trees.make_davis2016(trees / "davis2016")
    fake_trees.make_davis2017(trees / "davis2017")
    fake_trees.make_static(trees / "static")
    for year in (2018, 2019):
        fake_trees.make_youtube(trees, year)
    shapes = {
        "davis2016": ("davis2016", "DAVIS/"),
        "davis2017": ("davis2017", "DAVIS/"),
        "static": ("static", ""),
    }
    for year, top in fake_trees.YOUTUBE_FOLDERS.items():
        shapes[f"youtube{year}-train"] = (f"{top}/train", "train/")
        shapes[f"youtube{year}-valid"] = (f"{top}/valid", "valid/")
        shapes[f"youtube{year}-valid-all-frames"] = (f"{top}/all_frames/valid_all_frames", "valid_all_frames/")
    made = {}
    for name, (tree, top) in shapes.items():
        made[name] = folder / f"{name}.zip"
        files = sorted(path for path in (trees / tree).rglob("*") if path.is_file())
        made[name].write_bytes(
            zipped({f"{top}{path.relative_to(trees / tree).as_posix()}": path.read_bytes() for path in files})
        )
    return made


def tiny(source: Source) -> Source:
    """A source that takes any number of videos and any bytes."""
    parts = tuple(
        dataclasses.replace(part, counts=tuple(count._replace(number=None) for count in part.counts))
        for part in source.parts
    )
    return dataclasses.replace(source, parts=parts, size=None, checksum=None)


TINY = Registry("data set", {name: tiny(source) for name, source in SOURCES.items()})


def test_archives_become_the_trees_that_the_profile_paper_reads(
    archives: dict[str, Path], tmp_path: Path, repository: Path
) -> None:
    root = tmp_path / "raw"
    fetch.run([], root, archives, sources=TINY)
    assert (root / "DAVIS/2016/Annotations/480p/blackswan/00000.png").is_file()
    assert (root / "YouTube2018/valid/meta.json").is_file()
    assert (root / "YouTube/all_frames/valid_all_frames/JPEGImages/00f88c4f0a/00021.jpg").is_file()
    resize_youtube.run(root / "YouTube2018/train", None, processes=1)
    assert set(json.loads((root / "fetch.lock.json").read_text())["files"]) == set(archives)

    document = read_document(repository)
    document["profiles"]["paper"]["data"]["root"] = str(root)
    for entry in document["profiles"]["paper"]["data"]["sets"].values():
        assert (root / entry["path"]).is_dir(), entry
    file = write_document(tmp_path / "params.yaml", document)
    data.run(load_params(file, "paper"), tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert all(found["counts"]["errors"] == 0 for found in report["sets"].values())


def test_one_failure_does_not_keep_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with served(zipped(VIDEOS)) as site:
        broken = small_source(name="broken", file_name="broken.zip")
        sources = Registry("data set", {"broken": broken, "small": small_source(site.url)})
        with pytest.raises(UserError, match=r"broken: no mirror gave broken\.zip"):
            fetch.run(["all"], tmp_path, {}, sources=sources)
    assert (tmp_path / "sets/small/list.txt").is_file()
    assert caplog.messages[-1] == f"small: {tmp_path / 'sets/small'} is there, complete (2 videos, 3 frames)"


def test_a_dry_run_shows_everything_and_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "not there yet"
    result = CliRunner().invoke(app, ["fetch", "--dry-run", "--root", str(root)])
    assert result.exit_code == 0, result.output
    for source in SOURCES.values():
        assert source.name in result.output
        assert all(mirror in result.output for mirror in source.mirrors)
        assert all(part.target in result.output for part in source.parts)
    words = " ".join(result.output.split())
    assert all(source.licence in words for source in SOURCES.values())
    assert "833MB, SHA-256 e3d0b5b77c3d…" in words
    assert "To download: 982MB and 8 of unpublished size" in words
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_what_is_there(tmp_path: Path) -> None:
    with served(zipped(VIDEOS)) as site:
        sources = Registry("data set", {"small": small_source(site.url)})
        (tmp_path / ".fetch/small.0").mkdir(parents=True)
        part = tmp_path / ".fetch/small.0/small.zipabcdefgh.part"
        part.write_bytes(bytes(2000))
        report = fetch.report([], tmp_path, {}, sources)
        assert "unpublished size, pinned on first use, 2.00kB downloaded" in report
        assert f"not there: {tmp_path}/sets/small" in report
        part.unlink()
        fetch.run(["small"], tmp_path, {}, sources=sources)
    report = fetch.report([], tmp_path, {}, sources)
    assert f"there: {tmp_path}/sets/small 2 videos, 3 frames" in report
    assert "… (pinned)" in report
    assert "To download: 0.00B and 0 of unpublished size." in report
    (tmp_path / "sets/small/list.txt").unlink()
    report = " ".join(fetch.report([], tmp_path, {}, sources).split())
    assert f"something else there: {tmp_path}/sets/small no list.txt" in report


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nothing named to fetch; expected names such as `paper`"),
        (["davis2071"], "unknown data set 'davis2071': did you mean 'davis201"),
        (["--archive", "davis2017"], "--archive davis2017: expected NAME=PATH once per name"),
        (["--archive", "paper=x.zip"], "unknown data set 'paper'"),
        (["--archive", "static=a", "--archive", "static=b"], "--archive static=b: expected NAME=PATH once per name"),
        (["--archive", "static=none.zip"], "none.zip: no such file; expected the archive of FSS"),
    ],
)
def test_wrong_arguments_end_in_a_message(tmp_path: Path, arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(app, ["fetch", "--root", str(tmp_path / "root"), *arguments])
    assert result.exit_code == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_resize_youtube_is_a_command_that_says_what_it_made_once_per_call(tmp_path: Path) -> None:
    fake_trees.make_youtube_train(tmp_path / "train", frames=6)
    command = ["resize-youtube", str(tmp_path / "train"), "--quality", "90", "--processes", "1"]
    copy = tmp_path / "train_480p"
    expected = (
        f"{copy}: 9 videos, 16 frames, 15 masks; settings in resize.json\n",
        f"{copy}: there already, 9 videos; used as it is\n",
    )
    for text in expected:
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, result.stdout) == (0, text), result.output
    assert json.loads((tmp_path / "train_480p/resize.json").read_text())["images"]["jpeg_quality"] == 90
