"""What can be wrong with the files of a data set, and one message for all of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

_MOST_PROBLEMS_SHOWN = 20


def folder_problems(frames: list[Path], masks: list[Path], frame_folder: Path, mask_folder: Path) -> Iterator[str]:
    """What is wrong with the files of one video, one line each."""
    stems = {path.stem for path in frames}
    if not frames:
        yield f"no .jpg or .png file in {frame_folder}; expected its frames"
    if len(stems) < len(frames):
        yield f"{repeated(frames)} in {frame_folder}; expected one file per frame. Take one away"
    if not masks:
        yield f"no mask in {mask_folder}; expected at least one, named like its frame"
    if len({path.stem for path in masks}) < len(masks):
        yield f"{repeated(masks)} in {mask_folder}; expected one mask per frame. Take one away"
    for path in masks:
        if path.suffix.lower() != ".png":
            yield f"{path} is a mask saved as {path.suffix}, which loses the ids; expected PNG"
        elif frames and path.stem not in stems:
            yield f"{path} is a mask without a frame; expected {frame_folder}/{path.stem}.jpg (or .png)"


def repeated(files: list[Path]) -> str:
    """Say which name stands several times."""
    stems = [path.stem for path in files]
    stem = next(stem for stem in stems if stems.count(stem) > 1)
    return f"several files named '{stem}'"


def summary_of_problems(source: str, problems: Sequence[str]) -> str:
    """One message for all that is wrong with the folders of the set at `source`; a long list is cut."""
    shown = "\n".join(f"  - {problem}" for problem in problems[:_MOST_PROBLEMS_SHOWN])
    more = len(problems) - _MOST_PROBLEMS_SHOWN
    tail = f"\n  … and {more} more" if more > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return (
        f"{source}: {count} in the data set:\n{shown}{tail}\nComplete the folders, or take the videos out of the list"
    )
