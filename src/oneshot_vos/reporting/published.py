"""The numbers printed in the paper's tables, as they stand there, in percent.

They live in `paper_tables/table1.csv` … `table4.csv`. A score column is named `paper_<set>_<measure>`, so that in the
tables that are written a printed number never stands in a column of measured ones.

In Table 2 the one-shot rows have J_seen > F_seen and F_unseen < J_unseen, against every other system of the table:
`J_unseen` and `F_seen` are most likely swapped in print. The numbers are kept as printed and carry a note. In Table 1
the J&F of FEELVOS, STM and CFBI on DAVIS 2017 differ from the mean of their J and F by 0.2 to 0.6; kept as well.
"""

from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

MEASURES = ("JF", "J", "F")  # of DAVIS
SWAPPED = ("F_seen", "J_unseen")  # in the rows whose note says so


@dataclass(frozen=True)
class PaperSet:
    """An evaluation set of the paper. Scores over fewer than `videos` are not comparable with the printed ones."""

    title: str
    videos: int | None  # None: only the server scores it, as a whole


PAPER_SETS = {
    "davis16": PaperSet("DAVIS 2016 val", 20),
    "davis17": PaperSet("DAVIS 2017 val", 30),
    "youtube18": PaperSet("YouTube-VOS 2018 val", None),
    "youtube19": PaperSet("YouTube-VOS 2019 val", None),
}


def paper_set(name: str) -> str | None:
    """The set of the paper that the evaluation set `name` of a profile stands for; None if the paper has none."""
    short = name.removesuffix("-val")
    return short if short in PAPER_SETS else None


def paper_table(number: int) -> pd.DataFrame:
    """The rows of Table `number` (1 to 4) in the paper's order.

    Columns: method, network (empty for the systems that the paper only cites), supervision (full or one_shot),
    paper_labels_percent (Tables 1 and 2), strategy and init (Tables 3 and 4), paper_note (Table 2), and
    `paper_<set>_<measure>`, NaN where the paper leaves the number out.
    """
    with files("oneshot_vos.reporting").joinpath("paper_tables", f"table{number}.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return table.fillna({"network": "", "paper_note": ""})
