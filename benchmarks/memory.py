"""Time reading the memory beside the plain form of it, and show that memory use does not grow with a video.

    python benchmarks/memory.py [--threads 1] [--repeat 3] [--frames 200 2000] [--only reading] [--out memory.json]

Reading: a query frame of 480p (30 x 54 positions) reads 20 memory frames, key width 64, value width 512, the best 30
positions, for 1 and 3 objects. `ours` is `MemoryBank.read`; `plain` is the usual form: similarity from two products,
the best along the memory axis, their weights scattered into zeros, and a dense product with the values. Both must give
the same numbers, else the command fails. `ratio` is plain over ours, medians of seconds.

Growth: a tiny recurrent network segments a video of synthetic frames, one second object coming late, with a bounded
memory of frames and with long-term memory. Each length is a fresh process; `peak_mb` is its largest resident size.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.inference.bank import MemoryBank
from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.common.interface import MemoryFrame
from oneshot_vos.networks.xmem.network import XMem

HEIGHT, WIDTH, MEMORY_FRAMES, KEY, VALUE, TOP_K = 30, 54, 20, 64, 512, 30
TOLERANCE = 1e-4
SIZE, LATE = (96, 160), 50  # of the synthetic video; the frame where its second object comes
SETTINGS = {
    "bounded": InferenceSettings(memory_every=2, top_k=30, max_frames=10),
    "long_term": InferenceSettings(
        memory_every=2,
        top_k=30,
        long_term=LongTerm(max_frames=10, min_frames=5, prototypes=64, max_elements=1000),
    ),
}

# --- reading --------------------------------------------------------------------------------------------------------


def memory_frames(objects: int) -> list[MemoryFrame]:
    generator = torch.Generator().manual_seed(0)
    frames = []
    for _ in range(MEMORY_FRAMES):
        key = torch.randn(1, KEY, HEIGHT, WIDTH, generator=generator)
        shrinkage = 1 + torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
        value = torch.randn(1, objects, VALUE, HEIGHT, WIDTH, generator=generator)
        frames.append(MemoryFrame(key, shrinkage, None, value, None))
    return frames


def plain_read(key: Tensor, shrinkage: Tensor, value: Tensor, query: Tensor, selection: Tensor) -> Tensor:
    """Memory key [CK, N], shrinkage [N, 1], value [K, CV, N], query and selection [CK, M]; to [K, CV, M]."""
    squares = key.square().T @ selection
    products = 2 * (key.T @ (query * selection))
    scores = (products - squares - (selection * query.square()).sum(0)) * shrinkage / KEY**0.5
    best, winners = scores.topk(TOP_K, dim=0)
    weights = best.exp()
    affinity = torch.zeros_like(scores).scatter_(0, winners, weights / weights.sum(0))
    return value @ affinity


@torch.inference_mode()
def compare_reading(objects: int, repeat: int) -> dict[str, Any]:
    """Ours beside plain; ends the program if their numbers differ."""
    frames = memory_frames(objects)
    bank = MemoryBank(MEMORY_FRAMES, TOP_K)
    for frame in frames:
        bank.add(frame)
    key = torch.cat([frame.key[0].flatten(1) for frame in frames], 1)
    shrinkage = torch.cat([frame.shrinkage.flatten() for frame in frames if frame.shrinkage is not None])[:, None]
    value = torch.cat([frame.value[0].flatten(2) for frame in frames], 2)
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(1, KEY, HEIGHT, WIDTH, generator=generator)
    selection = torch.randn(1, KEY, HEIGHT, WIDTH, generator=generator).sigmoid()

    def ours() -> Tensor:
        return bank.read(query.clone(), selection)[0].flatten(2)  # a new tensor: equal ones share the search

    def plain() -> Tensor:
        return plain_read(key, shrinkage, value, query[0].flatten(1), selection[0].flatten(1))

    difference = (ours() - plain()).abs().max().item()
    if difference > TOLERANCE:
        raise SystemExit(f"the readouts of plain and ours differ by {difference}")
    seconds = {"plain": median_seconds(plain, repeat), "ours": median_seconds(ours, repeat)}
    return {
        "objects": objects,
        "seconds": seconds,
        "ratio": round(seconds["plain"] / seconds["ours"], 2),
        "difference": difference,
    }


def median_seconds(work: Callable[[], Tensor], repeat: int) -> float:
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


# --- growth ---------------------------------------------------------------------------------------------------------


def segment_video(frames: int, settings: InferenceSettings) -> float:
    """Segment a synthetic video; the largest resident size of this process in MB."""
    torch.manual_seed(0)
    network = XMem(
        key_block="basic",
        key_widths=(8, 8, 16),
        key_depths=(1, 1, 1),
        value_widths=(8, 8, 16),
        value_depths=(1, 1, 1),
        key_dim=16,
        value_dim=256,
        hidden_dim=8,
        decoder_dims=(16, 16, 16),
        norm="group",
    ).eval()
    masks = torch.zeros(2, *SIZE)
    masks[0, 20:60, 20:60], masks[1, 30:80, 90:140] = 1, 1
    given = {0: Annotation((1,), masks[:1]), LATE: Annotation((2,), masks[1:])}
    steps = plan_frames(
        range(frames), given, settings, recurrent=True, updates_memory_frames=network.updates_memory_frames
    )

    def images() -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(frames):
            yield torch.randn(3, *SIZE, generator=generator)

    for _, probabilities in predict_frames(network, steps, images(), given.__getitem__, 2, settings):
        assert probabilities.isfinite().all()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_growth(memory: str, lengths: list[int], threads: int) -> dict[str, Any]:
    """Peak memory of videos of several lengths, each in a fresh process."""
    peaks = {}
    for frames in lengths:
        command = [sys.executable, __file__, "--child", memory, str(frames), "--threads", str(threads)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[frames] = json.loads(child.stdout.splitlines()[-1])
    shortest, longest = min(lengths), max(lengths)
    ratio = round(peaks[longest] / peaks[shortest], 3)
    return {"memory": memory, "peak_mb": peaks, "ratio": ratio}


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames", type=int, nargs=2, default=[200, 2000])
    parser.add_argument("--only", choices=("reading", "growth"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        memory, frames = arguments.child
        print(json.dumps(segment_video(int(frames), SETTINGS[memory])))
        return
    report: dict[str, Any] = {
        "what": "reading 20 memory frames at 480p (30x54 positions, keys 64, values 512, top-30), plain form over "
        "ours; peak memory of a tiny recurrent network over synthetic videos of two lengths",
        "device": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": arguments.threads,
        "repetitions": arguments.repeat,
        "torch": torch.__version__,
    }
    # Growth first: Linux counts the largest size of the process that starts another towards that one's.
    if arguments.only != "reading":
        report["growth"] = [measure_growth(memory, arguments.frames, arguments.threads) for memory in SETTINGS]
    if arguments.only != "growth":
        report["reading"] = [compare_reading(objects, arguments.repeat) for objects in (1, 3)]
    text = json.dumps(report, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
