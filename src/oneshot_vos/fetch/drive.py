"""Download of one file from Google Drive, through gdown: it knows Drive's confirmation pages and quotas."""

import errno
import importlib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from oneshot_vos.fetch.transfer import MirrorError, Patience, require_space, written

INSTALL = "pip install 'oneshot-vos[fetch]'"


def download(file_id: str, folder: Path, file_name: str, *, title: str, patience: Patience) -> Path:
    """Fetch a file into `folder`, which is for it alone, and return its path; an earlier part of it is continued.

    Raises `MirrorError` if gdown is not installed or Drive does not give the file.
    """
    address = f"https://drive.google.com/file/d/{file_id}"
    try:
        gdown = importlib.import_module("gdown")
    except ImportError as error:
        raise MirrorError(
            f"{address}: Google Drive needs the package gdown, which is not installed; run {INSTALL}"
        ) from error
    target = folder / file_name
    with written(target):
        folder.mkdir(parents=True, exist_ok=True)
    with tqdm(desc=title, unit="B", unit_scale=True, mininterval=0.5, leave=False) as bar:
        progress = _Progress(bar, target)
        try:
            gdown.download(
                id=file_id,
                output=str(target),
                quiet=True,
                resume=True,
                timeout=patience.timeout,
                retries=patience.attempts - 1,
                progress=progress,
            )
        except gdown.exceptions.FileURLRetrievalError as error:
            raise MirrorError(
                f"{address}: Google Drive did not give the file ({_one_line(error)}); it limits how often a file is "
                "fetched in a day. Try again tomorrow, or open the address in a browser"
            ) from error
        except (gdown.exceptions.DownloadError, OSError) as error:  # the errors of requests are OSErrors
            with written(target):
                _raise_if_of_disk(error)
            if not progress.moved:  # what there was cannot be continued
                for part in folder.glob(f"{file_name}*.part"):
                    part.unlink()
            raise MirrorError(
                f"{address}: the download broke off ({_one_line(error)}); run the same command again: it goes on"
            ) from error
    if not target.is_file():
        raise MirrorError(f"{address}: gdown ended without an error and without a file; expected {target}")
    return target


class _Progress:
    """Moves the bar, and looks at the disk once the size is known."""

    def __init__(self, bar: Any, target: Path) -> None:
        self._bar = bar
        self._target = target
        self.moved = False

    def __call__(self, so_far: int, total: int | None) -> None:
        self.moved = True
        if total is not None and self._bar.total is None:
            require_space(self._target, total - so_far)
            self._bar.total = total
        self._bar.update(so_far - self._bar.n)


def _raise_if_of_disk(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        raise error


def _one_line(error: Exception) -> str:
    """The first sentence of an error whose text may run over many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
