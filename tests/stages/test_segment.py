"""The command `segment`: masks in, masks of all frames out, in both directions, from frames and from video files."""

import json
import os
import signal
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from tests.stages.clips import (
    SIZE,
    TINY,
    disc,
    ids,
    tiny_weights,
    write_folder,
    write_masks,
    write_two_scenes,
    write_video,
)
from typer.testing import CliRunner, Result

from oneshot_vos.cli import app
from oneshot_vos.errors import UserError
from oneshot_vos.inference.walk import Walk
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.weights import architecture
from oneshot_vos.sets.mask_inputs import read_masks
from oneshot_vos.stages import segment as stage
from oneshot_vos.stages.segment_files import Output
from oneshot_vos.stages.segment_formats import log_absences
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import read_mask, write_mask
from oneshot_vos.videos.video_files import VideoFrames

FRAMES = 9


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "walk", FRAMES)


def segment(video: Path, weights: Path, out: Path, *arguments: str, masks: list[str]) -> Result:
    given = [part for mask in masks for part in ("--mask", mask)]
    return CliRunner().invoke(
        app, ["segment", str(video), "--weights", str(weights), "--out", str(out), *given, *arguments]
    )


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def masks_of(out: Path) -> dict[str, np.ndarray]:
    return {file.stem: read_mask(file) for file in sorted((out / "masks").iterdir())}


def contents(out: Path) -> dict[str, bytes]:
    files = sorted(file for part in ("masks", "probabilities") for file in (out / part).rglob("*.png"))
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.mark.parametrize("labelled", [[0], [4], [8], [0, 8], [3, 6]])
def test_every_frame_gets_a_mask_wherever_the_given_ones_are(
    folder: Path, weights: Path, tmp_path: Path, labelled: list[int]
) -> None:
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=write_masks(tmp_path / "given", *labelled)))
    masks = masks_of(tmp_path / "out")
    assert list(masks) == [f"{t:05}" for t in range(FRAMES)]
    assert {mask.shape for mask in masks.values()} == {SIZE}
    for t in labelled:
        assert np.array_equal(masks[f"{t:05}"], ids(t))
    assert all(set(np.unique(mask)) <= {0, 1} for mask in masks.values())


def test_going_back_in_time_is_going_forward_through_the_reversed_video(weights: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", FRAMES)
    mirrored = tmp_path / "reversed"
    mirrored.mkdir()
    for t in range(FRAMES):
        (mirrored / f"{FRAMES - 1 - t:05}.png").write_bytes((folder / f"{t:05}.png").read_bytes())
    done(segment(folder, weights, tmp_path / "a", "--no-overlay", masks=write_masks(tmp_path / "given", 8)))
    mask = tmp_path / "given/00008.png"
    done(segment(mirrored, weights, tmp_path / "b", "--no-overlay", masks=[f"00000={mask}"]))
    there, back = masks_of(tmp_path / "a"), masks_of(tmp_path / "b")
    assert any(mask.any() for mask in there.values())
    for t in range(FRAMES):
        assert np.array_equal(there[f"{t:05}"], back[f"{FRAMES - 1 - t:05}"])


def test_a_later_mask_changes_only_what_comes_after_it(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 3)
    write_mask(tmp_path / "given/00006.png", np.where(disc(6), 0, 5).astype(np.int32))
    done(segment(folder, weights, tmp_path / "one", "--no-overlay", masks=given))
    done(segment(folder, weights, tmp_path / "two", "--no-overlay", masks=[str(tmp_path / "given")]))
    one, two = masks_of(tmp_path / "one"), masks_of(tmp_path / "two")
    assert all(np.array_equal(one[f"{t:05}"], two[f"{t:05}"]) for t in range(6))
    assert not np.array_equal(one["00006"], two["00006"])
    assert 5 in two["00006"]


def test_ids_beyond_255_are_kept(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 4, objects=2, values=(7, 4000))
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given))
    assert np.array_equal(masks_of(tmp_path / "out")["00004"], ids(4, 2, values=(7, 4000)))
    stamp = json.loads((tmp_path / "out/segment.json").read_text(encoding="utf-8"))
    assert stamp["objects"] == [7, 4000]
    assert stamp["complete"]


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_a_video_file_gives_the_masks_of_its_decoded_frames(network: str, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "w.safetensors", network)
    clip = write_video(tmp_path / "v.mp4", FRAMES, 2)
    (tmp_path / "v").mkdir()
    for t, frame in enumerate(VideoFrames(clip).read(range(FRAMES))):
        Image.fromarray(frame).save(tmp_path / f"v/{t:05}.png")
    given = write_masks(tmp_path / "given", 4, objects=2)
    done(segment(tmp_path / "v", weights, tmp_path / "a", "--no-overlay", masks=given))
    done(segment(clip, weights, tmp_path / "b", "--no-overlay", masks=given))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_frames_and_a_video_file_of_them_give_the_same_masks_up_to_coding(weights: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "v", FRAMES, 2)
    clip = write_video(tmp_path / "v.mp4", FRAMES, 2)
    given = write_masks(tmp_path / "given", 4, objects=2)
    done(segment(folder, weights, tmp_path / "a", masks=given))
    done(segment(clip, weights, tmp_path / "b", masks=given))
    frames, file = masks_of(tmp_path / "a"), masks_of(tmp_path / "b")
    assert list(frames) == list(file)
    same = [(frames[name] == file[name]).mean() for name in frames]
    assert np.mean(same) > 0.85, same
    capture = cv2.VideoCapture(str(tmp_path / "b/overlay.mp4"), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == 12
    shown = []
    while (result := capture.read())[0]:
        shown.append(result[1].shape[:2])
    assert shown == [SIZE] * FRAMES


def test_probabilities_are_written_for_every_object(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 4, objects=2, values=(3, 9))
    done(segment(folder, weights, tmp_path / "out", "--probabilities", "--no-overlay", masks=given))
    assert sorted(file.name for file in (tmp_path / "out/probabilities").iterdir()) == ["3", "9"]
    masks = masks_of(tmp_path / "out")
    for name, mask in masks.items():
        levels = [cv2.imread(str(tmp_path / f"out/probabilities/{n}/{name}.png"), cv2.IMREAD_UNCHANGED) for n in (3, 9)]
        assert all(level.shape == SIZE and level.dtype == np.uint8 for level in levels)
        assert (levels[0][mask == 3] >= levels[1][mask == 3]).all()
    assert (levels_of(tmp_path / "out", 3, "00004")[ids(4, 2) == 1] > 250).all()


def test_masks_come_in_other_forms(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, given = tmp_path / "out", write_masks(tmp_path / "given", 0, objects=2, values=(3, 400))
    done(segment(folder, weights, out, "--no-overlay", masks=given))
    written, masks = count_written(monkeypatch), masks_of(out)
    for form in ("palette", "binary", "per-object", "rgba", "coco", "matte-video"):
        done(segment(folder, weights, out, "--no-overlay", "--format", form, masks=given))
    assert not written
    assert all(np.array_equal(np.asarray(Image.open(out / f"binary/{n}.png")), (m > 0) * 255) for n, m in masks.items())
    assert sorted(path.name for path in (out / "per-object").iterdir()) == ["003", "400"]
    for path, scratch in ((out / "per-object", "a"), (out / "coco.json", "b")):
        read = read_masks(path, tmp_path / scratch, "out")
        numbers = np.array([0, 3, 400]) if path.suffix else np.arange(401)
        assert all(np.array_equal(numbers[read_mask(file)], masks[name]) for name, file in read.items())
        assert list(read) == list(masks)
    with Image.open(out / "rgba/00003.png") as image:
        assert np.array_equal(np.asarray(image)[..., :3], np.asarray(Image.open(folder / "00003.png")))
        assert np.array_equal(np.asarray(image)[..., 3], (masks["00003"] > 0) * 255)
    matte = next(iter(VideoFrames(out / "matte.mp4").read(range(3, 4))))
    assert np.mean((matte[..., 0] > 127) == (masks["00003"] > 0)) > 0.99


def test_an_object_that_has_left_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for t, number in enumerate((0, 1, 2, 1, 1, 0)):
        write_mask(tmp_path / f"{t}.png", np.full((4, 4), number))
    log_absences(tmp_path, "012345", (1, 2, 9))
    assert [record.message for record in caplog.records] == [
        "object 1 has left: its mask is empty in frames 2 to 2; 5 to the end",
        "object 2 has left: its mask is empty in frames 3 to the end",
        "object 9 has left: its mask is empty in frames 0 to the end",
    ]


def test_a_device_may_be_named(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", "--device", "cpu", masks=given))
    result = segment(folder, weights, tmp_path / "other", "--device", "fridge", masks=given)
    assert (result.exit_code, "--device fridge: not to be used here" in result.output) == (2, True)


def levels_of(out: Path, number: int, name: str) -> np.ndarray:
    return cv2.imread(str(out / f"probabilities/{number}/{name}.png"), cv2.IMREAD_UNCHANGED)


def test_a_large_video_is_segmented_smaller_and_comes_out_at_its_size(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    given = write_masks(tmp_path / "given", 0)
    done(segment(folder, weights, tmp_path / "out", "--short-side", "32", "--probabilities", masks=given))
    masks = masks_of(tmp_path / "out")
    assert {mask.shape for mask in masks.values()} == {SIZE}
    assert np.array_equal(masks["00000"], ids(0))
    assert levels_of(tmp_path / "out", 1, "00003").shape == SIZE
    stamp = json.loads((tmp_path / "out/segment.json").read_text(encoding="utf-8"))
    assert stamp["settings"]["short_side"] == 32


def test_a_scene_cut_is_told_and_can_be_ignored(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "w.safetensors", "xmem")
    video = write_two_scenes(tmp_path / "film", 7, 6)
    given = write_masks(tmp_path / "given", 9)
    result = done(segment(video, weights, tmp_path / "out", "--no-overlay", masks=given))
    assert "film: scene cut at frame 00006 (backwards)" in result.output
    assert result.output.count("scene cut") == 1
    off = ("--no-overlay", "--no-scene-cuts")
    assert "scene cut" not in done(segment(video, weights, tmp_path / "off", *off, masks=given)).output
    assert contents(tmp_path / "out") != contents(tmp_path / "off")
    refused = segment(video, weights, tmp_path / "out", *off, masks=given)
    assert refused.exit_code == 2
    assert "scene_cuts: True, now False" in refused.output


def test_objects_may_pass_one_at_a_time(weights: Path, tmp_path: Path) -> None:
    folder, given = write_folder(tmp_path / "v", FRAMES, 2), write_masks(tmp_path / "given", 0, objects=2)
    done(segment(folder, weights, tmp_path / "all", "--no-overlay", masks=given))
    done(segment(folder, weights, tmp_path / "one", "--no-overlay", "--object-chunk", "1", masks=given))
    assert contents(tmp_path / "one") == contents(tmp_path / "all")
    stamp = json.loads((tmp_path / "one/segment.json").read_text(encoding="utf-8"))
    assert stamp["settings"]["object_chunk"] == 1


# --- interruption ----------------------------------------------------------------------------------------------------


def interrupt_after(monkeypatch: pytest.MonkeyPatch, frames: int, how: Callable[[], None]) -> None:
    """Let something happen as soon as so many masks have been written."""
    plain, count = Output.write, 0

    def write(self: Output, result: Any) -> None:
        nonlocal count
        plain(self, result)
        count += 1
        if count == frames:
            how()

    monkeypatch.setattr(Output, "write", write)


def count_written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    plain, written = Output.write, []

    def write(self: Output, result: Any) -> None:
        written.append(result.frame)
        plain(self, result)

    monkeypatch.setattr(Output, "write", write)
    return written


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
        assert result.exit_code == 2
        assert "holds the results of another job" in result.output
        assert difference in result.output
        assert "--overwrite" in result.output
        assert contents(out) == before

    write_masks(tmp_path / "given", 0, objects=2)
    result = segment(folder, weights, out, "--no-overlay", masks=given)
    assert (result.exit_code, contents(out)) == (2, before)
    assert f"differs from this one in contents of {given[0]}" in result.output

    done(segment(other, weights, out, "--no-overlay", "--overwrite", masks=given))
    assert contents(out) != before


def test_one_folder_of_another_job_ends_segment_all_before_any_video(weights: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_folder(tmp_path / "all/JPEGImages" / name, FRAMES)
        write_masks(tmp_path / "all/Annotations" / name, 0)
    arguments = ["segment-all", str(tmp_path / "all"), "--weights", str(weights), "--no-overlay"]
    done(CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out"), "--memory-every", "3"]))
    (tmp_path / "out/b").rename(tmp_path / "kept")
    (tmp_path / "out/a").rename(tmp_path / "out/b")
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "out/b: holds the results of another job" in result.output
    assert not (tmp_path / "out/a").exists()


def test_two_jobs_do_not_write_one_folder(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out/lock"):
        result = segment(folder, weights, tmp_path / "out", "--no-overlay", masks=given)
    assert (result.exit_code, "segmenting into this folder" in result.output) == (2, True)
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


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_a_long_video_is_held_in_bounded_memory(network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, length = (16, 32), 300
    folder = write_folder(tmp_path / "v", length, size=size)
    given = write_masks(tmp_path / "given", 150, size=size)
    alive, most, sizes = set(), [0], []
    plain_read, plain_frames = FrameFiles.read, Walk.frames

    def read(self: FrameFiles, indices: Sequence[int]) -> Iterator[np.ndarray]:
        for frame in plain_read(self, indices):
            alive.add(id(frame))
            weakref.finalize(frame, alive.discard, id(frame))
            most[0] = max(most[0], len(alive))
            yield frame

    def frames(self: Walk) -> Iterator[Any]:
        for result in plain_frames(self):
            sizes.append(sum(sum(group) for group in self.tracker.banks[0].sizes))
            yield result

    monkeypatch.setattr(FrameFiles, "read", read)
    monkeypatch.setattr(Walk, "frames", frames)
    weights = tiny_weights(tmp_path / "w.safetensors", network)
    arguments = ["--memory-every", "2", *(["--max-frames", "6"] if network == "stcn" else [])]
    done(segment(folder, weights, tmp_path / "out", "--no-overlay", *arguments, masks=given))
    assert len(masks_of(tmp_path / "out")) == length
    assert most[0] <= 6
    area = (size[0] // 16) * (size[1] // 16)
    bound = {"stcn": 6 * area, "cutie": 5 * area, "xmem": 10 * area + 10_000}[network]
    assert max(sizes) <= bound
    if network != "xmem":  # of so small a video, long-term memory is never full
        assert max(sizes[30:]) == sizes[30]


# --- what is refused -------------------------------------------------------------------------------------------------


def wrong_size(folder: Path) -> list[str]:
    return write_masks(folder, 0, size=(24, 32))


def empty(folder: Path) -> list[str]:
    write_mask(folder / "00000.png", np.zeros(SIZE, np.int32))
    return [str(folder / "00000.png")]


def twice(folder: Path) -> list[str]:
    (path,) = write_masks(folder, 0)
    return [path, f"00000={path}"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (wrong_size, "00000.png: the mask is 32x24 pixels, but the video"),
        (empty, "00000.png: the mask is empty (no id above 0)"),
        (lambda folder: [str(folder / "00000.png")], "00000.png: no such file"),
        (lambda folder: write_masks(folder, 12), "has no frame '00012'; did you mean '00002'?"),
        (lambda folder: [f"cat={write_masks(folder, 0)[0]}"], "has no frame 'cat'; its frames are '00000' to '00008'"),
        (twice, "frame '00000' has a mask already"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(
    folder: Path, weights: Path, tmp_path: Path, make: Callable[[Path], list[str]], expected: str
) -> None:
    (tmp_path / "given").mkdir()
    result = segment(folder, weights, tmp_path / "out", masks=make(tmp_path / "given"))
    assert result.exit_code == 2
    assert expected in result.output
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_of_masks_is_named(folder: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    result = segment(folder, weights, tmp_path / "out", masks=[str(tmp_path / "given")])
    assert result.exit_code == 2
    assert "given: no mask in it" in result.output


def test_a_video_that_is_none_is_named(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    missing = segment(tmp_path / "wakl", weights, tmp_path / "out", masks=given)
    assert (missing.exit_code, "did you mean 'walk'?" in missing.output) == (2, True)
    (tmp_path / "bad.mp4").write_text("no video", encoding="utf-8")
    unreadable = segment(tmp_path / "bad.mp4", weights, tmp_path / "out", masks=given)
    assert (unreadable.exit_code, "bad.mp4: not readable as a video" in unreadable.output) == (2, True)


def test_a_mask_must_be_given(folder: Path, weights: Path, tmp_path: Path) -> None:
    assert segment(folder, weights, tmp_path / "out", masks=[]).exit_code == 2
    with pytest.raises(UserError, match="no mask is given"):
        stage.run(folder, [], weights, None, tmp_path / "out", stage.Options(), print)


def test_weights_that_do_not_fit_are_named(folder: Path, weights: Path, tmp_path: Path) -> None:
    given = write_masks(tmp_path / "given", 0)
    other = segment(folder, weights, tmp_path / "out", "--network", "xmem", masks=given)
    assert (other.exit_code, "weights of 'stcn', not of 'xmem'" in other.output) == (2, True)
    unknown = segment(folder, weights, tmp_path / "out", "--network", "xmen", masks=given)
    assert (unknown.exit_code, "did you mean 'xmem'?" in unknown.output) == (2, True)
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "foreign.pth")
    foreign = segment(folder, tmp_path / "foreign.pth", tmp_path / "out", masks=given)
    assert (foreign.exit_code, "foreign.pth: does not say which network" in foreign.output) == (2, True)
    missing = segment(folder, tmp_path / "none.pth", tmp_path / "out", masks=given)
    assert (missing.exit_code, "none.pth: not found" in missing.output) == (2, True)


def test_a_folder_that_another_process_segments_into_is_left_to_it(
    folder: Path, weights: Path, tmp_path: Path, held_elsewhere: Callable[[Path, str], int]
) -> None:
    number = held_elsewhere(tmp_path / "out", "segmenting into this folder")
    result = segment(folder, weights, tmp_path / "out", masks=write_masks(tmp_path / "given", 0))
    assert result.exit_code == 2
    assert f"out: process {number} is segmenting into this folder" in result.output
    assert {file.name for file in (tmp_path / "out").rglob("*")} == {"lock", "lock.pid"}


def test_a_folder_of_other_things_is_not_written_to(folder: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "out/masks").mkdir(parents=True)
    (tmp_path / "out/masks/mine.txt").write_text("mine", encoding="utf-8")
    result = segment(folder, weights, tmp_path / "out", masks=write_masks(tmp_path / "given", 0))
    assert result.exit_code == 2
    assert "out: holds other things" in result.output
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["masks", "mine.txt"]


# --- official weights ------------------------------------------------------------------------------------------------


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


@pytest.mark.real_data
def test_real_frames_and_a_video_file_of_them_agree(data_root: Path, weights: Path, tmp_path: Path) -> None:
    source, annotations = (data_root / f"davis16/{kind}/480p/blackswan" for kind in ("JPEGImages", "Annotations"))
    frames = sorted(source.iterdir())[:8]
    small = tmp_path / "swan"
    small.mkdir()
    size = (112, 64)
    writer = cv2.VideoWriter(str(tmp_path / "swan.mp4"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 24, size)
    for file in frames:
        pixels = cv2.resize(cv2.imread(str(file)), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(small / f"{file.stem}.png"), pixels)
        writer.write(pixels)
    writer.release()
    mask = read_mask(annotations / f"{frames[3].stem}.png")
    given = tmp_path / "00003.png"
    write_mask(given, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    done(segment(small, weights, tmp_path / "a", masks=[str(given)]))
    done(segment(tmp_path / "swan.mp4", weights, tmp_path / "b", masks=[str(given)]))
    one, other = masks_of(tmp_path / "a"), masks_of(tmp_path / "b")
    assert list(one) == list(other)
    assert np.mean([(one[name] == other[name]).mean() for name in one]) > 0.85
