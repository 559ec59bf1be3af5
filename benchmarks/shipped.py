"""Score the network that ships on DAVIS sequences, from their first masks alone, and draw its best and worst.

    python benchmarks/shipped.py DAVIS --out FOLDER [--images JPEGImages/480p] [--annotations Annotations/480p]
                                 [--single-object]

The same as `oneshot-vos segment-all DAVIS --images … --annotations … --first-only --no-overlay --out FOLDER/masks` and
`oneshot-vos score DAVIS/Annotations/480p FOLDER/masks`; `--single-object` is for DAVIS 2016. Rerun to resume. FOLDER
gets `scores.csv`, `scores.txt` and `sequences.jpg`: the three worst sequences and the two best, four frames each.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from oneshot_vos.files import write_text
from oneshot_vos.reporting.canvas import Row, grid
from oneshot_vos.reporting.overlay import draw_mask, fit_height, fit_ids
from oneshot_vos.stages import score, segment
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import read_mask

HEIGHT, COLUMNS, WORST, BEST = 150, 4, 3, 2
COLOUR = (255, 64, 64)


def row(frames: Path, masks: Path, label: tuple[str, ...]) -> Row:
    """Frames from the first to the last, evenly spaced, with what was found in them."""
    files = sorted(file for file in frames.iterdir() if file.is_file())
    chosen = [files[t] for t in np.linspace(0, len(files) - 1, COLUMNS).round().astype(int)]
    panels = []
    for file in chosen:
        ids = fit_ids(read_mask(masks / f"{file.stem}.png"), HEIGHT)
        panels.append(draw_mask(fit_height(read_frame(file), HEIGHT), ids, COLOUR))
    return Row(label, tuple(panels), tuple(file.stem for file in chosen))


def main() -> None:
    """Segment, score, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", default="JPEGImages/480p")
    parser.add_argument("--annotations", default="Annotations/480p")
    parser.add_argument("--single-object", action="store_true")
    arguments = parser.parse_args()
    davis, out = arguments.davis, arguments.out
    options = segment.Options(overlay=False)
    segment.run_all(davis, arguments.images, arguments.annotations, None, None, out / "masks", options, first_only=True)
    truth = davis / arguments.annotations
    table = score.run(truth, out / "masks", out / "scores.csv", single_object=arguments.single_object)
    write_text(out / "scores.txt", table + "\n")
    print(table)
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        numbers = [line for line in csv.DictReader(file) if line["object"] == "all" and line["sequence"] != "all"]
    ranked = sorted(numbers, key=lambda line: float(line["J&F-Mean"]))
    shown = ranked[:WORST] + ranked[-BEST:] if len(ranked) > WORST + BEST else ranked
    rows = [
        row(
            davis / arguments.images / line["sequence"],
            out / "masks" / line["sequence"] / "masks",
            (line["sequence"], f"J&F {100 * float(line['J&F-Mean']):.1f}"),
        )
        for line in shown
    ]
    grid("The network that ships, from the first mask: its worst and its best sequences", rows, height=HEIGHT).save(
        out / "sequences.jpg", quality=85
    )


if __name__ == "__main__":
    main()
