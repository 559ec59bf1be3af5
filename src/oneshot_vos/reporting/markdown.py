"""The tables as Markdown: one block per evaluated set, ours and the paper's numbers in columns of their own."""

import pandas as pd

from oneshot_vos.reporting.comparison import TITLES, Table, runs_table, swapped
from oneshot_vos.reporting.published import MEASURES, PAPER_SETS, paper_set
from oneshot_vos.reporting.results import COPY_FIRST, EXPERIMENT, SERVER, Results, select, spread
from oneshot_vos.reporting.statements import statements
from oneshot_vos.reporting.text import NOT_RUN, markdown_table, mean_and_spread, number

_SHORT = {"JF": "J&F", "J_seen": "J_S", "F_seen": "F_S", "J_unseen": "J_U", "F_unseen": "F_U"}
_MARK = "†"
_SWAP_NOTE = (
    f"{_MARK} As printed. In the paper's one-shot rows F_S and J_U are most likely swapped: they have F_S below J_S, "
    "which no other row has. No difference to these two is given; G is the mean of all four either way."
)
_SERVER_NOTE = (
    "Ours are scores of the benchmark's server, entered by hand: the ground truth of this set is not public, so "
    "nothing is computed here."
)
_HELD_OUT_NOTE = (
    "Training videos that were held out, scored here with the measures of the benchmark. They are other videos than "
    "the paper's: not to be compared with its numbers."
)


def no_youtube(profile: str) -> str:
    """What Table 2 and Figure 5 say where they have nothing of ours to show."""
    return f"The profile `{profile}` evaluates no set of YouTube-VOS."


def shows_youtube(results: Results) -> bool:
    """Whether the profile can have a score in Table 2."""
    return results.submits or bool(results.held_out)


def table_markdown(table: Table, results: Results) -> str:
    """One block per set, the printed numbers of the sets that stand in none, and what makes the scores again."""
    title = TITLES[table.number]
    parts = [f"{title[0].upper()}{title[1:]}. `of full`: as a fraction of full supervision of the same network."]
    if table.number == 2 and not shows_youtube(results):
        parts.append(no_youtube(results.profile))
    parts += [_block(table, name, results) for name in table.sets]
    shown = {_beside(table, name) for name in table.sets}
    absent = [name for name in table.paper_sets if name not in shown]
    if absent:
        parts.append(_paper_alone(table, absent))
    if table.number == 2 and len(results.server):
        server = results.server
        columns = {"run": [f"`{run}`" for run in server["run"]], **{key: list(server[key]) for key in ("set", "date")}}
        parts.append("### Server scores\n\n" + markdown_table({**columns, "source": list(server["origin"])}, left=4))
    parts.append(
        f"With `profile: {results.profile}` in `params.yaml`, `dvc repro evaluate@RUN` makes the scores of a run; "
        f"`table{table.number}.csv` names the runs of each row."
    )
    return "\n\n".join(parts)


def _beside(table: Table, name: str) -> str | None:
    """The set of the paper whose numbers stand beside ours on set `name`, if only for orientation."""
    printed = paper_set(name)
    if printed in table.paper_sets:
        return printed
    return table.paper_sets[-1] if table.number in (3, 4) and table.paper_sets else None


def _block(table: Table, name: str, results: Results) -> str:
    printed, rows = _beside(table, name), table.rows
    if printed is None:
        rows = rows[~rows["cited"]]
    same = printed is not None and paper_set(name) == printed
    sizes = select(results.scores, set=name, comparable=True)["over"].dropna()
    over = sizes.iloc[0] if len(sizes) else ""
    heading = f"{PAPER_SETS[printed].title} (`{name}`)" if printed and same else f"`{name}`{over and f': {over}'}"
    parts = [f"### {heading}", *_notes(table, name, printed, over, results), _cells(table, rows, name, printed)]
    if table.number in (3, 4):
        parts.append("\n".join(statements(results, table, name)))
    return "\n\n".join(parts)


def _notes(table: Table, name: str, printed: str | None, over: str, results: Results) -> list[str]:
    """What has to be known to set ours against the paper's."""
    if name in results.held_out:
        return [_HELD_OUT_NOTE]
    if table.number == 2:
        return [_SERVER_NOTE, _SWAP_NOTE]
    if printed is None:
        return ["Ours; not in the paper."]
    title, videos = PAPER_SETS[printed].title, PAPER_SETS[printed].videos
    if paper_set(name) != printed:
        return [f"The paper's columns are over {title}, other videos: not comparable, so no difference is given."]
    if over and select(results.scores, set=name)["videos"].iloc[0] != videos:
        return [
            f"Ours are over {over}, a part of the set: the printed numbers are over all {videos} sequences, so no "
            "difference is given."
        ]
    return []


def _cells(table: Table, rows: pd.DataFrame, name: str, printed: str | None) -> str:
    """The table of one block."""
    measures, main = table.measures, table.measures[0]
    columns = {"method": _method(rows), "strategy": list(rows["strategy"].fillna(""))}
    if table.number in (3, 4):
        columns["pretraining"] = ["none" if init == "backbone" else init for init in rows["init"]]
    left, with_labels = len(columns), "paper_labels_percent" in rows
    if printed:
        columns |= {"paper: labels %": _numbers(rows, "paper_labels_percent")} if with_labels else {}
        for measure in measures:
            marks = [f" {_MARK}" if each else "" for each in swapped(rows, measure)]
            values = _numbers(rows, f"paper_{printed}_{measure}")
            columns[f"paper: {_title(measure)}"] = [a + b for a, b in zip(values, marks, strict=True)]
    server = table.number == 2 and paper_set(name) in table.paper_sets
    ours = f"ours ({SERVER})" if server else "ours"
    if with_labels:
        scored = rows[f"{name}_seeds"].notna()
        columns["ours: labels %"] = [number(value) for value in rows["labels_percent"].where(scored)]
    for measure in measures:
        columns[f"{ours}: {_title(measure)}"] = _ours(rows, name, measure, "no server score" if server else NOT_RUN)
    if printed and paper_set(name) == printed:
        columns[f"difference {_title(main)}"] = _numbers(rows, f"{name}_{main}_minus_paper", "+.1f")
    columns["of full"] = _numbers(rows, f"{name}_of_full", ".3f")
    columns["seeds"] = [_seeds(row, name) for _, row in rows.iterrows()]
    columns["note"] = list(rows[f"{name}_note"])
    return markdown_table({key: cells for key, cells in columns.items() if key != "note" or any(cells)}, left)


def _title(measure: str) -> str:
    return _SHORT.get(measure, measure)


def _method(rows: pd.DataFrame, column: str = "method") -> list[str]:
    return [f"{name} (repeats the first mask)" if name == COPY_FIRST else name for name in rows[column]]


def _numbers(rows: pd.DataFrame, column: str, form: str = ".1f") -> list[str]:
    return [number(value, form) for value in rows[column]]


def _ours(rows: pd.DataFrame, name: str, measure: str, absent: str) -> list[str]:
    """Mean and spread; `absent` without a score, – for a group without objects, blank for systems only cited."""
    empty = rows[f"{name}_seeds"].notna().map({True: "–", False: absent}).mask(rows["cited"], "")
    values = zip(rows[f"{name}_{measure}"], rows[f"{name}_{measure}_std"], empty, strict=True)
    return [mean_and_spread(mean, spread, blank) for mean, spread, blank in values]


def _seeds(row: pd.Series, name: str) -> str:
    """The seeds that have been scored; of how many runs, where some have not."""
    if pd.isna(row[f"{name}_seeds"]):
        return ""
    scored = row[f"{name}_n"]
    waiting = 0 if pd.isna(scored) else int(row["listed"] - scored)
    return row[f"{name}_seeds"] + (f" ({waiting} {NOT_RUN})" if waiting else "")


def _paper_alone(table: Table, sets: list[str]) -> str:
    rows = table.rows[table.rows[f"paper_{sets[0]}_{table.measures[0]}"].notna()]
    columns = {"method": list(rows["method"])}
    if "paper_labels_percent" in rows:
        columns["labels %"] = _numbers(rows, "paper_labels_percent")
    for name in sets:
        for measure in table.measures:
            columns[f"{PAPER_SETS[name].title} {_title(measure)}"] = _numbers(rows, f"paper_{name}_{measure}")
    return (
        f"### Printed in the paper (Table {table.number}), not measured here\n\nThis profile does not evaluate these "
        f"sets.\n\n{markdown_table(columns)}"
    )


def runs_markdown(results: Results) -> str:
    """Every run of the list and the baseline that repeats the first mask; `of full` is J&F over full supervision's."""
    runs = runs_table(results)
    columns = {"run": _method(runs, "run"), "strategy": list(runs["strategy"]), "init": list(runs["init"])}
    columns |= {"seed": [number(seed, "d") for seed in runs["seed"]], "labels %": _numbers(runs, "labels_percent")}
    for name in results.sets:
        for measure in MEASURES:
            scores = runs[f"{name}_{measure}"]
            columns[f"{name} {_title(measure)}"] = [number(score, absent=NOT_RUN) for score in scores]
        columns[f"{name} of full"] = _numbers(runs, f"{name}_of_full", ".3f")
        if any(runs[f"{name}_note"]):
            columns[f"{name} note"] = list(runs[f"{name}_note"])
    listing = markdown_table(columns, left=3)
    apart = [f"`{run}`" for run in results.runs["run"][~results.runs["comparable"].astype(bool)]]
    if not apart:
        return listing
    return (
        f"{listing}\n\nNot comparable with the others: {', '.join(apart)}. Trained with an empty reference mask and "
        "given one here too, so it is told of no object; all objects count as one. In no table of the paper."
    )


def variants_markdown(results: Results) -> str:
    """Experiments with more than one seed: J&F as mean and sample standard deviation; empty text if there are none."""
    listed = results.runs.groupby(EXPERIMENT, sort=False)["run"].size()
    repeated = listed[listed > 1]
    columns = {key: [str(value) for value in repeated.index.get_level_values(key)] for key in EXPERIMENT}
    scores = select(results.scores, measure=MEASURES[0])
    for name in results.sets:
        found = spread(select(scores, set=name), EXPERIMENT).reindex(repeated.index)
        columns[f"{name} J&F"] = [mean_and_spread(*pair) for pair in zip(found["mean"], found["std"], strict=True)]
        columns[f"{name} runs"] = [f"{n:.0f} of {of}" for n, of in zip(found["n"].fillna(0), repeated, strict=True)]
    return markdown_table(columns, left=4)
