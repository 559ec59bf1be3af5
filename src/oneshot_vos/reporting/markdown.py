"""The tables as Markdown: one block per evaluated set, ours and the paper's numbers in columns of their own."""

from collections.abc import Sequence

from oneshot_vos.reporting.comparison import Table, TableRow
from oneshot_vos.reporting.experiments import Experiment, experiments
from oneshot_vos.reporting.labels import LabelCounts
from oneshot_vos.reporting.published import PUBLISHED_SETS, PublishedSet, published_set
from oneshot_vos.reporting.report import Report
from oneshot_vos.reporting.results import COPY_FIRST, MEASURES, SetScores, Spread, reproduce
from oneshot_vos.reporting.statements import statements
from oneshot_vos.reporting.text import NOT_RUN, markdown_table, mean_and_spread, percent, signed

_TITLES = {"JF": "J&F", "J": "J", "F": "F"}


def table1_markdown(report: Report) -> str:
    """One block per evaluated set, then the printed numbers of the sets that were not evaluated, then the commands."""
    blocks = []
    for name in report.sets:
        printed = published_set(name)
        blocks.append(
            _beside_paper(report.table1, name, printed, report.labels)
            if printed
            else _ours_alone(report.table1, name, report.labels)
        )
    evaluated = [published_set(name) for name in report.sets]
    absent = [printed for printed in PUBLISHED_SETS if printed not in evaluated]
    if absent:
        blocks.append(_paper_alone(report.table1.rows, absent))
    blocks.append(_commands(report.table1.rows, report.profile))
    return "\n\n".join(blocks)


def _beside_paper(table: Table, name: str, published: PublishedSet, labels: LabelCounts) -> str:
    header = ["method", "supervision", "paper: labels %", *(f"paper: {title}" for title in _TITLES.values())]
    header += ["ours: labels %", *(f"ours: {title}" for title in _TITLES.values()), "difference J&F", "seeds"]
    cells = []
    for row in table.rows:
        printed = [percent(row.published.labels_percent if row.published else None)]
        printed += [percent(row.printed(published.name, measure)) for measure in MEASURES]
        ours = _our_cells(row, name, signed(row.difference(name, "JF")))
        cells.append([row.method, row.supervision, *printed, _labels_cell(row, name, labels), *ours])
    parts = [
        f"### {published.title} (`{name}`)",
        *_partial(table, name, published),
        markdown_table(header, cells, left=2),
    ]
    return "\n\n".join(parts)


def _partial(table: Table, name: str, published: PublishedSet) -> list[str]:
    """A warning if our scores are over a part of the published set."""
    size = table.sizes(name)
    if size is None or size[0] == published.sequences:
        return []
    return [
        f"Ours: {size[0]} of the set's {published.sequences} sequences, {size[1]} objects. The printed numbers are "
        f"over all {published.sequences}, so no difference is given."
    ]


def _ours_alone(table: Table, name: str, labels: LabelCounts) -> str:
    header = ["method", "supervision", "ours: labels %", *(f"ours: {title}" for title in _TITLES.values()), "seeds"]
    cells = [
        [row.method, row.supervision, _labels_cell(row, name, labels), *_our_cells(row, name)]
        for row in table.rows
        if row.ours is not None
    ]
    return f"### `{name}`{_over(table, name)} (ours; not in the paper)\n\n" + markdown_table(header, cells, left=2)


def _over(table: Table, name: str) -> str:
    size = table.sizes(name)
    return f": {size[0]} sequences, {size[1]} objects" if size else ""


def _labels_cell(row: TableRow, name: str, labels: LabelCounts) -> str:
    scored = row.ours.scored_on(name) if row.ours else ()
    return percent(labels.percent(scored[0].spec.labels)) if scored else ""


def _our_cells(row: TableRow, name: str, *before_seeds: str) -> list[str]:
    """J&F, J, F, what is given, seeds; all blank for a system that the paper only cites."""
    if row.ours is None:
        return ["", "", "", *before_seeds, ""]
    scored = row.ours.scored_on(name)
    scores = [mean_and_spread(row.ours.score(name, measure), NOT_RUN) for measure in MEASURES]
    seeds = ", ".join(str(run.spec.seed) for run in scored)
    waiting = len(row.ours.runs) - len(scored)
    if scored and waiting:
        seeds += f" ({waiting} {NOT_RUN})"
    return [*scores, *before_seeds, seeds]


def _paper_alone(rows: Sequence[TableRow], sets: Sequence[PublishedSet]) -> str:
    header = ["method", "labels %", *(f"{printed.title} {title}" for printed in sets for title in _TITLES.values())]
    cells = []
    for row in rows:
        if row.published:
            numbers = [percent(row.printed(printed.name, measure)) for printed in sets for measure in MEASURES]
            cells.append([row.method, percent(row.published.labels_percent), *numbers])
    return (
        "### Printed in the paper (Table 1), not measured here\n\nThis profile does not evaluate these sets.\n\n"
        f"{markdown_table(header, cells)}"
    )


def _commands(rows: Sequence[TableRow], profile: str) -> str:
    """What makes each of our rows; for a row without a run, what the list of runs would need."""
    cells = []
    for row in rows:
        if row.ours is None:
            continue
        names = [run.spec.name for run in row.ours.runs]
        cells += [[row.method, f"`{name}`", f"`{reproduce(name)}`"] for name in names]
        if not names:
            cells.append([row.method, "not in the list of runs", ""])
    listing = markdown_table(["method", "run", "command"], cells, left=3)
    return f"### Commands\n\nWith `profile: {profile}` in `params.yaml`:\n\n{listing}"


def ablation_markdown(table: Table, report: Report) -> str:
    """Table 3 or 4: one block per evaluated set, each with what the table compares, in numbers."""
    blocks = [f"{table.title[0].upper()}{table.title[1:]}."]
    blocks += [_ablation_block(table, name, report.baseline.get(name)) for name in report.sets]
    return "\n\n".join(blocks)


def _ablation_block(table: Table, name: str, baseline: SetScores | None) -> str:
    published, comparable = table.published_sets[0], table.corresponds(name)
    parts = [f"### {published.title} (`{name}`)" if comparable else f"### `{name}`{_over(table, name)}"]
    if comparable:
        parts += _partial(table, name, published)
    else:
        parts.append(
            f"The paper's columns are over {published.title}, other videos: not comparable, so no difference is given; "
            "only the order of the rows can be set against ours."
        )
    header = ["method", "strategy", "pretraining", *(f"paper: {title}" for title in _TITLES.values())]
    header += [*(f"ours: {title}" for title in _TITLES.values()), *(["difference J&F"] if comparable else []), "seeds"]
    cells = []
    for row in table.rows:
        printed = [percent(row.printed(published.name, measure)) for measure in MEASURES]
        ours = _our_cells(row, name, *([signed(row.difference(name, "JF"))] if comparable else []))
        cells.append([row.method, row.supervision, "static" if row.init == "static" else "none", *printed, *ours])
    lines = statements(table, name, baseline.scores["JF"] if baseline else None)
    return "\n\n".join([*parts, markdown_table(header, cells, left=3), "\n".join(lines)])


def runs_markdown(report: Report) -> str:
    """Every run of the list and the baseline that repeats the first mask; `of full` is J&F over full supervision's."""
    header = ["run", "strategy", "init", "seed", "labels %"]
    header += [f"{name} {title}" for name in report.sets for title in (*_TITLES.values(), "of full")]
    table = []
    for result in report.runs:
        run = result.spec
        cells = [run.name, run.strategy, run.init, str(run.seed), percent(report.labels.percent(run.labels))]
        for name in report.sets:
            score = result.scores.get(name)
            ratio = report.ratio_to_full(run, score.scores["JF"], name) if score else None
            cells += [*_run_cells(score), "" if ratio is None else f"{ratio:.3f}"]
        table.append(cells)
    copied = [f"{COPY_FIRST} (repeats the first mask)", "", "", "", ""]
    for name in report.sets:
        copied += [*_run_cells(report.baseline.get(name)), ""]
    listing = markdown_table(header, [*table, copied], left=3)
    apart = [f"`{spec.name}`" for spec in report.specs if not spec.comparable]
    if not apart:
        return listing
    return (
        f"{listing}\n\nNot comparable with the others: {', '.join(apart)}. Trained with an empty reference mask and "
        "given one here too, so it is told of no object; all objects count as one. In no table of the paper."
    )


def _run_cells(scores: SetScores | None) -> list[str]:
    return [percent(scores.scores[measure]) if scores else NOT_RUN for measure in MEASURES]


def variants_markdown(report: Report) -> str:
    """Experiments with more than one seed: J&F as mean and sample standard deviation; empty text if there are none."""
    table = []
    for experiment in experiments(report.runs).values():
        if len(experiment.runs) < 2:
            continue
        spec = experiment.runs[0].spec
        cells = [spec.network, spec.strategy, spec.init, " ".join(map(str, experiment.seeds)) or NOT_RUN]
        for name in report.sets:
            score = experiment.score(name, "JF")
            ratio = report.ratio_to_full(spec, score.mean, name) if score else None
            cells += [_counted(score, experiment, name), "" if ratio is None else f"{ratio:.3f}"]
        table.append(cells)
    if not table:
        return ""
    header = ["network", "strategy", "init", "seeds"]
    header += [text for name in report.sets for text in (f"{name} J&F", "of full")]
    return markdown_table(header, table, left=4)


def _counted(score: Spread | None, experiment: Experiment, name: str) -> str:
    text = mean_and_spread(score)
    scored = len(experiment.scored_on(name))
    return text if scored in (0, len(experiment.runs)) else f"{text} ({scored} of {len(experiment.runs)} runs)"
