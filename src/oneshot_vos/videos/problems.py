"""What can be wrong with the files of a data set, and one message for all of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from oneshot_vos.errors import UserError
from oneshot_vos.videos.frame_files import frame_name
from oneshot_vos.videos.images import IMAGE_KINDS

_MOST_PROBLEMS_SHOWN = 20
_MOST_EXAMPLES = 3


class WarningKind(TypedDict):
    """How often a kind of warning was found, and up to three places."""

    count: int
    examples: list[str]


@dataclass(frozen=True)
class Problem:
    """One thing to mend. `message` says what was found, what was expected and how to mend it.

    An error makes training or scoring fail or silently wrong; a warning may be meant. Warnings of one `kind` are
    counted together.
    """

    level: Literal["error", "warning"]
    item: str  # name of the video or image, or empty
    file: str  # or empty
    message: str
    kind: str = ""  # of a warning: a short phrase without names, such as "first mask without an object"

    @property
    def place(self) -> str:
        """Where it was found, in short: `<item>/<file name>`, or the file alone."""
        name = Path(self.file).name
        return self.file if not self.item else self.item if name in ("", self.item) else f"{self.item}/{name}"


@dataclass
class Problems:
    """Collects what is wrong, so that all of it is told at once. `item`: the video that is being looked at."""

    item: str = ""
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """The problems that must be mended."""
        return [problem for problem in self.problems if problem.level == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """The problems that may be meant."""
        return [problem for problem in self.problems if problem.level == "warning"]

    def add(self, message: str, item: str | None = None) -> None:
        """Add an error that names its files itself."""
        self.problems.append(Problem("error", self.item if item is None else item, "", message))

    def error(self, file: Path, finding: str) -> None:
        """Add an error of one file."""
        self.problems.append(Problem("error", self.item, str(file), f"{file}: {finding}"))

    def warning(self, file: Path, kind: str, finding: str) -> None:
        """Add a warning of one file; `kind` is what it is counted under."""
        self.problems.append(Problem("warning", self.item, str(file), f"{file}: {finding}", kind))

    @property
    def warning_kinds(self) -> dict[str, WarningKind]:
        """The warnings counted by kind, the most frequent kind first, each with the first places."""
        places: dict[str, list[str]] = {}
        for problem in self.warnings:
            places.setdefault(problem.kind, []).append(problem.place)
        ordered = sorted(places.items(), key=lambda entry: -len(entry[1]))
        return {kind: {"count": len(found), "examples": found[:_MOST_EXAMPLES]} for kind, found in ordered}

    @contextmanager
    def catching(self, file: Path) -> Iterator[None]:
        """Add a `UserError` raised inside the block, and go on behind the block."""
        try:
            yield
        except UserError as error:
            self.problems.append(Problem("error", self.item, str(file), str(error)))

    def raise_errors(
        self, source: Path | str, remedy: str = "\nComplete the folders, or take the videos out of the list"
    ) -> None:
        """Raise one `UserError` for all errors, if any; a long list is cut. `source`: where they were found."""
        # A set that is used twice was looked at twice.
        told = dict.fromkeys(
            f"{problem.item}{': ' if problem.item else ''}{problem.message}" for problem in self.errors
        )
        if not told:
            return
        lines = [f"  - {line}" for line in told]
        if len(lines) > _MOST_PROBLEMS_SHOWN:
            lines[_MOST_PROBLEMS_SHOWN:] = [f"  … and {len(lines) - _MOST_PROBLEMS_SHOWN} more"]
        count = "1 problem" if len(told) == 1 else f"{len(told)} problems"
        raise UserError("\n".join([f"{source}: {count}:", *lines]) + remedy)


def folder_problems(frames: list[Path], masks: list[Path], frame_folder: Path, mask_folder: Path) -> Iterator[str]:
    """What is wrong with the files of one video, one line each."""
    stems = {frame_name(path) for path in frames}
    if not frames:
        yield f"no image in {frame_folder}; expected its frames, {IMAGE_KINDS}"
    if len(stems) < len(frames):
        yield f"{repeated(frames)} in {frame_folder}; expected one file per frame. Take one away"
    if not masks:
        yield f"no mask in {mask_folder}; expected at least one, named like its frame"
    if len({frame_name(path) for path in masks}) < len(masks):
        yield f"{repeated(masks)} in {mask_folder}; expected one mask per frame. Take one away"
    for path in masks:
        if path.suffix.lower() != ".png":
            yield f"{path} is a mask saved as {path.suffix}; expected PNG, which keeps ids exactly"
        elif frames and frame_name(path) not in stems:
            yield f"{path} is a mask without a frame; expected {frame_folder}/{path.stem}.jpg (or .png)"


def repeated(files: list[Path]) -> str:
    """Say which name stands several times, the first in the order of the files."""
    counts = Counter(frame_name(path) for path in files)
    return f"several files named '{next(name for name, count in counts.items() if count > 1)}'"
