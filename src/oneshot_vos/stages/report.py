"""Stage `report`: the page to look at, of everything that the profile measured.

Tables beside the paper's, curves, sequences one by one, hardware and commands.
"""

from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from oneshot_vos.files import replacing_folder, write_text
from oneshot_vos.params import Params
from oneshot_vos.reporting.comparison import paper_tables
from oneshot_vos.reporting.figures import network_name
from oneshot_vos.reporting.markdown import runs_markdown, shows_youtube, table_markdown, variants_markdown
from oneshot_vos.reporting.page.curves import curve_charts, plot_tables, read_losses, repeated_scores
from oneshot_vos.reporting.page.scenes import chosen_runs, draw_scene, extremes, read_scores, sequence_charts
from oneshot_vos.reporting.page.writing import write_page
from oneshot_vos.reporting.progress import EXPLANATION, takeoff_table
from oneshot_vos.reporting.results import Results, read_results
from oneshot_vos.reporting.summary import in_short, labels_table, training_table
from oneshot_vos.videos.index import read_index


def run(
    params: Params,
    metrics: Path,
    masks: Path,
    labels: Path,
    curves: Path,
    probes: Path,
    sets: Path,
    server_scores: Path,
    out: Path,
) -> None:
    """Write `out/index.html` and all it needs, and `out/plots/*.csv` for `dvc plots`, from the run list.

    What has not been run is left out of the charts and reads so in the tables. `server_scores` are the scores that the
    YouTube-VOS server gave; they are read if the profile has such a set.
    """
    results = read_results(params, metrics, labels, curves, probes, server_scores)
    videos = {name: read_index(sets / f"{name}.json") for name in results.sets}
    losses, repeated = read_losses(results, curves), repeated_scores(results, metrics)
    charts = curve_charts(results, losses, repeated)
    with replacing_folder(out) as folder:
        films: dict[str, Any] = {}
        shown_sets, shown = [], chosen_runs(results)
        for name in results.sets:
            scores = read_scores(results, metrics, name)
            charts |= sequence_charts(results, scores, name, shown)
            archives = {each.run: masks / each.run / f"{name}.zip" for each in shown}
            archives = {run: path for run, path in archives.items() if path.exists()}
            by_name = {video.name: video for video in videos[name]}
            scenes = []
            for kind, sequences in zip(("worst", "best"), extremes(scores, shown, len(results.sets)), strict=True):
                for sequence in sequences if archives else ():
                    key = f"scene-{len(films):02}"
                    films[key] = draw_scene(folder, key, by_name[sequence], shown, scores, archives)
                    scenes.append({"key": key, "kind": kind, "sequence": sequence})
            shown_sets.append({"name": name, "scenes": scenes})
        values = {
            "title": f"Results, profile {results.profile}",
            "networks": {network: network_name(network) for network in results.runs["network"].unique()},
            "sets": shown_sets,
            **_texts(results),
            "commands": list(results.trainings["command"].dropna()),
        }
        write_page(folder, "pipeline.html", charts=charts, films=films, values=values)
        for name, table in plot_tables(results, losses, repeated).items():
            write_text(
                folder / f"plots/{name}.csv", table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
            )


def _texts(results: Results) -> dict[str, Any]:
    """What the tables stage writes as Markdown, as HTML."""
    tables = paper_tables(results)
    shown = [number for number in tables if number != 2 or shows_youtube(results)]
    return {
        "short": _html(in_short(results, tables[1])),
        "tables": {number: _html(table_markdown(tables[number], results)) for number in shown},
        "runs": _html(runs_markdown(results)),
        "seeds": _html(variants_markdown(results)),
        "takeoff": _html(takeoff_table(results.runs, results.takeoff)),
        "explanation": EXPLANATION,
        "labels": _html(labels_table(results.labels)),
        "trainings": _html(training_table(results.trainings)),
    }


def _html(markdown: str) -> Markup:
    """Markdown of our tables as HTML; a wide table scrolls by itself, and with the keyboard."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    html = html.replace("<table>", '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  # rendered without HTML of the source
