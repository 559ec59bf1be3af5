"""Stage `data`: make or find the sets of a profile, check every file, and write one index per set and use."""

from pathlib import Path
from typing import Any

from oneshot_vos.datasets.check import check_pairs, check_videos
from oneshot_vos.datasets.davis import read_davis
from oneshot_vos.datasets.index import write_index
from oneshot_vos.datasets.mini import generate
from oneshot_vos.datasets.pairs import write_pairs
from oneshot_vos.datasets.static import read_pairs
from oneshot_vos.datasets.video import Video
from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing_folder, write_json
from oneshot_vos.params import Data, PairsSet, Params
from oneshot_vos.registry import Registry


def run(params: Params, out: Path) -> None:
    """Write `out/{train,pretrain,evaluate}/<set>.json` and `out/report.json`; generated sets go to `out/generated`.

    Every file of every set is looked at before anything long starts; all findings come in one `UserError`.
    """
    data = params.profile.data
    out.mkdir(parents=True, exist_ok=True)
    if data.generate is None:
        (out / "generated").mkdir(exist_ok=True)
    else:
        generate(out / "generated", **data.generate.model_dump())
    report: dict[str, Any] = {"sets": {}}
    problems: list[str] = []
    for use, training in (("train", True), ("evaluate", False)):
        with replacing_folder(out / use) as folder:
            for name in getattr(data, use):
                videos = _videos(data, name)
                found = check_videos(videos, training=training)
                report["sets"][f"{use}/{name}"] = found.to_json()
                problems += [problem.message for problem in found.errors]
                # Indices are written in place of the final folder, because their paths are relative to it.
                write_index(out / use / f"{name}.json", videos)
                (out / use / f"{name}.json").rename(folder / f"{name}.json")
    with replacing_folder(out / "pretrain") as folder:
        for name in data.pretrain:
            pairs = read_pairs(_root(data, name))
            found = check_pairs(pairs)
            report["sets"][f"pretrain/{name}"] = found.to_json()
            problems += [problem.message for problem in found.errors]
            write_pairs(out / "pretrain" / f"{name}.json", pairs)
            (out / "pretrain" / f"{name}.json").rename(folder / f"{name}.json")
    if problems:
        found_in = f"{len(problems)} problem(s) in the data of profile '{params.profile_name}'"
        raise UserError("\n".join([f"{found_in}:", *problems]))
    write_json(out / "report.json", report)


def _root(data: Data, name: str) -> Path:
    root = Path(data.root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected the data sets there. Set data.root in params.yaml")
    return root / data.sets[name].path


def _videos(data: Data, name: str) -> list[Video]:
    chosen = data.sets[name]
    if isinstance(chosen, PairsSet):
        raise UserError(f"set '{name}' holds image–mask pairs; expected videos")
    listed = read_davis(
        _root(data, name),
        images=chosen.images,
        annotations=chosen.annotations,
        list_file=chosen.list_file,
        single_object=chosen.single_object,
    )
    if chosen.videos is None:
        return listed
    by_name = Registry(f"video of set '{name}'", {video.name: video for video in listed})
    return [by_name[wanted] for wanted in chosen.videos]
