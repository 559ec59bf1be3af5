"""Stage `fetch`: the public data sets, in the folders that the profile `paper` reads. It precedes the pipeline."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.listing import describe
from oneshot_vos.fetch.obtain import fetch
from oneshot_vos.fetch.sources import SOURCES, Source, chosen
from oneshot_vos.registry import Registry

log = logging.getLogger(__name__)


def run(
    names: Sequence[str],
    root: Path,
    archives: Mapping[str, Path],
    *,
    keep: bool = False,
    sources: Registry[Source] = SOURCES,
) -> None:
    """Fetch the data sets of `names` (names or groups) and of `archives` (name to a file at hand) below `root`.

    A set that fails does not keep the others from being fetched; all failures come in one `UserError`.
    """
    wanted = _wanted(names, archives, sources)
    if not wanted:
        raise UserError(
            "nothing named to fetch; expected names such as `paper` (all that the profile `paper` reads), `davis2017` "
            "or `static`. `oneshot-vos fetch --dry-run` lists them, with sizes and licences"
        )
    problems = []
    for source in chosen(wanted, sources):
        try:
            for finding in fetch(source, root, archive=archives.get(source.name), keep=keep):
                log.info("%s: %s is there, complete (%s)", source.name, finding.path, finding.details)
        except UserError as error:
            log.info("%s: failed", source.name)
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def report(names: Sequence[str], root: Path, archives: Mapping[str, Path], sources: Registry[Source] = SOURCES) -> str:
    """What `run` would fetch, or all there is if nothing is named; nothing is written."""
    return describe(chosen(_wanted(names, archives, sources) or ["all"], sources), root)


def _wanted(names: Sequence[str], archives: Mapping[str, Path], sources: Registry[Source]) -> list[str]:
    for name in archives:
        sources[name]  # a group has no single archive; an unknown name raises
    return [*names, *archives]


def parse_archives(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH` arguments as a table; raises `UserError` for anything else, and for a name given twice."""
    archives: dict[str, Path] = {}
    for argument in given:
        name, _, path = argument.partition("=")
        if not (name and path) or name in archives:
            raise UserError(
                f"--archive {argument}: expected NAME=PATH once per name, such as davis2017=~/DAVIS-2017-480p.zip"
            )
        archives[name] = Path(path).expanduser()
    return archives
