"""The tables as Markdown: one block per evaluated set, ours and the paper's numbers in columns of their own."""

from collections.abc import Mapping, Sequence

from oneshot_vos.reporting.experiments import Experiment, Table1Row, ratio_to_full
from oneshot_vos.reporting.labels import LabelCounts
from oneshot_vos.reporting.published import PUBLISHED_SETS, PublishedSet, published_set
from oneshot_vos.reporting.results import COPY_FIRST, MEASURES, RunResult, SetScores, Spread, reproduce
from oneshot_vos.reporting.text import NOT_RUN, markdown_table, mean_and_spread, percent, signed

_TITLES = {"JF": "J&F", "J": "J", "F": "F"}


def table1_markdown(rows: Sequence[Table1Row], sets: Sequence[str], labels: LabelCounts, profile: str) -> str:
    """One block per evaluated set, then the printed numbers of the sets that were not evaluated, then the commands."""
    blocks = []
    for name in sets:
        printed = published_set(name)
        blocks.append(_beside_paper(rows, name, printed, labels) if printed else _ours_alone(rows, name, labels))
    evaluated = [published_set(name) for name in sets]
    absent = [printed for printed in PUBLISHED_SETS if printed not in evaluated]
    if absent:
        blocks.append(_paper_alone(rows, absent))
    blocks.append(_commands(rows, profile))
    return "\n\n".join(blocks)


def _beside_paper(rows: Sequence[Table1Row], name: str, published: PublishedSet, labels: LabelCounts) -> str:
    size = _size(rows, name)
    lines = [f"### {published.title} (`{name}`)", ""]
    if size and size[0] != published.sequences:
        lines += [
            f"Ours: {size[0]} of the set's {published.sequences} sequences, {size[1]} objects. The printed numbers are "
            f"over all {published.sequences}, so no difference is given.",
            "",
        ]
    header = ["method", "supervision", "paper: labels %", *(f"paper: {title}" for title in _TITLES.values())]
    header += ["ours: labels %", *(f"ours: {title}" for title in _TITLES.values()), "difference J&F", "seeds"]
    table = []
    for row in rows:
        cells = [row.method, row.supervision, percent(row.published.labels_percent if row.published else None)]
        cells += [percent(row.printed(published.name, measure)) for measure in MEASURES]
        table.append([*cells, *_our_cells(row, name, labels, signed(row.difference(name, "JF")))])
    return "\n".join([*lines, markdown_table(header, table, left=2)])


def _ours_alone(rows: Sequence[Table1Row], name: str, labels: LabelCounts) -> str:
    size = _size(rows, name)
    over = f": {size[0]} sequences, {size[1]} objects" if size else ""
    header = ["method", "supervision", "ours: labels %", *(f"ours: {title}" for title in _TITLES.values()), "seeds"]
    table = [[row.method, row.supervision, *_our_cells(row, name, labels)] for row in rows if row.ours is not None]
    return f"### `{name}`{over} (ours; not in the paper)\n\n" + markdown_table(header, table, left=2)


def _our_cells(row: Table1Row, name: str, labels: LabelCounts, *before_seeds: str) -> list[str]:
    """Labels, J&F, J, F, what is given, seeds; all blank for a system that the paper only cites."""
    if row.ours is None:
        return ["", "", "", "", *before_seeds, ""]
    scored = row.ours.scored_on(name)
    used = percent(labels.percent(scored[0].spec.labels)) if scored else ""
    scores = [mean_and_spread(row.ours.score(name, measure), NOT_RUN) for measure in MEASURES]
    seeds = ", ".join(str(run.spec.seed) for run in scored)
    waiting = len(row.ours.runs) - len(scored)
    if scored and waiting:
        seeds += f" ({waiting} {NOT_RUN})"
    return [used, *scores, *before_seeds, seeds]


def _size(rows: Sequence[Table1Row], name: str) -> tuple[int, int] | None:
    sizes = [row.ours.sizes(name) for row in rows if row.ours]
    return next((size for size in sizes if size), None)


def _paper_alone(rows: Sequence[Table1Row], sets: Sequence[PublishedSet]) -> str:
    header = ["method", "labels %", *(f"{printed.title} {title}" for printed in sets for title in _TITLES.values())]
    table = []
    for row in rows:
        if row.published:
            cells = [percent(row.printed(printed.name, measure)) for printed in sets for measure in MEASURES]
            table.append([row.method, percent(row.published.labels_percent), *cells])
    return (
        "### Printed in the paper (Table 1), not measured here\n\nThis profile does not evaluate these sets.\n\n"
        f"{markdown_table(header, table)}"
    )


def _commands(rows: Sequence[Table1Row], profile: str) -> str:
    """What makes each of our rows; for a row without a run, what the list of runs would need."""
    table = []
    for row in rows:
        if row.ours is None:
            continue
        names = [run.spec.name for run in row.ours.runs]
        table += [[row.method, f"`{name}`", f"`{reproduce(name)}`"] for name in names]
        if not names:
            table.append([row.method, "not in the list of runs", ""])
    listing = markdown_table(["method", "run", "command"], table, left=3)
    return f"### Commands\n\nWith `profile: {profile}` in `params.yaml`:\n\n{listing}"


def runs_markdown(
    results: Sequence[RunResult],
    baseline: Mapping[str, SetScores],
    rows: Sequence[Table1Row],
    sets: Sequence[str],
    labels: LabelCounts,
) -> str:
    """Every run of the list and the baseline that repeats the first mask; `of full` is J&F over full supervision's."""
    header = ["run", "backward", "init", "seed", "labels %"]
    header += [f"{name} {title}" for name in sets for title in (*_TITLES.values(), "of full")]
    table = []
    for result in results:
        run = result.spec
        cells = [run.name, run.backward, run.init, str(run.seed), percent(labels.percent(run.labels))]
        for name in sets:
            cells += _run_cells(result.scores.get(name))
            score = result.scores.get(name)
            ratio = ratio_to_full(run, score.scores["JF"], name, rows) if score else None
            cells.append("" if ratio is None else f"{ratio:.3f}")
        table.append(cells)
    copied = [f"{COPY_FIRST} (repeats the first mask)", "", "", "", ""]
    for name in sets:
        copied += [*_run_cells(baseline.get(name)), ""]
    return markdown_table(header, [*table, copied], left=3)


def _run_cells(scores: SetScores | None) -> list[str]:
    return [percent(scores.scores[measure]) if scores else NOT_RUN for measure in MEASURES]


def variants_markdown(grouped: Sequence[Experiment], rows: Sequence[Table1Row], sets: Sequence[str]) -> str:
    """Experiments with more than one seed: J&F as mean and sample standard deviation; empty text if there are none."""
    table = []
    for experiment in grouped:
        if len(experiment.runs) < 2:
            continue
        spec = experiment.runs[0].spec
        cells = [spec.model, spec.backward, spec.init, " ".join(map(str, experiment.seeds)) or NOT_RUN]
        for name in sets:
            score = experiment.score(name, "JF")
            ratio = ratio_to_full(spec, score.mean, name, rows) if score else None
            cells += [_counted(score, experiment, name), "" if ratio is None else f"{ratio:.3f}"]
        table.append(cells)
    if not table:
        return ""
    header = ["model", "backward", "init", "seeds", *(text for name in sets for text in (f"{name} J&F", "of full"))]
    return markdown_table(header, table, left=4)


def _counted(score: Spread | None, experiment: Experiment, name: str) -> str:
    text = mean_and_spread(score)
    scored = len(experiment.scored_on(name))
    return text if scored in (0, len(experiment.runs)) else f"{text} ({scored} of {len(experiment.runs)} runs)"
