"""Predicted masks of a set, in a zip or a folder: `<video>/<frame stem>.png`."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from oneshot_vos.errors import UserError
from oneshot_vos.videos.masks import Ids, MaskReading, decode_mask

LAYOUT = "<video>/<frame>.png"


class Predictions:
    """Where the masks of a set lie, a zip archive or a folder; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open `path`; raises `UserError` when it is not there or no readable archive."""
        self.path = path
        self._archive = None if path.is_dir() else _open_archive(path)
        self._members = frozenset(self._archive.namelist() if self._archive else ())

    def origin(self, video: str, stem: str) -> Path:
        """Name of one mask file for messages."""
        return self.path / video / f"{stem}.png"

    def require(self, video: str, stems: Sequence[str]) -> None:
        """Raise `UserError` naming the first absent mask unless `stems` are all there."""
        missing = [stem for stem in stems if not self._has(video, stem)]
        if missing:
            raise UserError(
                f"{self.origin(video, missing[0])}: prediction not found; {len(missing)} of the {len(stems)} masks "
                f"to score in video '{video}' are missing. Expected {LAYOUT} for every annotated frame but the first "
                "and the last, with the annotation's file names; run `infer` for this set again"
            )

    def read(self, video: str, stem: str) -> bytes:
        """Contents of one mask file."""
        try:
            if self._archive:
                return self._archive.read(f"{video}/{stem}.png")
            return self.origin(video, stem).read_bytes()
        except PermissionError:
            raise
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise UserError(f"{self.origin(video, stem)}: not readable ({error}); run `infer` again") from error

    def read_mask(self, video: str, stem: str) -> MaskReading:
        """Ids of one mask file, of any form that training and inference read."""
        return decode_mask(self.read(video, stem), self.origin(video, stem))

    def _has(self, video: str, stem: str) -> bool:
        if self._archive:
            return f"{video}/{stem}.png" in self._members
        return self.origin(video, stem).is_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive:
            self._archive.close()


def require_same_size(predicted: Ids, truth: Ids, origin: Path, truth_path: Path) -> None:
    """Raise `UserError` unless a predicted mask is as large as the true one."""
    if predicted.shape != truth.shape:
        raise UserError(
            f"{origin}: prediction of {size_text(predicted)} pixels, but its annotation {truth_path} has "
            f"{size_text(truth)}; expected the same size. Write the predictions at the size of the annotations"
        )


def size_text(ids: Ids) -> str:
    """Width and height of a mask, for people."""
    return " x ".join(str(side) for side in reversed(ids.shape))


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: predictions not found; expected a zip or a folder with {LAYOUT}. Run `infer` first"
        ) from error
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not readable as a zip archive ({error}); expected members {LAYOUT}. Delete it and run "
            "`infer` again"
        ) from error
