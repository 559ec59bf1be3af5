"""Small videos at their own size, and enlarged as `segment` does for the network that ships: J&F of both, per clip.

    python benchmarks/enlarge.py ../shared/data/train-clips ../shared/data/train-clips2 --work FOLDER [--out FILE.json]
                                 [--below 300] [--most 24]

Takes the clips whose shorter side is below `--below` pixels and that have a mask for each of 20 frames at least, the
first `--most` frames of each. Every clip is segmented from its first mask by `segment-all`, with `--short-side 0` and
without, and scored as DAVIS does. Rerun to resume.
"""

import argparse
import csv
import shutil
from pathlib import Path

from oneshot_vos.files import write_json
from oneshot_vos.stages import score, segment
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.images import frame_size

LEAST_FRAMES = 20


def collect(sources: list[Path], target: Path, below: int, most: int) -> list[str]:
    """Copy the clips to be compared into the layout of DAVIS; their names."""
    names = []
    for folder in sorted(folder for source in sources for folder in (source / "JPEGImages/480p").iterdir()):
        masks = folder.parents[2] / "Annotations/480p" / folder.name
        files = frame_files(folder)[:most]
        complete = all((masks / f"{file.stem}.png").exists() for file in files)
        if len(files) < LEAST_FRAMES or not complete or min(frame_size(files[0])) >= below:
            continue
        names.append(folder.name)
        for kind, copied in (("JPEGImages", files), ("Annotations", [masks / f"{file.stem}.png" for file in files])):
            place = target / kind / folder.name
            place.mkdir(parents=True, exist_ok=True)
            for file in copied:
                shutil.copyfile(file, place / file.name)
    return names


def scores(clips: Path, work: Path, options: segment.Options) -> dict[str, float]:
    """J&F of every clip, in percent."""
    segment.run_all(clips, "JPEGImages", "Annotations", None, None, work, options, first_only=True)
    score.run(clips / "Annotations", work, work / "scores.csv")
    with (work / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["object"] == "all"]
    return {row["sequence"]: 100 * float(row["J&F-Mean"]) for row in rows}


def main() -> None:
    """Segment twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--below", type=int, default=300)
    parser.add_argument("--most", type=int, default=24)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    clips = arguments.work / "clips"
    names = collect(arguments.sources, clips, arguments.below, arguments.most)
    plain = scores(clips, arguments.work / "plain", segment.Options(overlay=False, short_side=0))
    enlarged = scores(clips, arguments.work / "enlarged", segment.Options(overlay=False))
    for name in [*names, "all"]:
        print(f"{name:28} {plain[name]:6.1f} {enlarged[name]:6.1f} {enlarged[name] - plain[name]:+6.1f}")
    worse = [name for name in names if enlarged[name] < plain[name]]
    print(f"{len(names)} clips, {len(worse)} worse enlarged: {', '.join(worse)}")
    if arguments.out:
        rows = [{"clip": name, "plain": plain[name], "enlarged": enlarged[name]} for name in [*names, "all"]]
        write_json(arguments.out, {"below": arguments.below, "most_frames": arguments.most, "clips": rows})


if __name__ == "__main__":
    main()
