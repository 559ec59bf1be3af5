"""Score files: the official tool's CSV tables, and JSON with every per-frame value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import GLOBAL_NAMES, ObjectScores, SequenceScores, SetResult
from oneshot_vos.files import read_json, write_json, write_text

FORMAT = "oneshot-vos scores 1"


def write_official_csv(folder: Path, set_name: str, result: SetResult) -> tuple[Path, Path]:
    """Write `global_results-SET.csv` and `per-sequence_results-SET.csv` as davis2017-evaluation does, to the byte.

    Existing files are replaced. Returns both paths.
    """
    global_path = folder / f"global_results-{set_name}.csv"
    sequence_path = folder / f"per-sequence_results-{set_name}.csv"
    write_text(global_path, global_csv(result))
    write_text(sequence_path, per_sequence_csv(result))
    return global_path, sequence_path


def global_csv(result: SetResult) -> str:
    """The seven global numbers with three decimals, one header line."""
    summary = result.summary
    values = ",".join(f"{summary[name]:.3f}" for name in GLOBAL_NAMES)
    return f"{','.join(GLOBAL_NAMES)}\n{values}\n"


def per_sequence_csv(result: SetResult) -> str:
    """J-Mean and F-Mean with three decimals, one row per object: `<sequence>_<id>`."""
    rows = [
        f"{sequence.name}_{scores.id},{scores.region.mean:.3f},{scores.contour.mean:.3f}\n"
        for sequence in result.sequences
        for scores in sequence.objects
    ]
    return "Sequence,J-Mean,F-Mean\n" + "".join(rows)


def save_result(path: Path, result: SetResult) -> None:
    """Write everything in `result` as JSON, atomically; floats keep every bit."""
    write_json(
        path,
        {
            "format": FORMAT,
            "tolerance": result.tolerance,
            "global": result.summary,
            "sequences": {sequence.name: _sequence_to_json(sequence) for sequence in result.sequences},
        },
    )


def load_result(path: Path) -> SetResult:
    """Read what `save_result` wrote."""
    return from_json(read_json(path, "the scores of a set"), path)


def from_json(value: Mapping[str, Any], origin: Path) -> SetResult:
    """The scores in a document that was read from `origin`."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise UserError(f"{origin}: no scores of this program; expected the format '{FORMAT}'. Run `evaluate` again")
    try:
        sequences = tuple(_sequence_from_json(name, entry) for name, entry in value["sequences"].items())
        return SetResult(sequences, float(value["tolerance"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{origin}: incomplete scores ({error!r}); run `evaluate` again") from error


def _sequence_to_json(sequence: SequenceScores) -> dict[str, Any]:
    objects = {
        str(scores.id): {
            name: {**summary._asdict(), "per_frame": list(values)}
            for name, summary, values in (("J", scores.region, scores.j), ("F", scores.contour, scores.f))
        }
        for scores in sequence.objects
    }
    return {"summary": sequence.summary, "frames": list(sequence.frames), "objects": objects}


def _sequence_from_json(name: str, entry: Mapping[str, Any]) -> SequenceScores:
    objects = (
        ObjectScores(int(key), tuple(scores["J"]["per_frame"]), tuple(scores["F"]["per_frame"]))
        for key, scores in entry["objects"].items()
    )
    return SequenceScores(name, tuple(entry["frames"]), tuple(objects))
