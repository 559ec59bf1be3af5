"""Sequences, one by one: scores of all runs side by side, and pictures of the worst and the best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from oneshot_vos.evaluation.results import SequenceScores
from oneshot_vos.evaluation.score_files import load_result
from oneshot_vos.reporting.canvas import Pixels, save_jpeg, spaced
from oneshot_vos.reporting.figures import Ids, find_run, network_name, predicted, true_mask
from oneshot_vos.reporting.overlay import drawn
from oneshot_vos.reporting.page.charts import Chart, Dash, Series, bar_chart, hexadecimal
from oneshot_vos.reporting.page.curves import GREY, REPEATED
from oneshot_vos.reporting.progress import colour_of, label_of
from oneshot_vos.reporting.results import COPY_FIRST, EXPERIMENT, Results, select
from oneshot_vos.videos.images import read_frame
from oneshot_vos.videos.masks import object_ids
from oneshot_vos.videos.video import Video

SEQUENCES, FRAMES, HEIGHT = 6, 12, 200  # at most: of all sets together, per sequence, pixels

Scores = Mapping[str, Mapping[str, SequenceScores]]  # by run and sequence


@dataclass(frozen=True)
class Shown:
    """A run whose masks are shown, and what the page calls it; runs of one network stand side by side."""

    run: str
    network: str
    title: str


def read_scores(results: Results, metrics: Path, name: str) -> dict[str, dict[str, SequenceScores]]:
    """Scores of set `name` by run and sequence, of all runs that have any, the repeated first mask among them."""
    paths = {run: metrics / run / f"{name}.json" for run in (*results.runs["run"], COPY_FIRST)}
    return {
        run: {sequence.name: sequence for sequence in load_result(path).sequences}
        for run, path in paths.items()
        if path.exists()
    }


def chosen_runs(results: Results) -> list[Shown]:
    """Full supervision and one-shot training of each network, after pretraining, first seeds."""
    chosen = []
    for network in results.runs["network"].unique():
        one_shot = results.table1_strategy.get(network, "one_shot")
        for strategy, title in (("full", "full"), (one_shot, "one-shot")):
            run = find_run(results.runs, network, strategy, "static")
            if run:
                chosen.append(Shown(run, network, f"{network_name(network)}, {title}"))
    return chosen


def sequence_charts(results: Results, scores: Scores, name: str, shown: Sequence[Shown]) -> dict[str, Chart]:
    """`sequences-<set>-<network>`: J&F of every sequence, a bar per experiment (mean over seeds)."""
    charts = {}
    names = sorted({sequence for found in scores.values() for sequence in found})
    visible = {each.run for each in shown}
    for network in results.runs["network"].unique():
        bars = []
        for _, group in select(results.runs, network=network, comparable=True).groupby(EXPERIMENT, sort=False):
            runs = [run for run in group["run"] if run in scores]
            if not runs:
                continue
            first = group.sort_values("seed").iloc[0].to_dict()
            means = [_mean([scores[run] for run in runs], sequence) for sequence in names]
            colour = hexadecimal(colour_of(first["strategy"]))
            dash: Dash = "dash" if first["init"] == "backbone" else "solid"
            label, present = label_of({**first, "seed": 0}), not visible.isdisjoint(runs)
            bars.append(Series(label, names, means, colour, dash, shown=present))
        if bars and COPY_FIRST in scores:
            bars.append(Series(REPEATED, names, [_mean([scores[COPY_FIRST]], each) for each in names], GREY))
        if bars:
            charts[f"sequences-{name}-{network}"] = bar_chart(names, bars, x="sequence", y="J&F, %")
    return charts


def _mean(found: Sequence[Mapping[str, SequenceScores]], sequence: str) -> float | None:
    """J&F of a sequence in percent, the mean over runs that have a score of it."""
    values = [100 * each[sequence].summary["J&F-Mean"] for each in found if sequence in each]
    return fmean(values) if values else None


def extremes(scores: Scores, shown: Sequence[Shown], sets: int) -> tuple[list[str], list[str]]:
    """The worst and the best sequences by mean J&F of the runs shown, as many as the page has room for."""
    runs = [scores[each.run] for each in shown if each.run in scores]
    means = {name: _mean(runs, name) for found in runs for name in found}
    ranked = sorted(means, key=lambda name: (means[name] or 0.0, name))
    room = max(1, SEQUENCES // 2 // sets)
    worst = ranked[:room]
    return worst, [name for name in reversed(ranked[-room:]) if name not in worst]


def draw_scene(
    folder: Path, prefix: str, video: Video, shown: Sequence[Shown], scores: Scores, archives: Mapping[str, Path]
) -> dict[str, Any]:
    """Pictures of one sequence below `folder`: the truth, then each run; what its slider moves through.

    groups: which columns stand side by side.

    prefix: names the files. archives: masks by run; runs without are left out.
    """
    times = [video.labelled[index] for index in spaced(len(video.labelled), FRAMES)]
    truth = [(read_frame(video.frames[t]), true_mask(video, t)) for t in times]
    objects = sorted({number for _, ids in truth for number in object_ids(ids)})

    def save(name: str, pairs: Iterable[tuple[Pixels, Ids]]) -> list[str]:
        paths = [f"scenes/{prefix}-{name}-{index:02}.jpg" for index in range(len(times))]
        for path, (frame, ids) in zip(paths, pairs, strict=True):
            save_jpeg(folder / path, drawn(frame, ids, objects, HEIGHT))
        return paths

    columns, notes, titles = [save("truth", truth)], [[""] * len(times)], ["truth"]
    groups: dict[str, list[int]] = {"": [0]}
    for number, each in enumerate(shown):
        if each.run not in archives:
            continue
        groups.setdefault(each.network, []).append(len(columns))
        columns.append(save(str(number), predicted(archives[each.run], video, times)))
        notes.append(_notes(scores.get(each.run, {}).get(video.name), [video.stem(t) for t in times]))
        score = _mean([scores.get(each.run, {})], video.name)
        titles.append(each.title if score is None else f"{each.title}: J&F {score:.1f}")
    return {
        "kind": "pictures",
        "names": [video.stem(t) for t in times],
        "start": len(times) // 2,
        "columns": columns,
        "notes": notes,
        "titles": titles,
        "groups": list(groups.values()),
    }


def _notes(scores: SequenceScores | None, frames: Sequence[str]) -> list[str]:
    """J of each frame, the mean over objects; nothing where it is not scored."""
    if scores is None or not scores.objects:
        return [""] * len(frames)
    j = {frame: 100 * fmean(each.j[t] for each in scores.objects) for t, frame in enumerate(scores.frames)}
    return [f"J {j[frame]:.1f} here" if frame in j else "" for frame in frames]
