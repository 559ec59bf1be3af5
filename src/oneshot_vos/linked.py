"""Links in the place of folders of outputs: DVC refuses what lies behind one, but only once it has been made."""

from collections.abc import Iterator
from pathlib import Path

from oneshot_vos.errors import UserError


def refuse_links(profile: str) -> None:
    """Raise `UserError` if a folder above outputs of the checkout in the current folder is a link."""
    link = next((folder for folder in _above_outputs(profile) if folder.is_symlink()), None)
    if link is not None:
        raise UserError(
            f"{link}: a link to {link.readlink()}; expected a folder of this checkout: DVC refuses what lies behind a "
            "link, after it was made. Take the link away. To have outputs on another disk, clone the project there, or "
            "keep DVC's cache there with links into it: dvc config --local cache.dir /other/disk/cache, and also "
            "dvc config --local cache.type symlink"
        )


def _above_outputs(profile: str) -> Iterator[Path]:
    for top in (Path("data"), Path("results")):
        yield from (top, top / profile)
        for pattern in ("*", "*/*"):  # of files, DVC itself makes links
            yield from (folder for folder in sorted((top / profile).glob(pattern)) if folder.is_dir())
