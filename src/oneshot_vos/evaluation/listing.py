"""Scores as a table for the terminal: a line per sequence, the worst first."""

from collections.abc import Sequence

from tabulate import tabulate

from oneshot_vos.evaluation.results import SetResult

_MOST = 16  # sequences
SHOWN = {"J&F": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}


def sequence_table(result: SetResult) -> str:
    """J&F, J and F in percent of up to 16 sequences, worst first, and the means over all objects of the set."""
    scored = sorted((each for each in result.sequences if each.objects), key=lambda each: each.summary["J&F-Mean"])
    rows = [(each.name, str(len(each.objects)), each.summary) for each in scored[:_MOST]]
    objects = str(sum(len(each.objects) for each in scored))
    cells = [(name, count, *numbers(summary)) for name, count, summary in rows]
    if len(scored) > _MOST:
        cells.append((f"… and {len(scored) - _MOST} better", "", "", "", ""))
    cells.append((f"all {len(scored)}", objects, *numbers(result.summary)))
    return text_table(("sequence", "objects", *SHOWN), cells)


def text_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose first column is aligned left, the others right."""
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=align)


def numbers(summary: dict[str, float]) -> tuple[str, str, str]:
    """J&F, J and F of a summary, in percent with one decimal."""
    j_and_f, j, f = (f"{100 * summary[name]:.1f}" for name in SHOWN.values())
    return j_and_f, j, f
