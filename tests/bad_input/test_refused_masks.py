"""Masks that cannot be used: one row per case, see `Refused`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.bad_input.clip import (
    COLORS,
    TWO,
    Clip,
    Door,
    Refused,
    check,
    folder_named_like,
    mask,
    moving,
    rows,
    score,
    segment,
    train,
)

from oneshot_vos.videos.masks import write_mask


def anti_aliased(clip: Clip) -> None:
    clip.draw("00000.png", cv2.GaussianBlur(COLORS[TWO], (5, 5), 1.0))


def soft_grey(clip: Clip) -> None:
    clip.draw("00000.png", cv2.GaussianBlur((TWO > 0).astype(np.uint8) * 255, (5, 5), 1.0))


def half_transparent(clip: Clip) -> None:
    clip.draw("00000.png", np.dstack([COLORS[TWO], np.where(TWO, 200, 0).astype(np.uint8)]))


def photograph(clip: Clip) -> None:
    clip.draw("00000.png", np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def colours_that_clash(clip: Clip) -> None:
    """The same colour is object 2 beside the other one, and object 1 alone."""
    clip.draw("00000.png", COLORS[TWO])
    clip.draw("00001.png", COLORS[np.where(TWO == 1, 1, 0)])


def as_jpeg(clip: Clip) -> None:
    (clip.masks / "00000.png").unlink()
    clip.draw("00000.jpg", TWO * 100)


def turned(clip: Clip) -> None:
    """Every frame is stored lying and shown upright; the mask was drawn on the lying one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in clip.frames.iterdir():
        Image.open(path).save(path, exif=exif)


def said_turned(clip: Clip) -> None:
    """The mask says of itself that it is to be shown upside down, as an editor may copy it from the photograph."""
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(TWO).save(clip.masks / "00000.png", exif=exif)


def transparent_entry(clip: Clip) -> None:
    """A program has put the transparent background at index 1 of the palette, and object 1 at index 0."""
    image = Image.fromarray(np.array([1, 0, 2], np.uint8)[TWO])
    image.putpalette(bytes([250, 20, 40, 255, 255, 255, 10, 200, 250]))
    image.save(clip.masks / "00000.png", transparency=bytes([255, 0, 255]))


def blends_as_palette(clip: Clip) -> None:
    """An anti-aliased mask whose colours were counted into a palette, black first."""
    soft = cv2.GaussianBlur(COLORS[TWO], (5, 5), 1.0).reshape(-1, 3)
    table, ids = np.unique(soft // 16 * 16, axis=0, return_inverse=True)
    image = Image.fromarray(ids.reshape(TWO.shape).astype(np.uint8))
    image.putpalette(table.astype(np.uint8).tobytes())
    image.save(clip.masks / "00000.png")


def label_map(clip: Clip, *lines: str) -> None:
    (clip.masks.parent / "labelmap.txt").write_text("".join(f"{line}::\n" for line in lines), encoding="utf-8")
    clip.draw("00000.png", COLORS[TWO])


def palette_beside_label_map(clip: Clip) -> None:
    label_map(clip, "background:0,0,0", "cat:10,200,250", "dog:250,20,40")
    image = Image.fromarray(TWO)
    image.putpalette(COLORS.tobytes())
    image.save(clip.masks / "00000.png")


REFUSED = {
    "mask that says it is turned": Refused(
        said_turned,
        r"00000\.png ~ to be shown turned \(EXIF orientation 3\) ~ "
        "expected a mask as it lies over the upright frame ~ Save it again",
        (check, train, score, segment, mask),
    ),
    "palette with a transparent object": Refused(
        transparent_entry,
        r"00000\.png ~ index 1 of the palette is transparent ~ expected index 0 alone ~ Save the mask again",
        (check, train, score, segment, mask),
    ),
    "anti-aliased mask made a palette": Refused(
        blends_as_palette,
        r"00000\.png ~ nearly all form no area: an anti-aliased mask ~ expected one value per object ~ "
        "Export the mask without",
        (check, train, segment),
    ),
    "soft edges between grey ids": Refused(
        lambda clip: clip.draw("00000.png", cv2.GaussianBlur(TWO * np.uint8(100), (5, 5), 1.0)),
        r"00000\.png ~ soft \(anti-aliased\) edges ~ expected one value per object ~ Export the mask without",
        (check, train, score, segment, mask),
    ),
    "border to ignore in the second mask": Refused(
        lambda clip: clip.draw("00001.png", np.where(TWO == 2, 255, TWO).astype(np.uint8)),
        r"00001\.png ~ value 255 beside the ids \[1\]: a border ~ expected ids counted from 1 ~ Set it to 0",
        (check, train, segment),
    ),
    "nothing but a border to ignore in the second mask": Refused(
        lambda clip: clip.draw("00001.png", np.where(TWO == 2, 255, 0).astype(np.uint8)),
        r"00001\.png ~ value 255, which .*00000\.png of the same video has not ~ "
        "expected one value per object ~ Set a border to 0",
        (check, train, segment),
    ),
    "255 in one mask and 1 bit in another": Refused(
        lambda clip: [
            clip.draw("00000.png", TWO > 0),
            clip.draw("00001.png", np.where(TWO, 255, 0).astype(np.uint8)),
        ],
        r"00001\.png ~ value 255, which .*00000\.png of the same video has not ~ "
        "expected one value per object ~ save the masks in one way",
        (check, train, segment),
    ),
    "colours in one mask and ids in another": Refused(
        lambda clip: [clip.draw("00000.png", TWO), clip.draw("00001.png", COLORS[TWO])],
        r"00001\.png ~ a mask of colours, and .*00000\.png is one of ids ~ expected one form ~ "
        "Save them with one palette",
        (check, train, segment),
    ),
    "colour that the label map has not": Refused(
        lambda clip: label_map(clip, "background:0,0,0", "cat:250,20,40"),
        r"00000\.png ~ the colour \(10, 200, 250\) is not in .*labelmap\.txt ~ expected every colour there ~ "
        "Add its line",
        (check, train, score, segment, mask),
    ),
    "label map with a colour twice": Refused(
        lambda clip: label_map(clip, "background:0,0,0", "cat:250,20,40", "dog:250,20,40"),
        r"labelmap\.txt ~ the line 'dog:250,20,40::' has the colour or the label of another ~ "
        "expected each once ~ Give every label a colour",
        (check, train, score, segment, mask),
    ),
    "empty label map": Refused(
        lambda clip: label_map(clip),
        r"labelmap\.txt ~ no label in it ~ expected label:R,G,B:parts:actions ~ take it away",
        (check, train, score, segment, mask),
    ),
    "palette that contradicts the label map": Refused(
        palette_beside_label_map,
        r"00000\.png ~ index 1 of the palette is \(250, 20, 40\), which labelmap\.txt counts as 2 ~ "
        "expected both to agree ~ Save the mask as RGB",
        (check, train, segment),
    ),
    "folder with the name of a mask": Refused(
        lambda clip: [clip.put_mask("00002.png", TWO), folder_named_like(clip.masks)],
        r"00002\.png ~ a folder ~ expected an image ~ Restore the file",
    ),
    "moving picture as mask": Refused(
        lambda clip: moving(clip.masks / "00000.png", TWO, np.roll(TWO, 9, 1)),
        r"00000\.png ~ 2 pictures in one file ~ expected one per frame ~ Split the file",
        (check, train, score, segment, mask),
    ),
    "anti-aliased RGB mask": Refused(
        anti_aliased,
        r"00000\.png ~ anti-aliased RGB mask: \d+ of its \d+ colours are blends at edges, such as \( ~ "
        "expected one exact colour per object ~ "
        "Export the mask without anti-aliasing, or snap .*snap_colors=True",
    ),
    "0/255 mask with soft edges": Refused(
        soft_grey,
        r"00000\.png ~ soft \(anti-aliased\) edges ~ expected one value per object ~ "
        "Export the mask without anti-aliasing, or snap",
    ),
    "black objects on a transparent background": Refused(
        lambda clip: clip.draw("00000.png", np.dstack([np.zeros_like(TWO), np.where(TWO, 255, 0).astype(np.uint8)])),
        r"00000\.png ~ all that is not transparent is black ~ expected objects in a colour ~ Draw them so",
        (check, train, score, segment, mask),
    ),
    "half-transparent RGBA mask": Refused(
        half_transparent,
        r"00000\.png ~ \d+ half-transparent pixels ~ expected alpha 0 \(background\) or 255 ~ "
        "Export the mask without",
    ),
    "photograph as mask": Refused(
        photograph,
        r"00000\.png ~ \d+ colours in an RGB mask ~ expected one exact colour per object ~ "
        "Save object ids as palette",
    ),
    "16-bit RGB mask": Refused(
        lambda clip: cv2.imwrite(str(clip.masks / "00000.png"), np.full((48, 64, 3), 300, np.uint16)),
        r"00000\.png ~ 16-bit mask with colour ~ expected 16-bit grey, 8-bit palette or RGB ~ "
        "Save the object ids as",
    ),
    "colours that mean other ids in another mask": Refused(
        colours_that_clash,
        r"00001\.png ~ id 1 is the colour \(250, 20, 40\) here and \(10, 200, 250\) in .*00000\.png ~ "
        "expected one colour per object in all masks ~ Save the masks with one palette",
        (check, train, segment),
    ),
    "mask half the frame's size": Refused(
        lambda clip: clip.put_mask("00000.png", TWO[::2, ::2]),
        r"00000\.png ~ 32x24 pixels, but (its frame|the video) .* 64x48|32x24 pixels, but .*has 64x48 ~ "
        "expected the same size ~ [Rr]esize (it|the mask) with nearest",
    ),
    "mask drawn on the unturned picture of a turned frame": Refused(
        turned,
        r"00000\.png ~ 64x48 pixels, but .*48x64 ~ expected the same size ~ " "[Rr]esize (it|the mask) with nearest",
    ),
    "empty mask": Refused(
        lambda clip: clip.put_mask("00000.png", np.zeros_like(TWO)),
        r"00000\.png ~ no object in any mask|the mask is empty ~ expected (one|an object) ~ "
        "Draw (it|one), or (take the video out|leave it out)",
        (train, segment),
    ),
    "no mask": Refused(
        lambda clip: (clip.masks / "00000.png").unlink(),
        "walk ~ no frame has a mask|no mask in ~ expected (at least one|a PNG file of object ids) ~ "
        "Add it|Complete the folders|Draw",
    ),
    "mask saved as JPEG": Refused(
        as_jpeg,
        r"00000\.jpg ~ a mask saved as (JPEG|\.jpg) ~ expected (a )?PNG ~ "
        "Export the masks again as PNG|Complete the folders",
        (check, train, score, segment, mask),
    ),
    "JPEG that is named .png": Refused(
        lambda clip: clip.draw("00000.png", TWO * 100, "JPEG"),
        r"00000\.png ~ a mask saved as JPEG ~ expected a PNG file ~ Export the masks again as PNG",
        (check, train, score, segment, mask),
    ),
    "mask of no frame": Refused(
        lambda clip: clip.put_mask("00009.png", TWO),
        r"00009\.png ~ mask without a frame|has no frame '00009' ~ "
        r"expected (a frame named '00009'|.*00009\.jpg)|did you mean '00002' ~ "
        "Name the mask like its frame|Complete the folders",
    ),
    "two masks of one frame": Refused(
        lambda clip: clip.draw("00000.PNG", TWO),
        "00000|walk ~ several files named '00000'|frame '00000' has a mask already ~ expected one ~ "
        "Take one|Complete the folders",
    ),
    "truncated mask": Refused(
        lambda clip: clip.cut(clip.masks / "00000.png", 0.6),
        r"00000\.png ~ damaged or truncated ~ expected a mask as PNG file ~ Restore the file",
        (check, train, score, segment, mask),
    ),
    "mask of zero bytes": Refused(
        lambda clip: clip.cut(clip.masks / "00000.png", 0),
        r"00000\.png ~ empty \(0 bytes\) ~ expected a mask as PNG file ~ Restore the file",
        (check, train, score, segment, mask),
    ),
    "mask saved as an array": Refused(
        lambda clip: np.save(clip.masks / "00001.npy", TWO),
        r"00001\.npy ~ a mask saved as \.npy|not an image ~ expected (a mask as )?PNG ~ "
        "Complete the folders|Restore the file",
        (check, train, score),
    ),
    "mask beside the folders of masks": Refused(
        lambda clip: write_mask(clip.masks.parent / "run.png", TWO),
        r"run\.png ~ a mask beside the folders of videos ~ left out ~ put it into the folder of its video",
        (check, train, score),
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("row", "door"), rows(REFUSED))
def test_refused(tmp_path: Path, row: Refused, door: Door) -> None:
    row.require(tmp_path, door)
