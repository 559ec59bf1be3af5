"""Print the outputs that DVC holds for out of date, one a line, for Snakemake to make anew.

Snakemake compares with what it did last, DVC with what dvc.lock says. Where both engines are used in turn, only the
second knows what lies there now. Outputs that are younger than the file given as argument, if there is one, have been
made anew already, by a start that was interrupted.
"""

import sys
from pathlib import Path

from dvc.repo import Repo


def main(began: Path | None) -> None:
    """Read the project in the current folder."""
    since = began.stat().st_mtime if began and began.exists() else float("inf")
    with Repo() as repo:
        stale = repo.status()
        for stage in repo.index.stages:
            for out in stage.outs if stage.addressing in stale else ():
                if youngest(Path(out.def_path)) < since:
                    print(out.def_path)


def youngest(path: Path) -> float:
    """When the file, or anything in the folder, was last changed; 0 if it is not there."""
    return max((file.stat().st_mtime for file in (path, *path.rglob("*")) if file.exists()), default=0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
