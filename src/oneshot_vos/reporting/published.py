"""The numbers printed in the paper's tables, as they stand there, in percent.

They live in `paper_tables/table1.csv` … `table4.csv`. A score column is named `<set>.<measure>`. Nothing in this
package copies such a number into a column of measured scores: `PublishedRow` and the measured `RunResult` are
different types, and tables keep them in different columns.

In Table 2 the one-shot rows have J_seen > F_seen and F_unseen < J_unseen, against every other system of the table:
`J_unseen` and `F_seen` are most likely swapped in print. The numbers are kept as printed and carry a note. In Table 1
the J&F of FEELVOS, STM and CFBI on DAVIS 2017 differ from the mean of their J and F by 0.2 to 0.6; kept as well.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from oneshot_vos.errors import UserError

TABLES = (1, 2, 3, 4)


@dataclass(frozen=True)
class PublishedSet:
    """An evaluation set of Table 1: its name in the data files, its title, and how many sequences it has."""

    name: str
    title: str
    sequences: int


# Scores over fewer sequences are not comparable with the printed ones.
DAVIS16 = PublishedSet("davis16", "DAVIS 2016 val", 20)
DAVIS17 = PublishedSet("davis17", "DAVIS 2017 val", 30)
PUBLISHED_SETS = (DAVIS16, DAVIS17)
# What params.yaml calls them.
_NAMES: Mapping[str, PublishedSet] = {
    "davis16": DAVIS16,
    "davis16-val": DAVIS16,
    "davis17": DAVIS17,
    "davis17-val": DAVIS17,
}


def published_set(name: str) -> PublishedSet | None:
    """The set of the paper that the evaluation set `name` of params.yaml stands for; None if the paper has none."""
    return _NAMES.get(name)


@dataclass(frozen=True)
class PublishedRow:
    """One printed row. `scores[set][measure]` is in percent; a measure the paper leaves out is absent."""

    method: str
    network: str | None  # stcn, xmem or cutie; None for the systems that the paper only cites
    supervision: str  # full | one_shot
    labels_percent: float | None  # None where the table does not print it (Tables 3 and 4)
    strategy: str | None
    init: str | None  # static | backbone, Tables 3 and 4
    scores: Mapping[str, Mapping[str, float]]
    note: str


def published_table(number: int) -> tuple[PublishedRow, ...]:
    """The rows of Table `number` (1 to 4) in the paper's order."""
    if number not in TABLES:
        raise UserError(f"the paper has no table {number} of scores; known: {', '.join(map(str, TABLES))}")
    source = files("oneshot_vos.reporting").joinpath("paper_tables", f"table{number}.csv")
    return tuple(_row(cells) for cells in csv.DictReader(source.read_text(encoding="utf-8").splitlines()))


def _row(cells: Mapping[str, str]) -> PublishedRow:
    scores: dict[str, dict[str, float]] = {}
    for column, text in cells.items():
        if "." in column and text:
            name, measure = column.split(".")
            scores.setdefault(name, {})[measure] = float(text)
    labels = cells.get("labels_percent")
    return PublishedRow(
        method=cells["method"],
        network=cells["network"] or None,
        supervision=cells["supervision"],
        labels_percent=float(labels) if labels else None,
        strategy=cells.get("strategy") or None,
        init=cells.get("init") or None,
        scores=scores,
        note=cells.get("note", ""),
    )
