"""What a change concerns: edit one thing at a time in a finished checkout, and ask DVC which stages are out of date.

    python benchmarks/staleness.py FOLDER [--out results/benchmarks/staleness.json]

FOLDER is a checkout in which everything is made and recorded (`make repro`, or `dvc commit`). Every file is put back as
it was. DVC names the stages that a change concerns directly; those behind them follow when it runs. The command fails
if a change concerns anything else than it should.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.utils import serialize

CODE = "src/oneshot_vos"
# What is changed, where, how (the first text by the second; without a first it is put at the end), whose stages follow.
CHANGES = [
    ("nothing", "dvc.yaml", None, "", None),
    ("another loss of STCN", f"{CODE}/networks/stcn/spec.py", "losses:Bootstrapped", "losses:Another", "stcn"),
    ("another value in STCN's recipe", "config/recipes/stcn.yaml", "top_k: 20", "top_k: 30", "stcn"),
    ("a comment in XMem's network", f"{CODE}/networks/xmem/network.py", None, "# a comment\n", "xmem"),
    ("a comment in the downloader", f"{CODE}/fetch/download.py", None, "# a comment\n", None),
    ("a comment in the command line", f"{CODE}/cli.py", None, "# a comment\n", None),
    ("a sentence in the documents", "docs/pipeline.md", None, "A sentence.\n", None),
]


@contextmanager
def changed(file: Path, old: str | None, new: str) -> Iterator[None]:
    before, times = file.read_bytes(), file.stat()
    text = before.decode()
    if old is not None and old not in text:
        raise SystemExit(f"{file}: no {old!r} in it; expected it, to be replaced by {new!r}")
    file.write_text(text + new if old is None else text.replace(old, new, 1), encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@cache
def parsed(path: str, changed: int) -> Any:
    return serialize.load_yaml(path)


def stale(folder: Path) -> list[str]:
    # DVC would parse the parameters anew for every stage.
    serialize.LOADERS[".yaml"] = lambda path, **_: deepcopy(parsed(str(path), Path(path).stat().st_mtime_ns))
    with Repo(str(folder)) as repo:
        return sorted(name.rpartition(":")[2] for name in repo.status())


def network_of(stage: str) -> str:
    return stage.partition("@")[2].partition("-")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows, wrong = [], False
    for what, place, old, new, network in CHANGES:
        with changed(options.folder / place, old, new):
            stages = stale(options.folder)
        right = bool(stages) == (network is not None) and all(network_of(stage) == network for stage in stages)
        wrong |= not right
        rows.append({"change": what, "file": place, "stale": stages, "as_expected": right})
        print(
            f"{what:32} {len(stages):3}  {'' if right else 'NOT EXPECTED: '}{', '.join(stages) or 'nothing'}",
            flush=True,
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if wrong:
        raise SystemExit("a change concerns other stages than it should")


if __name__ == "__main__":
    main()
