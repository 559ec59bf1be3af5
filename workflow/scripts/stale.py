"""Print the outputs that DVC holds for out of date, one a line, for Snakemake to make anew.

Snakemake compares with what it did last, DVC with what dvc.lock says. Where both engines are used in turn, only the
second knows what lies there now.
"""

from dvc.repo import Repo


def main() -> None:
    """Read the project in the current folder."""
    with Repo() as repo:
        stale = repo.status()
        for stage in repo.index.stages:
            if stage.addressing in stale:
                for out in stage.outs:
                    print(out.def_path)


if __name__ == "__main__":
    main()
