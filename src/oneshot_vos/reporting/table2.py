"""Table 2: YouTube-VOS, ours beside the paper's numbers.

Ours come from two places, which the table keeps apart. Scores on the validation sets are the server's, as somebody
entered them (`server_scores`), and are marked `server`. Scores on the held-out part of the training set are computed
here, are marked `local`, and stand in a table of their own, since they are over other videos than the paper's.

The paper's numbers stand as printed. Its one-shot rows have F_S below J_S, against every other row: F_S and J_U are
most likely swapped in print. Both carry a mark, and no difference to them is given; G, the mean of the four, is not
touched by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.youtube import MEASURES
from oneshot_vos.evaluation.youtube_files import load_youtube_result
from oneshot_vos.files import write_json, write_text
from oneshot_vos.reporting.comparison import TABLE1_STRATEGY
from oneshot_vos.reporting.labels import LabelCounts, read_label_counts
from oneshot_vos.reporting.published import PublishedRow, published_table
from oneshot_vos.reporting.results import RunSpec, Spread, parse_runs, reproduce, spread
from oneshot_vos.reporting.server_scores import ServerScore, read_server_scores
from oneshot_vos.reporting.text import NOT_RUN, Cell, csv_text, markdown_table, mean_and_spread, percent, signed

SERVER, LOCAL = "server", "local"
SERVER_SETS = {"youtube18": "YouTube-VOS 2018 val", "youtube19": "YouTube-VOS 2019 val"}
NOT_SUBMITTED = "no server score"
SWAPPED = ("F_seen", "J_unseen")
_MARK = "†"
_SWAP_NOTE = (
    f"{_MARK} As printed. In the paper's one-shot rows F_S and J_U are most likely swapped: they have F_S below J_S, "
    "which no other row has. No difference to these two is given; G is the mean of all four either way."
)
_SERVER_NOTE = (
    "Ours are scores of the benchmark's server, entered by hand: the ground truth of this set is not public, so "
    "nothing is computed here."
)
_LOCAL_NOTE = (
    "Computed here, on training videos that were held out, with the measures of the benchmark. They are over other "
    "videos than the paper's numbers and are not to be compared with them."
)
_TITLES = {"G": "G", "J_seen": "J_S", "F_seen": "F_S", "J_unseen": "J_U", "F_unseen": "F_U"}


@dataclass(frozen=True)
class LocalScores:
    """Scores of one run on a held-out set: percent by measure (None: no object of that group), and their counts."""

    scores: Mapping[str, float | None]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Table2Row:
    """One row: the printed numbers, and our runs of that experiment; `runs` is None for systems only cited."""

    method: str
    network: str | None
    supervision: str  # full, or the strategy of one-shot training
    published: PublishedRow | None
    runs: tuple[RunSpec, ...] | None

    def printed(self, name: str, measure: str) -> float | None:
        """The paper's number for its set `name`, in percent."""
        return self.published.scores.get(name, {}).get(measure) if self.published else None

    def suspicious(self, measure: str) -> bool:
        """Whether the printed number is most likely in the wrong column."""
        return self.published is not None and "swapped" in self.published.note and measure in SWAPPED


@dataclass(frozen=True)
class Table2:
    """The rows, and every score of our runs: the server's by (run, set), our own by set and run."""

    rows: tuple[Table2Row, ...]
    server: Mapping[tuple[str, str], ServerScore]
    local: Mapping[str, Mapping[str, LocalScores]]
    labels: LabelCounts
    profile: str
    submits: bool = True  # whether the profile segments a validation set, whose masks the server scores

    @property
    def note(self) -> str:
        """What to say of a profile that can have no score here; empty text for others."""
        return "" if self.submits or self.local else no_youtube(self.profile)

    def server_scores(self, row: Table2Row, name: str) -> list[ServerScore]:
        """The server's scores of the row's runs on set `name`."""
        return [self.server[run.name, name] for run in row.runs or () if (run.name, name) in self.server]

    def from_server(self, row: Table2Row, name: str, measure: str) -> Spread | None:
        """Mean over the row's runs that were handed in."""
        return spread([each.scores[measure] for each in self.server_scores(row, name)])

    def difference(self, row: Table2Row, name: str, measure: str) -> float | None:
        """The server's score minus the paper's in percentage points; None for numbers that are most likely swapped."""
        ours, printed = self.from_server(row, name, measure), row.printed(name, measure)
        return None if ours is None or printed is None or row.suspicious(measure) else ours.mean - printed

    def local_scores(self, row: Table2Row, name: str) -> list[LocalScores]:
        """Our own scores of the row's runs on the held-out set `name`; they must be over the same objects."""
        found = {run.name: self.local[name][run.name] for run in row.runs or () if run.name in self.local[name]}
        if len({tuple(sorted(each.counts.items())) for each in found.values()}) > 1:
            raise UserError(
                f"set '{name}': {' and '.join(found)} were scored on different numbers of videos or objects; their "
                "mean would mean nothing. Run their evaluate stages again"
            )
        return list(found.values())

    def from_here(self, row: Table2Row, name: str, measure: str) -> Spread | None:
        """Mean over the row's runs that were scored on the held-out set `name`."""
        values = [each.scores[measure] for each in self.local_scores(row, name)]
        return spread([value for value in values if value is not None])


def collect_table2(
    runs: Mapping[str, Mapping[str, Any]],
    metrics_dir: Path,
    labels_dir: Path,
    held_out_sets: Sequence[str],
    profile: str,
    server_file: Path | None,
    strategy: Mapping[str, str] = TABLE1_STRATEGY,
) -> Table2:
    """Everything that Table 2 shows.

    `runs` is the list of params.yaml, `metrics_dir`/<run>/<set>.json the scores of the held-out sets, `server_file` the
    server's scores (it may be absent; None: the profile has no set that the server scores), `labels_dir` as in
    `labels.read_label_counts`, `strategy` the strategy that stands for one-shot training, per network.
    """
    specs = parse_runs(runs)
    server = read_server_scores(server_file, list(runs)) if server_file else ()
    local = {
        name: {
            spec.name: _read_local(path)
            for spec in specs
            if (path := metrics_dir / spec.name / f"{name}.json").exists()
        }
        for name in held_out_sets
    }
    return Table2(
        _rows(specs, {**TABLE1_STRATEGY, **strategy}),
        {(each.run, each.set): each for each in server},
        local,
        read_label_counts(labels_dir),
        profile,
        submits=server_file is not None,
    )


def no_youtube(profile: str) -> str:
    """What Table 2 and Figure 5 say where they have nothing of ours to show."""
    return f"The profile `{profile}` evaluates no set of YouTube-VOS."


def _read_local(path: Path) -> LocalScores:
    result = load_youtube_result(path)
    scores = {name: None if value is None else 100.0 * value for name, value in result.summary.items()}
    return LocalScores(scores, result.counts)


def _rows(specs: Sequence[RunSpec], strategy: Mapping[str, str]) -> tuple[Table2Row, ...]:
    """The paper's rows in its order, then networks that the paper does not have. Ours are after static pretraining."""
    rows = []
    for printed in published_table(2):
        supervision = "full" if printed.supervision == "full" else strategy[printed.network or ""]
        runs = _runs_of(specs, printed.network, supervision) if printed.network else None
        rows.append(Table2Row(printed.method, printed.network, supervision, printed, runs))
    for network in dict.fromkeys(spec.network for spec in specs):
        if network not in TABLE1_STRATEGY:
            for method, supervision in ((network, "full"), (f"1-shot {network}", strategy.get(network, "two_step"))):
                rows.append(Table2Row(method, network, supervision, None, _runs_of(specs, network, supervision)))
    return tuple(rows)


def _runs_of(specs: Sequence[RunSpec], network: str, supervision: str) -> tuple[RunSpec, ...]:
    wanted = (network, supervision, "every" if supervision == "full" else "first", "static")
    return tuple(spec for spec in specs if spec.variant == wanted)


def write_table2(table: Table2, out_dir: Path) -> None:
    """Write `table2.csv` (every number), `table2.json` (the same, nested) and `table2.md` (for people)."""
    write_text(out_dir / "table2.csv", csv_text(*table2_csv(table)))
    write_json(out_dir / "table2.json", table2_json(table))
    write_text(out_dir / "table2.md", f"# Table 2, profile `{table.profile}`\n\n{table2_markdown(table)}\n")


# --- Markdown -------------------------------------------------------------------------------------------------------


def table2_markdown(table: Table2) -> str:
    """One block per validation set, one per held-out set, then where the server's scores come from."""
    blocks = [table.note] if table.note else []
    blocks += [_server_block(table, name) for name in SERVER_SETS]
    blocks += [_local_block(table, name) for name in table.local]
    if table.server:
        header = ["run", "set", "date", "source"]
        listed = [[f"`{each.run}`", each.set, each.date.isoformat(), each.source] for each in table.server.values()]
        blocks.append("### Server scores\n\n" + markdown_table(header, listed, left=4))
    return "\n\n".join(blocks)


def _server_block(table: Table2, name: str) -> str:
    header = ["method", "supervision", "paper: labels %", *(f"paper: {title}" for title in _TITLES.values())]
    header += ["ours: labels %", *(f"ours ({SERVER}): {title}" for title in _TITLES.values()), "difference G", "runs"]
    lines = []
    for row in table.rows:
        printed = [_printed_text(row, name, measure) for measure in MEASURES]
        cells = [
            row.method,
            row.supervision,
            percent(row.published.labels_percent if row.published else None),
            *printed,
        ]
        lines.append([*cells, *_server_cells(table, row, name)])
    notes = f"{_SERVER_NOTE}\n\n{_SWAP_NOTE}"
    return f"### {SERVER_SETS[name]} (`{name}`)\n\n{notes}\n\n{markdown_table(header, lines, left=2)}"


def _printed_text(row: Table2Row, name: str, measure: str) -> str:
    text = percent(row.printed(name, measure))
    return f"{text} {_MARK}" if text and row.suspicious(measure) else text


def _server_cells(table: Table2, row: Table2Row, name: str) -> list[str]:
    if row.runs is None:
        return [""] * (len(MEASURES) + 3)
    scored = table.server_scores(row, name)
    used = percent(table.labels.percent(row.runs[0].labels)) if scored else ""
    scores = [mean_and_spread(table.from_server(row, name, measure), NOT_SUBMITTED) for measure in MEASURES]
    return [used, *scores, signed(table.difference(row, name, "G")), ", ".join(f"`{each.run}`" for each in scored)]


def _local_block(table: Table2, name: str) -> str:
    header = ["method", "supervision", "labels %", *(f"ours ({LOCAL}): {title}" for title in _TITLES.values()), "seeds"]
    lines, over = [], ""
    for row in table.rows:
        if row.runs is None:
            continue
        scored = table.local_scores(row, name)
        used = percent(table.labels.percent(row.runs[0].labels)) if scored else ""
        cells = [
            mean_and_spread(table.from_here(row, name, measure), "–" if scored else NOT_RUN) for measure in MEASURES
        ]
        lines.append([row.method, row.supervision, used, *cells, str(len(scored)) if scored else ""])
        if scored:
            over = _over(scored[0].counts)
    return f"### Held-out training videos (`{name}`){over}\n\n{_LOCAL_NOTE}\n\n{markdown_table(header, lines, left=2)}"


def _over(counts: Mapping[str, int]) -> str:
    return (
        f": {counts['videos']} videos, {counts['objects_seen']} objects of seen and {counts['objects_unseen']} of "
        "unseen categories"
    )


# --- files for programs ---------------------------------------------------------------------------------------------


def table2_csv(table: Table2) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows: the paper's numbers, then ours with their source, then how ours were made."""
    header = ["method", "supervision", "paper_labels_percent"]
    header += [f"paper_{name}_{measure}" for name in SERVER_SETS for measure in MEASURES]
    header += ["paper_note", "labels_percent"]
    for name in (*SERVER_SETS, *table.local):
        header += [f"{name}_{measure}{suffix}" for measure in MEASURES for suffix in ("", "_std")]
        header += [f"{name}_source"]
    header += [f"{name}_{measure}_minus_paper" for name in SERVER_SETS for measure in MEASURES]
    return [*header, "runs", "profile", "commands"], [_csv_row(table, row) for row in table.rows]


def _csv_row(table: Table2, row: Table2Row) -> list[Cell]:
    printed = row.published
    cells: list[Cell] = [row.method, row.supervision, printed.labels_percent if printed else None]
    cells += [row.printed(name, measure) for name in SERVER_SETS for measure in MEASURES]
    cells += [printed.note if printed else None, _labels_percent(table, row)]
    for name in (*SERVER_SETS, *table.local):
        spreads = [_ours(table, row, name, measure) for measure in MEASURES]
        for each in spreads:
            cells += [each.mean, each.deviation] if each else [None, None]
        source = SERVER if name in SERVER_SETS else LOCAL
        cells.append(source if any(spreads) else None)
    cells += [table.difference(row, name, measure) for name in SERVER_SETS for measure in MEASURES]
    names = [run.name for run in row.runs or ()]
    return [*cells, " ".join(names), table.profile, " && ".join(map(reproduce, names))]


def _ours(table: Table2, row: Table2Row, name: str, measure: str) -> Spread | None:
    return (table.from_server if name in SERVER_SETS else table.from_here)(row, name, measure)


def _labels_percent(table: Table2, row: Table2Row) -> float | None:
    """Percent of the training labels that the row's runs used, only where one of them has a score."""
    if not row.runs or not any(_ours(table, row, name, "J_seen") for name in (*SERVER_SETS, *table.local)):
        return None
    return table.labels.percent(row.runs[0].labels)


def table2_json(table: Table2) -> dict[str, Any]:
    """The same numbers, nested."""
    return {
        "profile": table.profile,
        "note": table.note,
        "sets": {**dict.fromkeys(SERVER_SETS, SERVER), **dict.fromkeys(table.local, LOCAL)},
        "rows": [_json_row(table, row) for row in table.rows],
        "server": [
            {"run": each.run, "set": each.set, **each.scores, "date": each.date.isoformat(), "source": each.source}
            for each in table.server.values()
        ],
    }


def _json_row(table: Table2, row: Table2Row) -> dict[str, Any]:
    printed = row.published
    ours: dict[str, Any] = {}
    for name in (*SERVER_SETS, *table.local):
        spreads = {measure: _ours(table, row, name, measure) for measure in MEASURES}
        if any(spreads.values()):
            ours[name] = {
                "source": SERVER if name in SERVER_SETS else LOCAL,
                **{measure: _json_score(each) for measure, each in spreads.items()},
            }
            if name in SERVER_SETS:
                ours[name]["minus_paper"] = {
                    measure: _rounded(table.difference(row, name, measure)) for measure in MEASURES
                }
            else:
                ours[name]["over"] = dict(table.local_scores(row, name)[0].counts)
    return {
        "method": row.method,
        "supervision": row.supervision,
        "paper": {"labels_percent": printed.labels_percent, "scores": printed.scores, "note": printed.note}
        if printed
        else None,
        "ours": {
            "labels_percent": _rounded(_labels_percent(table, row)),
            "runs": [run.name for run in row.runs],
            "scores": ours,
        }
        if row.runs is not None
        else None,
    }


def _json_score(each: Spread | None) -> dict[str, float | None] | None:
    return {"mean": _rounded(each.mean), "std": _rounded(each.deviation)} if each else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
