"""Frames that cannot be used: one row per case, see `Refused`."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bad_input.clip import (
    Clip,
    Door,
    Refused,
    check,
    folder_named_like,
    moving,
    rows,
    score,
    segment,
    train,
)
from tests.stages.clips import picture


def leads_to_itself(clip: Clip) -> None:
    (clip.frames / "00001.jpg").unlink()
    (clip.frames / "00001.jpg").symlink_to("00001.jpg")


def in_one_file(clip: Clip) -> None:
    (clip.frames / "00001.jpg").unlink()
    Image.fromarray(picture(1)).save(
        clip.frames / "00001.tif", save_all=True, append_images=[Image.fromarray(picture(2))]
    )


def renamed(*names: str) -> Callable[[Clip], None]:
    def change(clip: Clip) -> None:
        clip.rename({f"{t:05}.jpg": f"{name}.jpg" for t, name in enumerate(names)})
        (clip.masks / "00000.png").rename(clip.masks / f"{names[0]}.png")

    return change


REFUSED = {
    "folder with the name of a frame": Refused(
        lambda clip: folder_named_like(clip.frames), r"00002\.jpg ~ a folder ~ expected an image ~ Restore the file"
    ),
    "link that leads to itself": Refused(
        leads_to_itself, r"00001\.jpg ~ a broken link ~ expected links to files that are there ~ Restore the files"
    ),
    "several pictures in one frame": Refused(
        in_one_file,
        r"00001\.tif ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
        (check, train, segment),
    ),
    "moving picture as frame": Refused(
        lambda clip: [(clip.frames / "00001.jpg").unlink(), moving(clip.frames / "00001.png", picture(1), picture(2))],
        r"00001\.png ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
        (check, train, segment),
    ),
    **{
        f"truncated frame.{suffix}": Refused(
            lambda clip, suffix=suffix: [  # type: ignore[misc]
                (clip.frames / "00001.jpg").unlink(),
                clip.put_frame(f"00001.{suffix}", 1),
                clip.cut(clip.frames / f"00001.{suffix}", 0.8),
            ],
            rf"00001\.{suffix} ~ damaged or truncated ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ "
            "Restore the file",
            (check, train, segment),
        )
        for suffix in ("png", "bmp", "tif", "webp")
    },
    "one number twice": Refused(
        renamed("0001", "1", "2"),
        "walk ~ '0001' and '1' are the same number ~ expected each number once ~ Take one away",
    ),
    "decimal numbers behind a word": Refused(
        renamed("t0.5", "t0.25", "t1.0"),
        r"walk ~ as decimal numbers t0\.25 comes before t0\.5 ~ expected as many digits ~ Rename the frames",
    ),
    "decimal numbers with a comma": Refused(
        renamed("0,9", "0,10", "1,0"),
        "walk ~ as decimal numbers 0,10 comes before 0,9 ~ expected as many digits ~ Rename the frames",
    ),
    "name that is no text": Refused(
        lambda clip: clip.rename({"00001.jpg": os.fsdecode(b"0000\xff.jpg")}),
        r"walk ~ '0000\\udcff\.jpg' is not UTF-8 ~ expected names that can be written ~ Rename it",
    ),
    "two frames of one name": Refused(
        lambda clip: clip.put_frame("00001.png", 1),
        "walk ~ several (files|images) (are )?named '00001' ~ expected one (file )?per frame ~ "
        "Take one away|Complete the folders",
    ),
    "truncated JPEG": Refused(
        lambda clip: clip.cut(clip.frames / "00001.jpg", 0.5),
        r"00001\.jpg ~ damaged or truncated ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "frame of zero bytes": Refused(
        lambda clip: clip.cut(clip.frames / "00001.jpg", 0),
        r"00001\.jpg ~ empty \(0 bytes\) ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "text as frame": Refused(
        lambda clip: (clip.frames / "00001.jpg").write_text("<html>404</html>"),
        r"00001\.jpg ~ not an image ~ expected a JPEG, PNG, BMP, TIFF or WebP image ~ Restore the file",
    ),
    "frame of 32 bits": Refused(
        lambda clip: [
            (path.unlink(), Image.fromarray(np.full((48, 64), 0.5, np.float32)).save(path.with_suffix(".tif")))
            for path in list(clip.frames.iterdir())
        ],
        r"00000\.tif ~ more than 16 bits per channel ~ expected 8 or 16 ~ Convert the frames",
    ),
    "frames of two sizes": Refused(
        lambda clip: clip.put_frame("00001.jpg", 1, (48, 32)),
        r"00001\.jpg ~ 32x48 pixels.* 64x48 ~ expected one size ~ Resize (them|the frames), or split the video",
    ),
    "video file beside the folders of frames": Refused(
        lambda clip: (clip.frames.parent / "run.mp4").touch(),
        r"run\.mp4 ~ a video file beside the folders of videos ~ left out ~ "
        "make frames of it: oneshot-vos import-videos",
        (check, train, score),
    ),
    "frames in a folder of their own": Refused(
        lambda clip: [
            (clip.frames / "img").mkdir(),
            clip.rename({f"{t:05}.jpg": f"img/{t:05}.jpg" for t in range(3)}),
        ],
        "walk ~ no image in it but in folders, img first ~ expected the frames of one video in one folder ~ "
        "Give .*img, or move",
        (segment,),
    ),
    "frames of another kind": Refused(
        lambda clip: [path.rename(path.with_suffix(".heic")) for path in list(clip.frames.iterdir())],
        "walk ~ without frames|no image in ~ expected ~ Take it out|Complete the folders|Convert",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("row", "door"), rows(REFUSED))
def test_refused(tmp_path: Path, row: Refused, door: Door) -> None:
    row.require(tmp_path, door)
