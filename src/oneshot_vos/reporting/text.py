"""Tables as text: CSV for programs, Markdown for people."""

import csv
import io
from collections.abc import Sequence

from oneshot_vos.reporting.results import Spread

NOT_RUN = "not run"
Cell = str | int | float | None


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """CSV with one header line; floats with two decimals, None as an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.2f}" if isinstance(cell, float) else cell for cell in row])
    return stream.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are aligned left, the others right."""
    rule = ["---" if index < left else "---:" for index in range(len(header))]
    cells = [header, rule, *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in cells)


def percent(value: float | None, absent: str = "") -> str:
    """One decimal, as papers print scores."""
    return absent if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """A difference in percentage points, with its sign."""
    return "" if value is None else f"{value:+.1f}"


def mean_and_spread(value: Spread | None, absent: str = NOT_RUN, digits: int = 1) -> str:
    """`72.4 ± 0.8`, or `72.4` for a single seed."""
    if value is None:
        return absent
    text = f"{value.mean:.{digits}f}"
    return text if value.deviation is None else f"{text} ± {value.deviation:.{digits}f}"


def duration(seconds: float) -> str:
    """Wall time as a person says it: `45 s`, `12 min 5 s`, `3 h 20 min`."""
    total = round(seconds)
    hours, minutes = divmod(total // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {total % 60} s" if minutes else f"{total} s"
