"""The table of sources: consistent, complete, and as params.yaml and torchvision expect."""

from pathlib import Path, PurePosixPath

import pytest
import yaml

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.archives import inspect_folder
from oneshot_vos.fetch.sources import DRIVE, SOURCES, chosen


def test_names_files_and_targets_are_unique() -> None:
    assert all(name == source.name for name, source in SOURCES.items())
    files = [source.file_name for source in SOURCES.values()]
    targets = [part.target for source in SOURCES.values() for part in source.parts]
    assert len(set(files)) == len(files)
    assert len(set(targets)) == len(targets)
    for inner in targets:
        assert not any(inner != outer and PurePosixPath(inner).is_relative_to(outer) for outer in targets)
        assert not PurePosixPath(inner).is_absolute()
        assert ".." not in PurePosixPath(inner).parts


def test_every_source_says_what_it_must() -> None:
    for source in SOURCES.values():
        assert source.mirrors
        assert source.licence
        assert source.page.startswith("https://")
        assert source.parts or source.torch_hub
        assert source.checksum is None or len(source.checksum) == len("sha256:") + 64
        assert all(mirror.startswith("https://") for mirror in source.mirrors)
        assert all(len(mirror) == len(DRIVE) + 33 for mirror in source.mirrors if mirror.startswith(DRIVE))


def test_everything_asked_for_is_there() -> None:
    youtube = {f"youtube{year}-{part}" for year in (2018, 2019) for part in ("train", "valid", "valid-all-frames")}
    assert set(SOURCES) == {"davis2016", "davis2017", "static", "imagenet-resnet18", "imagenet-resnet50"} | youtube


def test_names_and_groups() -> None:
    assert [source.name for source in chosen(["static", "davis", "davis2017"])] == ["davis2016", "davis2017", "static"]
    assert chosen(["all"]) == list(SOURCES.values())
    assert {source.name for source in chosen(["youtube2019"])} == {
        "youtube2019-train",
        "youtube2019-valid",
        "youtube2019-valid-all-frames",
    }
    assert chosen([]) == []
    with pytest.raises(UserError, match="unknown data set 'davis2071': did you mean 'davis201"):
        chosen(["davis2071"])


def test_the_group_paper_gives_what_the_profile_paper_reads(repository: Path) -> None:
    profile = yaml.safe_load((repository / "config/profiles/paper.yaml").read_text(encoding="utf-8"))
    wanted = set()
    for entry in profile["data"]["sets"].values():
        if entry["kind"] == "youtube":
            parts = [entry.get(key) for key in ("images", "annotations", "all_frames")]
            folders = [*(PurePosixPath(part).parent.as_posix() for part in parts if part), entry["split"]]
            wanted |= {f"{entry['path']}/{folder}" for folder in folders}
        elif entry["kind"] == "davis":
            wanted |= {f"{entry['path']}/{entry[key]}" for key in ("images", "annotations", "list")}
        else:
            wanted.add(entry["path"])
    assert {"YouTube2018/train_480p", "YouTube/all_frames/valid_all_frames"} <= wanted
    assert {"YouTube2018/train", "DAVIS/2016/Annotations/480p"} <= wanted
    targets = [part.target for source in chosen(["paper"]) for part in source.parts]
    for path in wanted:
        # train_480p is what `resize-youtube` makes of train
        fetched = path.removesuffix("_480p")
        assert any(PurePosixPath(fetched).is_relative_to(target) for target in targets), path


def test_weights_are_those_that_torchvision_names() -> None:
    from torchvision.models import ResNet18_Weights, ResNet50_Weights

    for name, weights in (("resnet18", ResNet18_Weights), ("resnet50", ResNet50_Weights)):
        source = SOURCES[f"imagenet-{name}"]
        assert source.mirrors == (weights.IMAGENET1K_V1.url,)
        assert source.file_name == weights.IMAGENET1K_V1.url.rpartition("/")[2]
        assert source.checksum is not None
        assert source.file_name.removesuffix(".pth").endswith(source.checksum.removeprefix("sha256:")[:8])
        assert source.size is not None
        assert weights.IMAGENET1K_V1.meta["_file_size"] == pytest.approx(source.size / 2**20, abs=0.01)


def test_a_package_of_all_frames_may_hold_another_number_of_videos(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages/video").mkdir(parents=True)
    found = inspect_folder(SOURCES["youtube2018-valid-all-frames"].parts[0], tmp_path)
    assert (found.state, found.details) == ("complete", "1 videos (expected 474)")
    (tmp_path / "Annotations/video").mkdir(parents=True)
    (tmp_path / "meta.json").touch()
    assert inspect_folder(SOURCES["youtube2018-valid"].parts[0], tmp_path).state == "differs"
