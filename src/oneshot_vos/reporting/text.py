"""Tables and numbers as text: CSV for programs, Markdown for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

NOT_RUN = "not run"


def csv_text(table: pd.DataFrame) -> str:
    """CSV with one header line; floats with two decimals, those of columns `…_of_full` with four; empty if missing."""
    decimals = {name: 4 if str(name).endswith("_of_full") else 2 for name in table}
    cells = {name: [_cell(value, decimals[name]) for value in table[name]] for name in table}
    return pd.DataFrame(cells, columns=table.columns).to_csv(index=False, lineterminator="\n")


def _cell(value: Any, decimals: int) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)


def markdown_table(columns: Mapping[str, Sequence[str]], left: int = 1) -> str:
    """A Markdown table of columns by title; the first `left` are aligned left, the others right."""
    table = pd.DataFrame({name: [text.replace("|", "\\|") for text in cells] for name, cells in columns.items()})
    if table.empty:
        return ""
    align = ["left" if index < left else "right" for index in range(len(columns))]
    return table.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)


def number(value: float | None, form: str = ".1f", absent: str = "") -> str:
    """One decimal, as papers print scores; `form` `+.1f` for differences."""
    return absent if value is None or pd.isna(value) else f"{value:{form}}"


def mean_and_spread(mean: float | None, deviation: float | None, absent: str = NOT_RUN, form: str = ".1f") -> str:
    """`72.4 ± 0.8`, or `72.4` for a single seed."""
    spread = number(deviation, form)
    return number(mean, form, absent) + (f" ± {spread}" if spread else "")


def duration(seconds: float) -> str:
    """Wall time as a person says it: `45 s`, `12 min 5 s`, `3 h 20 min`."""
    total = round(seconds)
    hours, minutes = divmod(total // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {total % 60} s" if minutes else f"{total} s"
