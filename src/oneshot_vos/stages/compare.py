"""Command `compare`: two sets of scores, sequence by sequence. It stands outside the pipeline."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.listing import text_table
from oneshot_vos.evaluation.score_files import from_json, is_youtube_result, load_youtube_result
from oneshot_vos.files import read_json
from oneshot_vos.params import load_params
from oneshot_vos.registry import suggest

Scores = dict[tuple[str, str], float]  # J&F in percent of an object, by its sequence and its id
_CSV = "the table that `oneshot-vos score --csv` writes"
_CURVE = "curve.json"  # scores over training, beside those of the sets


def run(first: str, second: str, params: Path, profile: str | None, set_name: str | None) -> str:
    """Tables of J&F per sequence of two runs, and what the second has more; the largest loss first, means last.

    first, second: runs by name, whose scores lie in `results/<profile>/metrics`; or folders of such scores; or files,
    one of those or what `score --csv` writes. set_name: the set; None: a table for every set that both have.
    """
    found = [_sets(text, params, profile) for text in (first, second)]
    names = ["A", "B"] if max(len(first), len(second)) > 24 or first == second else [first, second]
    legend = "" if names[0] == first else f"A: {first}\nB: {second}\n\n"
    tables = [
        (f"{title}\n" if title else "") + _table(_read(one), _read(other), names)
        for title, one, other in _pairs(found[0], found[1], (first, second), set_name)
    ]
    return legend + "\n\n".join(tables)


def _sets(text: str, params: Path, profile: str | None) -> dict[str, Path]:
    """The files of scores by set; a CSV or JSON file that is named itself has the set ''."""
    path = Path(text).expanduser()
    if path.is_file():
        return {"": path}
    if path.is_dir():
        return _folder(path)
    if path.suffix in (".csv", ".json") or len(path.parts) > 1:
        raise UserError(f"{path}: not found; expected scores: a run, a folder of metrics, or a file. Check the name")
    metrics = Path("results") / (profile or load_params(params, None).profile_name) / "metrics"
    if not (metrics / text).is_dir():
        known = [entry.name for entry in metrics.glob("*") if entry.is_dir()] if metrics.is_dir() else []
        near = suggest(text, known) if known else "no run is scored there."
        raise UserError(
            f"{metrics / text}: no scores of a run '{text}'; {near} What is missing is made by: dvc repro evaluate@RUN"
        )
    return _folder(metrics / text)


def _folder(folder: Path) -> dict[str, Path]:
    files = {file.stem: file for file in sorted(folder.glob("*.json")) if file.name != _CURVE}
    if not files:
        raise UserError(
            f"{folder}: no scores in it; expected <set>.json of the stage `evaluate`. Name the folder of one run"
        )
    return files


def _pairs(
    one: Mapping[str, Path], other: Mapping[str, Path], texts: tuple[str, str], set_name: str | None
) -> Iterable[tuple[str, Path, Path]]:
    """What to compare: a title, and two files. A file stands for any set; for all of a folder's, if that has one."""
    if set_name is not None:
        for sets, text in zip((one, other), texts, strict=True):
            if set_name not in sets and "" not in sets:
                raise UserError(f"{text}: no scores of a set '{set_name}'; {suggest(set_name, sets)}")
        first, second = (sets[set_name if set_name in sets else ""] for sets in (one, other))
        return [(set_name, first, second)]
    if "" in one or "" in other:
        for sets, text in zip((one, other), texts, strict=True):
            if len(sets) > 1:
                raise UserError(f"{text}: scores of {len(sets)} sets; expected --set with one of {', '.join(sets)}")
        return [("", next(iter(one.values())), next(iter(other.values())))]
    both = [name for name in one if name in other]
    if not both:
        raise UserError(
            f"{texts[0]} and {texts[1]}: no set in common ({', '.join(one)}; {', '.join(other)}); expected scores of "
            "one set"
        )
    return [(name, one[name], other[name]) for name in both]


def _read(path: Path) -> Scores:
    """The scores in a file of any kind."""
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    content = read_json(path, "the scores of a set, written by the stage `evaluate`")
    if is_youtube_result(content):
        scored = [(each.video, each.scores) for each in load_youtube_result(path).objects]
    else:
        scored = [(each.name, entry) for each in from_json(content, path).sequences for entry in each.objects]
    return {(name, str(entry.id)): 50.0 * (entry.region.mean + entry.contour.mean) for name, entry in scored}


def _read_csv(path: Path) -> Scores:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["object"] != "all"]
        scores = {(row["sequence"], row["object"]): 100.0 * float(row["J&F-Mean"]) for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: not readable ({error}); expected {_CSV}. Write it again") from error
    if not scores:
        raise UserError(f"{path}: no scores in it; expected {_CSV}. Write it again")
    return scores


def _table(one: Scores, other: Scores, names: list[str]) -> str:
    """The sequences that both have, over the objects that both have; then the means, and who lacks what."""
    both = [key for key in one if key in other]
    if not both:
        raise UserError("no sequence is scored on both sides; expected scores of the same set")
    sequences: dict[str, list[tuple[str, str]]] = {}
    for key in both:
        sequences.setdefault(key[0], []).append(key)
    rows = [_row(name, keys, one, other) for name, keys in sequences.items()]
    rows.sort(key=lambda row: row[-1])
    rows.append(_row(f"mean over {len(both)} object{'s' if len(both) > 1 else ''}", both, one, other))
    cells = [(name, objects, f"{a:.1f}", f"{b:.1f}", f"{difference:+.1f}") for name, objects, a, b, difference in rows]
    text = text_table(("sequence", "objects", *names, "difference"), cells)
    better, worse = (sum(row[-1] * sign >= 0.05 for row in rows[:-1]) for sign in (1, -1))
    lines = [text, f"{names[1]} is better on {better} of {len(rows) - 1} sequences, worse on {worse}"]
    for there, lacking, name in ((one, other, names[1]), (other, one, names[0])):
        missing = [f"{sequence} {number}" for sequence, number in there if (sequence, number) not in lacking]
        if missing:
            more = ", …" if len(missing) > 5 else ""
            lines.append(f"without scores in {name}, left out: {', '.join(missing[:5])}{more}")
    return "\n".join(lines)


def _row(name: str, keys: list[tuple[str, str]], one: Scores, other: Scores) -> tuple[str, int, float, float, float]:
    a, b = (fmean(scores[key] for key in keys) for scores in (one, other))
    return name, len(keys), a, b, b - a
