"""The command `segment`: masks in, masks of all frames out, in both directions, from frames and from video files."""

import json
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.inference.memories import sizes as sizes_of
from tests.stages.clips import (
    FRAMES,
    SIZE,
    disc,
    ids,
    tiny_weights,
    write_folder,
    write_masks,
    write_two_scenes,
    write_video,
)
from tests.stages.segmenting import contents, count_written, done, levels_of, masks_of, refused, segment

from oneshot_vos.inference.walk import Walk
from oneshot_vos.sets.mask_inputs import read_masks
from oneshot_vos.stages.segment_formats import log_absences
from oneshot_vos.videos.frames import FrameFiles
from oneshot_vos.videos.masks import read_mask, write_mask
from oneshot_vos.videos.video_files import VideoFrames


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
        levels = [levels_of(tmp_path / "out", number, name) for number in (3, 9)]
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
    refused(result, "--device fridge: not to be used here")


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
    refused(segment(video, weights, tmp_path / "out", *off, masks=given), "scene_cuts: True, now False")


def test_objects_may_pass_one_at_a_time(weights: Path, tmp_path: Path) -> None:
    folder, given = write_folder(tmp_path / "v", FRAMES, 2), write_masks(tmp_path / "given", 0, objects=2)
    done(segment(folder, weights, tmp_path / "all", "--no-overlay", masks=given))
    done(segment(folder, weights, tmp_path / "one", "--no-overlay", "--object-chunk", "1", masks=given))
    assert contents(tmp_path / "one") == contents(tmp_path / "all")
    stamp = json.loads((tmp_path / "one/segment.json").read_text(encoding="utf-8"))
    assert stamp["settings"]["object_chunk"] == 1


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_a_long_video_is_held_in_bounded_memory(network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, length = (16, 32), 100
    folder = write_folder(tmp_path / "v", length, size=size)
    given = write_masks(tmp_path / "given", 50, size=size)
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
            sizes.append(sum(sum(group) for group in sizes_of(self.tracker.banks[0])))
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
