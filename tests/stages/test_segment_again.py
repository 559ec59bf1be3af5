"""The command `segment` after an interruption, and into a folder in which there is something already."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from tests.stages.clips import FRAMES, tiny_weights, write_folder, write_masks
from tests.stages.segmenting import contents, count_written, done, interrupt_after, masks_of, refused, run, segment


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
@pytest.mark.parametrize("after", [1, 4, 5, 7])
def test_an_interrupted_run_goes_on_with_the_same_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, after: int
) -> None:
    weights = tiny_weights(tmp_path / "w.safetensors", network)
    given = write_masks(tmp_path / "given", 4, 6, objects=2)
    arguments = ("--probabilities", "--no-overlay", "--memory-every", "2")
    done(segment(folder, weights, tmp_path / "whole", *arguments, masks=given))
    before = signal.getsignal(signal.SIGINT)  # a shell that starts tests in the background has it ignored
    with monkeypatch.context() as patch:
        interrupt_after(patch, after, lambda: os.kill(os.getpid(), signal.SIGINT))
        result = segment(folder, weights, tmp_path / "out", *arguments, masks=given)
    assert result.exit_code == 130
    assert len(masks_of(tmp_path / "out")) == after
    assert signal.getsignal(signal.SIGINT) is before
    written = count_written(monkeypatch)
    done(segment(folder, weights, tmp_path / "out", *arguments, masks=given))
    assert len(written) == FRAMES - after
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out/.state").exists()


def test_a_killed_run_starts_its_direction_again_with_the_same_result(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    given = write_masks(tmp_path / "given", 4)
    done(segment(folder, weights, tmp_path / "whole", "--no-overlay", masks=given))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6, die)
        assert segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given).exit_code == 1
    written = count_written(monkeypatch)
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    assert written == [3, 2, 1, 0]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["snapshot", "mask", "empty mask", "empty report"])
def test_a_damaged_rest_of_an_interrupted_run_costs_time_and_nothing_else(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    given = write_masks(tmp_path / "given", 0)
    done(segment(folder, weights, tmp_path / "whole", "--no-overlay", masks=given))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given)
    snapshot = tmp_path / "out/.state/forwards.pt"
    if damage == "snapshot":
        snapshot.write_bytes(snapshot.read_bytes()[: snapshot.stat().st_size // 2])
    elif damage == "mask":
        (tmp_path / "out/masks/00002.png").unlink()
    else:
        (tmp_path / "out" / ("segment.json" if "report" in damage else "masks/00002.png")).write_bytes(b"")
    written = count_written(monkeypatch)
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    assert len(written) == FRAMES
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_a_killed_process_left_half_written_is_removed(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    (tmp_path / "out/.state").mkdir(parents=True)  # as it began
    for name in ("lock", "lock.pid", ".segment.json.99999.part"):
        (tmp_path / "out" / name).touch()
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    before = contents(tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"masks", "segment.json"}
    (tmp_path / "out/masks/.00002.png.99999.part").touch()
    (tmp_path / "out/.state").mkdir()
    (tmp_path / "out/.state/forwards.done").touch()
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    assert contents(tmp_path / "out") == before
    assert not (tmp_path / "out/.state").exists()


def test_a_finished_folder_is_left_alone(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_masks(tmp_path / "given", 0)
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    written = count_written(monkeypatch)
    done(segment(folder, weights, tmp_path / "out", "--gif", "--contact-sheet", masks=given))  # pictures are added
    for name in ("overlay.mp4", "overlay.gif", "contact-sheet.jpg"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    monkeypatch.setattr("oneshot_vos.stages.segment_files.__version__", "99")
    done(segment(folder.rename(tmp_path / "elsewhere"), weights, tmp_path / "out", masks=given))
    assert not written


def test_results_of_another_job_are_kept_unless_told_otherwise(folder: Path, weights: Path, tmp_path: Path) -> None:
    out, given = tmp_path / "out", write_masks(tmp_path / "given", 0)
    done(segment(folder, weights, out, "--no-overlay", masks=given))
    before = contents(out)

    other = write_folder(tmp_path / "b/walk", FRAMES, 2)
    retrained = tiny_weights(tmp_path / "retrained.safetensors", "xmem")
    for video, chosen, arguments, difference in (
        (other, weights, (), f"video: {folder}, now {other}"),
        (folder, retrained, (), f"weights: {weights}, now {retrained}"),
        (folder, weights, ("--memory-every", "3"), "settings.memory_every: 5, now 3"),
    ):
        result = segment(video, chosen, out, *arguments, masks=given)
        refused(result, "holds the results of another job", difference, "--overwrite")
        assert contents(out) == before

    write_masks(tmp_path / "given", 0, objects=2)
    result = segment(folder, weights, out, "--no-overlay", masks=given)
    refused(result, f"differs from this one in contents of {given[0]}")
    assert contents(out) == before

    done(segment(other, weights, out, "--no-overlay", "--overwrite", masks=given))
    assert contents(out) != before


def test_one_folder_of_another_job_ends_segment_all_before_any_video(weights: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_folder(tmp_path / "all/JPEGImages" / name, FRAMES)
        write_masks(tmp_path / "all/Annotations" / name, 0)
    arguments = ["segment-all", tmp_path / "all", "--weights", weights, "--no-overlay", "--out", tmp_path / "out"]
    done(run(*arguments, "--memory-every", 3))
    (tmp_path / "out/b").rename(tmp_path / "kept")
    (tmp_path / "out/a").rename(tmp_path / "out/b")
    refused(run(*arguments), "out/b: holds the results of another job")
    assert not (tmp_path / "out/a").exists()


def test_two_jobs_do_not_write_one_folder(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out/lock"):
        result = segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given)
    refused(result, "segmenting into this folder")
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))


def test_what_another_version_began_starts_again_and_loses_nothing_finished(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_masks(tmp_path / "given", 0)
    with monkeypatch.context() as patch:
        patch.setattr("oneshot_vos.stages.segment_files.__version__", "0.0")
        interrupt_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given)
    written = count_written(monkeypatch)
    assert "another version" in done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given)).output
    assert len(written) == FRAMES


def test_a_folder_that_another_process_segments_into_is_left_to_it(
    folder: Path, weights: Path, tmp_path: Path, held_elsewhere: Callable[[Path, str], int]
) -> None:
    number = held_elsewhere(tmp_path / "out", "segmenting into this folder")
    result = segment(folder, weights, tmp_path / "out", masks=write_masks(tmp_path / "given", 0))
    refused(result, f"out: process {number} is segmenting into this folder")
    assert {file.name for file in (tmp_path / "out").rglob("*")} == {"lock", "lock.pid"}


def test_a_folder_of_other_things_is_not_written_to(folder: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "out/masks").mkdir(parents=True)
    (tmp_path / "out/masks/mine.txt").write_text("mine", encoding="utf-8")
    result = segment(folder, weights, tmp_path / "out", masks=write_masks(tmp_path / "given", 0))
    refused(result, "out: holds other things")
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["masks", "mine.txt"]
