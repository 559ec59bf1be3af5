"""Score files: JSON with every per-frame value, of DAVIS and of YouTube-VOS, and CSV tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import GLOBAL_NAMES, ObjectScores, SequenceScores, SetResult
from oneshot_vos.evaluation.youtube import MEASURES, CategorisedScores, YouTubeResult
from oneshot_vos.files import read_json, taken_apart, write_json, write_text

_DAVIS, _YOUTUBE = "oneshot-vos scores 1", "oneshot-vos youtube scores 1"
_REMEDY = "Run `evaluate` again"


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
            "format": _DAVIS,
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
    if not isinstance(value, Mapping) or value.get("format") != _DAVIS:
        raise UserError(f"{origin}: no scores of this program; expected the format '{_DAVIS}'. {_REMEDY}")
    with taken_apart(origin, "the scores of a set", _REMEDY):
        sequences = tuple(_sequence_from_json(name, entry) for name, entry in value["sequences"].items())
        return SetResult(sequences, float(value["tolerance"]))


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


def save_youtube_result(path: Path, result: YouTubeResult) -> None:
    """Write `result` as JSON, atomically; floats keep every bit."""
    write_json(
        path,
        {
            "format": _YOUTUBE,
            "tolerance": result.tolerance,
            "global": result.summary,
            "counts": result.counts,
            "categories": {
                group: sorted({scored.category for scored in result.objects if scored.seen == seen})
                for group, seen in (("seen", True), ("unseen", False))
            },
            "unscored": list(result.unscored),
            "objects": [_object_to_json(scored) for scored in result.objects],
        },
    )


def load_youtube_result(path: Path) -> YouTubeResult:
    """Read what `save_youtube_result` wrote; `UserError` for any other file."""
    content = read_json(path, "the scores of a set of YouTube-VOS")
    if not is_youtube_result(content):
        raise UserError(f"{path}: no scores of YouTube-VOS; expected the format '{_YOUTUBE}'. {_REMEDY}")
    with taken_apart(path, "the scores of a set of YouTube-VOS", _REMEDY):
        objects = tuple(_object_from_json(entry) for entry in content["objects"])
        return YouTubeResult(objects, tuple(content["unscored"]), float(content["tolerance"]))


def is_youtube_result(content: object) -> bool:
    """Whether a JSON document is of this kind, and not the scores of a DAVIS set."""
    return isinstance(content, Mapping) and content.get("format") == _YOUTUBE


def write_youtube_csv(folder: Path, set_name: str, result: YouTubeResult) -> tuple[Path, Path]:
    """Write `global_results-SET.csv`, the five numbers, and `per-object_results-SET.csv`; returns both paths.

    Fractions with three decimals, as in the official tables of DAVIS; a number that is not defined is empty.
    """
    global_path, object_path = (folder / f"{kind}_results-{set_name}.csv" for kind in ("global", "per-object"))
    summary = result.summary
    values = ["" if (value := summary[name]) is None else f"{value:.3f}" for name in MEASURES]
    write_text(global_path, f"{','.join(MEASURES)}\n{','.join(values)}\n")
    rows = [
        f"{scored.video}_{scored.scores.id},{scored.category},{'seen' if scored.seen else 'unseen'},"
        f"{len(scored.frames)},"
        f"{scored.scores.region.mean:.3f},{scored.scores.contour.mean:.3f}\n"
        for scored in result.objects
    ]
    write_text(object_path, "Object,Category,Group,Frames,J-Mean,F-Mean\n" + "".join(rows))
    return global_path, object_path


def _object_to_json(scored: CategorisedScores) -> dict[str, Any]:
    return {
        "video": scored.video,
        "id": scored.scores.id,
        "category": scored.category,
        "seen": scored.seen,
        "frames": list(scored.frames),
        "J": {"mean": scored.scores.region.mean, "per_frame": list(scored.scores.j)},
        "F": {"mean": scored.scores.contour.mean, "per_frame": list(scored.scores.f)},
    }


def _object_from_json(entry: Mapping[str, Any]) -> CategorisedScores:
    scores = ObjectScores(int(entry["id"]), tuple(entry["J"]["per_frame"]), tuple(entry["F"]["per_frame"]))
    return CategorisedScores(entry["video"], entry["category"], entry["seen"], tuple(entry["frames"]), scores)
