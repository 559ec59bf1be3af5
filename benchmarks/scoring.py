"""Time the scoring of six public OSVOS results on DAVIS 2016 beside the package `vos-benchmark`, in one run.

    python benchmarks/scoring.py [--repeat 3] [--out scoring.json]

Every measurement is a fresh process, so start-up and imports count. All tools read the same two folders of 8-bit
palette masks, written beforehand; the official package takes part where it is installed. J and F must agree, else the
command fails. The JSON has the best of the repetitions: wall seconds, CPU seconds (children included) and the peak
memory of the largest process. `ours-as-shipped` reads the original files instead (grey DAVIS 2016 annotations, whose
rows are filtered). Install the other tool with `pip install --no-deps vos-benchmark` and `pip install scikit-image`.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TIMEOUT = 300.0  # seconds; vos-benchmark waits for ever when one of its workers dies
POLL = 0.002  # seconds
TARGET = 6.0  # times faster than vos-benchmark, one process each

# --- what the measured processes do ---------------------------------------------------------------------------------


def score_ours(truth: Path, predictions: Path, processes: int) -> tuple[float, float]:
    """J and F of this project; ids above 0 are one object."""
    from oneshot_vos.evaluation.davis import evaluate_set
    from oneshot_vos.videos.video import Video

    videos = [
        Video(folder.name, (), {path.stem: path for path in folder.glob("*.png")}, single_object=True)
        for folder in sorted(truth.iterdir())
        if (predictions / folder.name).is_dir()
    ]
    summary = evaluate_set(videos, predictions, processes=processes).summary
    return summary["J-Mean"], summary["F-Mean"]


def score_ours_zlib(truth: Path, predictions: Path, processes: int) -> tuple[float, float]:
    """The same with the standard library's zlib, as if the package `deflate` were not installed."""
    sys.modules["deflate"] = None  # type: ignore[assignment]
    return score_ours(truth, predictions, processes)


def score_vos_benchmark(truth: Path, predictions: Path, processes: int) -> tuple[float, float]:
    """J and F of vos-benchmark, as fractions."""
    from vos_benchmark.benchmark import benchmark

    _, j, f, _ = benchmark([str(truth)], [str(predictions)], num_processes=processes, verbose=False)
    return j[0] / 100, f[0] / 100


def score_official(truth: Path, predictions: Path, processes: int) -> tuple[float, float]:
    """J and F of davis2017-evaluation, which reads a DAVIS tree: `truth` is its annotation folder."""
    from davis2017.evaluation import DAVISEvaluation

    with contextlib.redirect_stderr(io.StringIO()):
        outcome = DAVISEvaluation(str(truth.parents[1]), "semi-supervised", "val").evaluate(str(predictions))
    return sum(outcome["J"]["M"]) / len(outcome["J"]["M"]), sum(outcome["F"]["M"]) / len(outcome["F"]["M"])


TOOLS: dict[str, Callable[[Path, Path, int], tuple[float, float]]] = {
    "ours": score_ours,
    "ours-zlib": score_ours_zlib,
    "ours-as-shipped": score_ours,
    "vos-benchmark": score_vos_benchmark,
    "official": score_official,
}

# --- the masks ------------------------------------------------------------------------------------------------------


def tree_folders(folder: Path) -> tuple[Path, Path]:
    """Where `write_tree` puts ground truth and predictions."""
    return folder / "Annotations" / "480p", folder / "predictions"


def write_tree(folder: Path, annotations: Path, predictions: Path) -> None:
    """Write ground truth and predictions as binary palette masks in a DAVIS tree."""
    import numpy as np
    from PIL import Image

    from oneshot_vos.videos.masks import encode_mask

    truth, predicted = tree_folders(folder)
    names = sorted(path.name for path in predictions.iterdir() if (annotations / path.name).is_dir())
    for name in names:
        for source, target in ((annotations, truth), (predictions, predicted)):
            (target / name).mkdir(parents=True)
            for path in sorted((source / name).glob("*.png")):
                (target / name / path.name).write_bytes(encode_mask(np.asarray(Image.open(path)) > 0))
        image = folder / "JPEGImages" / "480p" / name / "00000.jpg"  # counted by the official package, never read
        image.parent.mkdir(parents=True)
        image.touch()
    listing = folder / "ImageSets" / "2017" / "val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("".join(f"{name}\n" for name in names))


# --- measuring ------------------------------------------------------------------------------------------------------


def measure(tool: str, processes: int, truth: Path, predictions: Path) -> dict[str, float]:
    """Run one tool in a fresh process: seconds, CPU seconds, peak MB of its largest process, J and F."""
    command = [sys.executable, __file__, "--child", tool, str(processes), str(truth), str(predictions)]
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, start_new_session=True)
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            elapsed = time.perf_counter() - start
            if pid:
                break
            if elapsed > TIMEOUT:
                os.killpg(child.pid, signal.SIGKILL)
                os.wait4(child.pid, 0)
                raise SystemExit(f"{tool} with {processes} process(es) did not end within {TIMEOUT:.0f} s")
            time.sleep(POLL)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{tool} with {processes} process(es) failed with status {child.returncode}")
        output.seek(0)
        j, f = json.loads(output.read().splitlines()[-1])
    return {
        "seconds": elapsed,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "J": j,
        "F": f,
    }


def runs() -> Iterator[tuple[str, int]]:
    """Tools and numbers of processes to measure here."""
    yield from (("ours", 1), ("ours", 2), ("ours-as-shipped", 1))
    if importlib.util.find_spec("deflate"):
        yield "ours-zlib", 1
    if importlib.util.find_spec("vos_benchmark"):
        yield from (("vos-benchmark", 1), ("vos-benchmark", 2))
    if importlib.util.find_spec("davis2017"):
        yield "official", 1


def check_equal(results: dict[str, dict[str, float]]) -> None:
    """Every tool must find the J and F of ours, up to the rounding of a scale of 100."""
    expected = results["ours/1"]
    for name, result in results.items():
        for measure_name in ("J", "F"):
            if abs(result[measure_name] - expected[measure_name]) > 1e-12:
                raise SystemExit(f"{name}: {measure_name} = {result[measure_name]}, ours {expected[measure_name]}")


def benchmark_all(annotations: Path, predictions: Path, repeat: int) -> dict[str, object]:
    """Measure every tool `repeat` times in turn and keep the fastest of each."""
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        # In a process of its own: what this one holds when it starts a child would count as the child's memory.
        command = [sys.executable, __file__, "--tree", folder, str(annotations), str(predictions)]
        subprocess.run(command, check=True)
        truth, predicted = tree_folders(Path(folder))
        frames = sum(len(list(path.glob("*.png"))) - 2 for path in truth.iterdir())
        for _ in range(repeat):
            for tool, processes in runs():
                paths = (annotations, predictions) if tool == "ours-as-shipped" else (truth, predicted)
                result = measure(tool, processes, *paths)
                best = results.setdefault(f"{tool}/{processes}", result)
                best.update({key: min(best[key], result[key]) for key in ("seconds", "cpu_seconds", "peak_mb")})
    check_equal(results)
    report: dict[str, object] = {
        "what": "J and F of six OSVOS results on DAVIS 2016, process start included",
        "scored_frames": frames,
        "repetitions": repeat,
        "device": "cpu",
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "inflate": "deflate" if importlib.util.find_spec("deflate") else "zlib",
        "results": {name: {"processes": int(name[-1]), **result} for name, result in results.items()},
    }
    for other in ("vos-benchmark", "official"):
        if f"{other}/1" in results:
            ratios = {
                key: round(results[f"{other}/1"][key] / results["ours/1"][key], 2) for key in ("seconds", "cpu_seconds")
            }
            report[f"times_less_than_{other}"] = {**ratios, "processes": 1}
    if "vos-benchmark/1" in results:
        report["target"] = f"{TARGET:g} times fewer seconds than vos-benchmark on one process"
    return report


def folders() -> tuple[Path, Path]:
    """DAVIS 2016 annotations and OSVOS predictions, where the tests find them too."""
    data = Path(os.environ.get("ONESHOT_VOS_DATA", REPOSITORY / "../shared/data")).resolve()
    golden = Path(os.environ.get("ONESHOT_VOS_GOLDEN", REPOSITORY / "../shared/golden")).resolve()
    annotations, predictions = data / "davis16" / "Annotations" / "480p", golden / "evaluation" / "osvos"
    for folder in (annotations, predictions):
        if not folder.is_dir():
            raise SystemExit(f"{folder}: not found; set ONESHOT_VOS_DATA and ONESHOT_VOS_GOLDEN to their folders")
    return annotations, predictions


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--tree", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tree:
        write_tree(*arguments.tree)
        return
    if arguments.child:
        tool, processes, truth, predictions = arguments.child
        print(json.dumps(TOOLS[tool](Path(truth), Path(predictions), int(processes))))
        return
    text = json.dumps(benchmark_all(*folders(), arguments.repeat), indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
