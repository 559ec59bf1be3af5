"""Stage `fetch`: the public data sets, in the folders that the profile `paper` reads. It precedes the pipeline."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.fetch.obtain import fetch
from oneshot_vos.fetch.report import describe
from oneshot_vos.fetch.sources import SOURCES, Source, chosen
from oneshot_vos.registry import Registry

Say = Callable[[str], None]


def run(
    names: Sequence[str],
    root: Path,
    archives: Mapping[str, Path],
    say: Say,
    *,
    dry_run: bool = False,
    keep: bool = False,
    sources: Registry[Source] = SOURCES,
) -> None:
    """Fetch the data sets of `names` (names or groups) and of `archives` (name to a file at hand) below `root`.

    A set that fails does not keep the others from being fetched; all failures come in one `UserError`. With `dry_run`,
    the report on them, or on all if none is named, goes to `say`, and nothing is written.
    """
    for name in archives:
        sources[name]  # a group has no single archive; an unknown name raises
    wanted = [*names, *archives]
    if dry_run:
        say(describe(chosen(wanted or ["all"], sources), root))
        return
    if not wanted:
        raise UserError(
            "nothing named to fetch; expected names such as `paper` (all that the profile `paper` reads), `davis2017` "
            "or `static`. `oneshot-vos fetch --dry-run` lists them, with sizes and licences"
        )
    problems = []
    for source in chosen(wanted, sources):
        try:
            fetch(source, root, say, archive=archives.get(source.name), keep=keep)
        except UserError as error:
            say(f"{source.name}: failed")
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def parse_archives(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH` arguments as a table; raises `UserError` for anything else, and for a name given twice."""
    archives: dict[str, Path] = {}
    for argument in given:
        name, equals, path = argument.partition("=")
        if not (name and equals and path):
            raise UserError(
                f"--archive {argument}: expected NAME=PATH, such as davis2017=~/DAVIS-2017-trainval-480p.zip"
            )
        if name in archives:
            raise UserError(f"--archive {argument}: '{name}' has an archive already, {archives[name]}; expected one")
        archives[name] = Path(path).expanduser()
    return archives
