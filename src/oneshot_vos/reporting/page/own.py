"""The page of own videos: a card for each, where the masks are least certain, and how the adaptation went."""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from oneshot_vos.files import replacing_folder
from oneshot_vos.reporting.canvas import Pixels, save_jpeg, spaced
from oneshot_vos.reporting.overlay import COLOURS, drawn, fit_height
from oneshot_vos.reporting.own_results import (
    NEXT,
    WHOLE,
    OwnVideo,
    Suggestion,
    read_adaptation,
    read_suggestions,
    read_videos,
    results_folder,
)
from oneshot_vos.reporting.page.charts import Chart, Series, hexadecimal, line_chart
from oneshot_vos.reporting.page.writing import write_page
from oneshot_vos.videos.frames import open_frames
from oneshot_vos.videos.masks import read_mask

_log = logging.getLogger(__name__)
_HEIGHT = 360  # of pictures, in pixels
_PICTURES = 24  # per video that has no overlay to play


@dataclass
class _Page:
    """What has been gathered for the page so far; files go below `folder`."""

    folder: Path
    charts: dict[str, Chart] = field(default_factory=dict)
    films: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_own_report(folder: Path) -> Path:
    """Write `folder/report/index.html` from what `adapt` or `segment-all` left in `folder`; returns its path.

    What is missing is left out: overlays, confidences, suggested frames, the record of the adaptation. A folder
    without any video, and a damaged file, raise `UserError`. A report that was there is replaced.
    """
    results = results_folder(folder)
    videos = sorted(read_videos(results), key=lambda video: video.lowest)
    suggestions = read_suggestions(results / NEXT) if (results / NEXT).is_file() else []
    adaptation = read_adaptation(folder)
    with replacing_folder(folder / "report") as target:
        page = _Page(target)
        cards = [
            _card(page, number, video, [each for each in suggestions if each.video == video.name])
            for number, video in enumerate(videos, 1)
        ]
        if adaptation:
            _add_adaptation(page, adaptation)
        names = {card["video"].name: card["name"] for card in cards}
        values = {
            "title": folder.resolve().name,
            "cards": cards,
            "totals": {
                "frames": sum(len(video.frames) for video in videos),
                "masks": sum(len(video.given) for video in videos),
            },
            "suggestions": [{"card": names[each.video], "frame": each} for each in suggestions if each.video in names],
            "adaptation": adaptation,
            "agreements": (adaptation or {}).get("videos", {}),
        }
        write_page(target, "own.html", charts=page.charts, films=page.films, values=values)
    index = folder / "report/index.html"
    _log.info("%s: the page of %d video(s)", index, len(videos))
    return index


def _card(page: _Page, number: int, video: OwnVideo, suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """One video; its files lie in a folder with a number, since names may be anything."""
    name = f"video-{number:04}"
    inner = page.folder / name
    inner.mkdir()
    places = {name: t for t, name in enumerate(video.frames)}
    suggested = [(each, places[each.frame]) for each in suggestions if each.frame in places]
    start = places.get(video.given[0], 0) if video.given else 0
    wanted = {start, *(t for _, t in suggested)}
    rate = None
    if video.overlay:
        shutil.copyfile(video.overlay, inner / "overlay.mp4")
        rate = _rate(video.overlay)
    else:
        wanted |= set(spaced(len(video.frames), _PICTURES))
    pictures: dict[int, str] = {}
    for t, picture in _pictures(video, sorted(wanted)):
        save_jpeg(inner / f"{t:06}.jpg", picture)
        pictures[t] = f"{name}/{t:06}.jpg"
    if video.frames and (rate or pictures):
        page.films[name] = _film(video, pictures, rate, start)
    if video.confidence:
        page.charts[name] = _confidence_chart(video)
    return {
        "name": name,
        "video": video,
        "overlay": f"{name}/overlay.mp4" if rate else None,
        "poster": pictures.get(start, next(iter(pictures.values()), None)),
        "suggestions": [(each, pictures.get(t)) for each, t in suggested],
    }


def _film(video: OwnVideo, pictures: Mapping[int, str], rate: float | None, start: int) -> dict[str, Any]:
    """What the slider of a video moves through: its overlay of that rate, or pictures by frame."""
    if rate:
        return {"kind": "video", "rate": rate, "names": video.frames, "start": start}
    return {
        "kind": "pictures",
        "names": [video.frames[t] for t in pictures],
        "columns": [list(pictures.values())],
        "start": list(pictures).index(start) if start in pictures else 0,
    }


def _rate(path: Path) -> float | None:
    """Frames per second of a video; None if it cannot be read."""
    try:
        with av.open(f"file:{path}") as container:
            rate = container.streams.video[0].average_rate
            return float(rate) if rate else None
    except (av.FFmpegError, IndexError):
        return None


def _pictures(video: OwnVideo, times: Sequence[int]) -> Iterable[tuple[int, Pixels]]:
    """Frames `times` (rising) with their masks: drawn over the frames that were read, else taken from the overlay."""
    if video.source and video.source.is_dir():
        source = open_frames(video.source)
        if tuple(source.names) == video.frames:
            for t, frame in zip(times, source.read(times), strict=True):
                yield t, drawn(frame, read_mask(video.mask(video.frames[t])), video.objects, _HEIGHT)
            return
    if video.overlay:
        yield from (
            (t, fit_height(picture, min(_HEIGHT, len(picture)))) for t, picture in _decoded(video.overlay, set(times))
        )


def _decoded(path: Path, times: set[int]) -> Iterable[tuple[int, Pixels]]:
    """Some frames of a video file."""
    try:
        with av.open(f"file:{path}") as container:
            for t, frame in enumerate(container.decode(video=0)):
                if t in times:
                    yield t, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                if t >= max(times):
                    return
    except (av.FFmpegError, IndexError) as error:
        _log.info("%s: not readable (%s); its pictures are left out", path, error)


def _confidence_chart(video: OwnVideo) -> Chart:
    """Confidence in percent over frame names: the whole frame, every object, and which masks were given."""

    def percent(number: int) -> list[float | None]:
        return [None if value is None else 100 * value for value in video.confidence[number]]

    objects = [number for number in sorted(video.confidence) if number != WHOLE]
    lines = [
        Series(f"object {number}", video.frames, percent(number), hexadecimal(COLOURS[place % len(COLOURS)]), width=1.5)
        for place, number in enumerate(objects)
        if len(objects) > 1 or WHOLE not in video.confidence
    ]
    if WHOLE in video.confidence:
        lines.append(Series("all objects", video.frames, percent(WHOLE), width=2.5))
    given = [frame for frame in video.given if frame in video.frames]
    lines.append(Series("given mask", given, [100.0] * len(given), "#d55e00", points=True))
    chart = line_chart(lines, x="frame", y="confidence, %", y_range=(0.0, 104.0))
    order = {"type": "category", "categoryorder": "array", "categoryarray": list(video.frames)}
    chart["layout"]["xaxis"] |= {**order, "nticks": 8, "tickangle": 0}
    return chart


def _add_adaptation(page: _Page, adaptation: Mapping[str, Any]) -> None:
    """Agreement and loss over the iterations of every round."""
    rounds = adaptation.get("rounds", [])
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
    for key, y in (("agreement", "agreement, %"), ("loss", "loss")):
        scale = 100 if key == "agreement" else 1
        lines = []
        for index, each in enumerate(rounds):
            points = each.get(key) or []
            values = [None if value is None else scale * value for _, value in points]
            name = f"round {each.get('round', index + 1)}"
            lines.append(Series(name, [at for at, _ in points], values, colours[index % len(colours)]))
        if any(line.xs for line in lines):
            page.charts[key] = line_chart(lines, x="iteration", y=y)
