"""Frames that most deserve a mask, as the search for doubtful frames lists them in `next.csv`, best first."""

import csv
from pathlib import Path

from oneshot_vos.errors import UserError

COLUMNS = ("video", "frame", "why")
Suggestions = dict[str, dict[str, str]]  # by video: frames in order of rank, and why


def read_suggestions(path: Path) -> Suggestions:
    """The suggested frames of a CSV file with at least `COLUMNS`. Raises `UserError` if it is no such file."""
    expected = f"a CSV file with the columns {', '.join(COLUMNS)}"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            rows, columns = list(table), table.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected {expected}. Check the name") from error
    if not set(COLUMNS) <= set(columns) or any(row[column] is None for row in rows for column in COLUMNS):
        raise UserError(f"{path}: columns {', '.join(columns) or 'none'}; expected {expected}. Make it again")
    found: Suggestions = {}
    for row in rows:
        found.setdefault(row["video"], {})[row["frame"]] = row["why"]
    return found
