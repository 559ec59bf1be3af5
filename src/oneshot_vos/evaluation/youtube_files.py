"""Score files of YouTube-VOS: JSON with every per-frame value, and two CSV tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.results import ObjectScores
from oneshot_vos.evaluation.youtube import MEASURES, CategorisedScores, YouTubeResult, group_names
from oneshot_vos.files import read_json, write_json, write_text

FORMAT = "oneshot-vos youtube scores 1"


def save_youtube_result(path: Path, result: YouTubeResult) -> None:
    """Write `result` as JSON, atomically; floats keep every bit."""
    write_json(
        path,
        {
            "format": FORMAT,
            "tolerance": result.tolerance,
            "global": result.summary,
            "counts": result.counts,
            "categories": {group: list(names) for group, names in group_names(result).items()},
            "unscored": list(result.unscored),
            "objects": [_object_to_json(scored) for scored in result.objects],
        },
    )


def load_youtube_result(path: Path) -> YouTubeResult:
    """Read what `save_youtube_result` wrote; `UserError` for any other file."""
    content = read_json(path, "the scores of a set of YouTube-VOS")
    if not is_youtube_result(content):
        raise UserError(f"{path}: no scores of YouTube-VOS; expected the format '{FORMAT}'. Run `evaluate` again")
    try:
        objects = tuple(_object_from_json(entry) for entry in content["objects"])
        return YouTubeResult(objects, tuple(content["unscored"]), float(content["tolerance"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: incomplete scores ({error!r}); run `evaluate` again") from error


def is_youtube_result(content: object) -> bool:
    """Whether a JSON document is of this kind, and not the scores of a DAVIS set."""
    return isinstance(content, Mapping) and content.get("format") == FORMAT


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
