"""Training curves as tab-separated files, one per value, as `dvc plots` reads them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from oneshot_vos.files import replacing_folder

_PLACE = "plots/metrics/train"  # below the folder of a training's curves


def write_curves(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write `folder/plots/metrics/train/<name>.tsv` with the columns `step` and `<name>` for every value of `rows`.

    A row is what was logged after one iteration, `row["iteration"]`. What was in `folder` before is replaced at once.
    """
    names = dict.fromkeys(name for row in rows for name in row if name != "iteration")
    with replacing_folder(folder) as temporary:
        (temporary / _PLACE).mkdir(parents=True)
        for name in names:
            with (temporary / _PLACE / f"{name}.tsv").open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
                writer.writerow(["step", name])
                writer.writerows([int(row["iteration"]), row[name]] for row in rows if name in row)
