"""What is scored, and a clear error wherever a number would be wrong."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.parallel import score_videos
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.videos.frame_files import natural_key
from oneshot_vos.videos.masks import DAVIS_PALETTE
from oneshot_vos.videos.scorable import scored_stems
from oneshot_vos.videos.video import Video

FIRST, LAST = "00000", "00005"


@pytest.fixture
def video(tree, moving_squares) -> Video:
    return tree.add("clip", *moving_squares)


def frame(moving_squares: tuple[np.ndarray, np.ndarray], t: int) -> np.ndarray:
    return moving_squares[1][t].copy()


def png(ids: np.ndarray, mode: str = "P") -> bytes:
    """A mask file; modes other than palette are what Pillow converts the grey image to."""
    image = Image.fromarray(ids.astype(np.uint8))
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    stream = io.BytesIO()
    image.convert(mode).save(stream, "png")
    return stream.getvalue()


def refused(tree, video: Video, *fragments: str, processes: int = 1) -> None:
    with pytest.raises(UserError) as caught:
        evaluate_set([video], tree.predictions, processes=processes)
    for fragment in fragments:
        assert fragment in str(caught.value)


# --- what is scored -------------------------------------------------------------------------------------------------


def test_objects_and_frames(tree, video) -> None:
    (sequence,) = evaluate_set([video], tree.predictions).sequences
    assert sequence.frames == scored_stems(video) == ("00001", "00002", "00003", "00004")
    assert [scores.id for scores in sequence.objects] == [1, 2]
    assert all(0.7 < value < 1 for scores in sequence.objects for value in scores.j)


def test_first_and_last_prediction_do_not_matter(tree, video, moving_squares) -> None:
    before = evaluate_set([video], tree.predictions)
    wrong = frame(moving_squares, 0)
    wrong[0, 0] = 9
    tree.write("clip", FIRST, png(wrong))
    (tree.predictions / "clip" / f"{LAST}.png").unlink()
    (tree.predictions / "clip" / "notes.txt").write_text("extra")
    tree.write("clip", "99999", b"no image")
    tree.write("another", FIRST, png(wrong))
    assert evaluate_set([video], tree.predictions) == before


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_prediction_modes_are_equal(tree, moving_squares, mode) -> None:
    palette = evaluate_set([tree.add("clip", *moving_squares)], tree.predictions)
    other = evaluate_set([tree.add("clip", *moving_squares, mode=mode)], tree.predictions)
    assert other == palette


def test_one_bit_predictions(tree, moving_squares) -> None:
    truth, predicted = ((ids == 1).astype(np.uint8) for ids in moving_squares)
    palette = evaluate_set([tree.add("clip", truth, predicted)], tree.predictions)
    assert evaluate_set([tree.add("clip", truth, predicted, mode="1")], tree.predictions) == palette


@pytest.mark.parametrize("values", [(1, 1), (255, 255), (255, 1), (1, 255), (7, 3)])
def test_single_object_merges_all_ids(tree, moving_squares, values) -> None:
    truth, predicted = ((ids > 0).astype(np.uint8) for ids in moving_squares)
    plain = evaluate_set([tree.add("clip", truth, predicted)], tree.predictions)
    video = tree.add("clip", truth * values[0], predicted * values[1], single_object=True)
    assert evaluate_set([video], tree.predictions) == plain
    assert evaluate_set([tree.add("clip", *moving_squares, single_object=True)], tree.predictions) == plain


def test_video_without_objects_contributes_nothing(tree, moving_squares) -> None:
    video = tree.add("clip", *moving_squares)
    alone = evaluate_set([video], tree.predictions)
    empty = tree.add("empty", *np.zeros((2, 4, 20, 30), np.uint8))
    both = evaluate_set([video, empty], tree.predictions)
    assert both.summary == alone.summary
    assert both.sequences[1].objects == ()
    assert both.sequences[1].summary == {}


def test_object_in_the_first_frame_only(tree) -> None:
    truth, predicted = np.zeros((2, 5, 20, 30), np.uint8)
    truth[0, 3:9, 3:9], truth[0, 10:15, 10:15] = 1, 2
    predicted[2, :4, :4] = 1
    result = evaluate_set([tree.add("clip", truth, predicted)], tree.predictions)
    first, second = result.sequences[0].objects
    assert first.j == first.f == (1.0, 0.0, 1.0)
    assert second.j == second.f == (1.0, 1.0, 1.0)


def test_three_frames_leave_one(tree, moving_squares) -> None:
    truth, predicted = (ids[:3] for ids in moving_squares)
    result = evaluate_set([tree.add("clip", truth, predicted)], tree.predictions)
    assert len(result.sequences[0].frames) == 1
    assert result.summary["J-Decay"] == 0.0


def test_sparse_annotation_in_natural_order(tree, moving_squares) -> None:
    """Annotated frames 2, 5, 8 and 13 of a longer video with unpadded names: 5 and 8 are scored."""
    dense = tree.add("dense", *(ids[:4] for ids in moving_squares))
    expected = evaluate_set([dense], tree.predictions).sequences[0].objects
    masks = dict(zip(("2", "5", "8", "13"), dense.masks.values(), strict=True))
    sparse = Video("sparse", tuple(Path(f"{t}.jpg") for t in range(16)), dict(sorted(masks.items())))
    for t, stem in ((1, "5"), (2, "8")):
        tree.write("sparse", stem, png(frame(moving_squares, t)))
    (sequence,) = evaluate_set([sparse], tree.predictions).sequences
    assert sequence.frames == ("5", "8")
    assert sequence.objects == expected


@pytest.mark.real_data
def test_annotation_of_new_objects_only(data_root, tree) -> None:
    """Each annotation of this clip shows just the object that is new in it: no ground truth for a score."""
    folder = data_root / "davis17-mini" / "Annotations" / "480p" / "judo"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    masks = {path.stem: path for path in folder.glob("*.png")}
    for stem, path in masks.items():
        tree.write("judo", stem, path.read_bytes())
    refused(tree, Video("judo", (), masks), "judo")


def test_more_than_255_objects(tree) -> None:
    """In 16-bit masks 255 is an object like any other."""
    ids = np.arange(20 * 15).reshape(20, 15).repeat(3, 0).repeat(3, 1).astype(np.uint16)
    stack = np.stack([ids] * 3)
    video = tree.add("many", stack % 256, stack, mode="I;16")
    for path in video.masks.values():
        path.write_bytes(tree.predictions.joinpath("many", path.name).read_bytes())
    (sequence,) = evaluate_set([video], tree.predictions).sequences
    assert len(sequence.objects) == 299
    assert all(scores.j == (1.0,) for scores in sequence.objects)


def test_natural_key() -> None:
    assert sorted(["10", "9", "a10", "a9", "00008"], key=natural_key) == ["00008", "9", "10", "a9", "a10"]


# --- the same numbers however they are computed ---------------------------------------------------------------------


def test_processes_and_archive_make_no_difference(tree, moving_squares) -> None:
    videos = [tree.add(f"clip-{n}", *(ids[: n + 3] for ids in moving_squares)) for n in range(4)]
    one = evaluate_set(videos, tree.predictions)
    assert [sequence.name for sequence in one.sequences] == [video.name for video in videos]
    assert evaluate_set(videos, tree.predictions, processes=3) == one
    assert evaluate_set(videos, tree.zipped(), processes=2) == one
    assert evaluate_set(videos, tree.zipped()) == one


def test_error_in_a_worker_reaches_the_user(tree, moving_squares) -> None:
    videos = [tree.add(f"clip-{n}", *moving_squares) for n in range(3)]
    tree.write("clip-1", "00002", b"no image")
    with pytest.raises(UserError, match=r"clip-1/00002\.png: not an image; expected a mask as PNG"):
        evaluate_set(videos, tree.predictions, processes=2)


def die(video: Video, predictions: Predictions) -> None:
    """What a worker does that the system ends for lack of memory."""
    os._exit(9)


def test_a_worker_that_dies_is_told(tree, moving_squares) -> None:
    videos = {name: tree.add(name, *moving_squares) for name in ("clip-0", "clip-1")}
    stems = {name: ["00001"] for name in videos}
    with pytest.raises(UserError, match=r"evaluate: a worker process died, .*fewer `processes`.*__main__"):
        score_videos(die, videos, stems, tree.predictions, 2)


def test_scoring_imports_no_heavy_package() -> None:
    """A worker process starts in a tenth of a second."""
    heavy = "torch", "cv2", "pandas", "scipy", "skimage", "pydantic"
    check = f"import sys, oneshot_vos.evaluation.davis; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what is refused ------------------------------------------------------------------------------------------------


def jpeg(ids: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(ids).save(stream, "jpeg")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "fragments"),
    [
        (lambda ids: b"", ["the file is empty (0 bytes)"]),
        (lambda ids: b"hello", ["not an image"]),
        (jpeg, ["JPEG"]),
        *((lambda ids, kept=kept: png(ids)[:kept], []) for kept in (40, 60)),
        *((lambda ids, kept=kept: png(ids)[: int(len(png(ids)) * kept)], []) for kept in (0.5, 0.9)),
        *(
            (lambda ids, size=size: png(ids[: size[0], : size[1]]), [f"{size[1]} x {size[0]} pixels", "64 x 48"])
            for size in ((48, 63), (1, 64), (48, 1), (1, 1))  # never broadcast
        ),
    ],
)
def test_a_prediction_that_cannot_be_scored_is_named(tree, video, moving_squares, make, fragments) -> None:
    tree.write("clip", "00003", make(frame(moving_squares, 3)))
    refused(tree, video, "clip/00003.png", *fragments)


def test_a_missing_file_is_named(tree, video) -> None:
    (tree.predictions / "clip" / "00003.png").unlink()
    refused(tree, video, "clip/00003.png: prediction not found", "1 of the 4 masks")
    with pytest.raises(UserError, match=r"nothing\.zip: predictions not found"):
        evaluate_set([video], tree.root / "nothing.zip")


def test_an_annotation_that_is_gone_is_named(tree, video) -> None:
    video.masks["00003"].unlink()
    refused(tree, video, "00003.png: no such file")


@pytest.mark.parametrize("processes", [1, 2])
def test_id_too_high(tree, video, moving_squares, processes) -> None:
    wrong = frame(moving_squares, 3)
    wrong[0, 0] = 3
    tree.write("clip", "00003", png(wrong))
    refused(tree, video, "clip/00003.png", "object id 3", "2 object(s)", processes=processes)


def test_missing_folder(tree, video) -> None:
    refused(tree, Video("other", (), video.masks), "other/00001.png: prediction not found", "4 of the 4 masks")


def test_missing_member_of_an_archive(tree, video) -> None:
    (tree.predictions / "clip" / "00002.png").unlink()
    with pytest.raises(UserError, match=r"predictions\.zip/clip/00002\.png: prediction not found"):
        evaluate_set([video], tree.zipped())


def test_a_damaged_archive_is_named(tree, video) -> None:
    archive = tree.zipped()
    content = bytearray(archive.read_bytes())
    content[content.index(b"clip/00002.png") + 60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"clip/00002\.png: not readable"):
        evaluate_set([video], archive)
    archive.write_bytes(content[:-200])
    with pytest.raises(UserError, match="not readable as a zip archive"):
        evaluate_set([video], archive)


def test_all_predictions_of_another_size(tree, video, moving_squares) -> None:
    for t in range(6):
        tree.write("clip", f"{t:05d}", png(frame(moving_squares, t)[:, :-1]))
    refused(tree, video, "63 x 48 pixels")


def test_annotation_that_changes_size(tree, video, moving_squares) -> None:
    video.masks["00002"].write_bytes(png(frame(moving_squares, 2)[:, :-1]))
    refused(tree, video, "00002.png", "63 x 48 pixels", "00000.png of the same video has 64 x 48")


def test_binary_ground_truth_without_single_object(tree, moving_squares) -> None:
    truth, predicted = ((ids > 0).astype(np.uint8) for ids in moving_squares)
    refused(tree, tree.add("clip", truth * 255, predicted), "no value but 0 and 255", "single_object: true")


def test_binary_predictions_without_single_object(tree, moving_squares) -> None:
    truth, predicted = ((ids > 0).astype(np.uint8) for ids in moving_squares)
    refused(tree, tree.add("clip", truth, predicted * 255), "object id 255", "single_object: true")


@pytest.mark.parametrize("single_object", [False, True])
def test_no_object_but_predicted(tree, moving_squares, single_object) -> None:
    predicted = moving_squares[1]
    video = tree.add("clip", np.zeros_like(predicted), predicted, single_object=single_object)
    refused(tree, video, "object id", "has 0 object(s)")


def test_no_object_in_the_whole_set(tree) -> None:
    refused(tree, tree.add("clip", *np.zeros((2, 5, 20, 30), np.uint8)), "nothing to score")


def test_two_frames(tree, moving_squares) -> None:
    refused(tree, tree.add("clip", *(ids[:2] for ids in moving_squares)), "'clip': 2 annotated frame(s)", "at least 3")


def test_forms_that_training_reads_score_alike(tree, video, moving_squares) -> None:
    """RGB and grey with alpha, in the annotations and in the predictions."""
    expected = evaluate_set([video], tree.predictions)
    for path in [*video.masks.values(), *tree.predictions.rglob("*.png")]:
        ids = np.asarray(Image.open(path))
        opaque = np.full_like(ids, 255)
        pixels = DAVIS_PALETTE[ids] if path.stem < "00003" else np.stack([ids, opaque], 2)
        Image.fromarray(pixels).save(path)
    assert evaluate_set([video], tree.predictions) == expected


def test_colours_against_ids_are_refused(tree, video, moving_squares) -> None:
    colours = np.array([(0, 0, 0), (9, 200, 30), (250, 250, 90)], np.uint8)
    Image.fromarray(colours[frame(moving_squares, 2)]).save(tree.predictions / "clip/00002.png")
    refused(tree, video, "clip/00002.png: a mask of colours, and ", "is one of ids")


def test_video_listed_twice(tree, video) -> None:
    with pytest.raises(UserError, match="'clip' is listed twice"):
        evaluate_set([video, video], tree.predictions)


def test_no_process(tree, video) -> None:
    refused(tree, video, "processes is 0", processes=0)
