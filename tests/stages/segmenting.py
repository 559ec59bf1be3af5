"""Running the command `segment`, looking at what it wrote, and interrupting it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from oneshot_vos.cli import app
from oneshot_vos.stages.segment_files import Output
from oneshot_vos.videos.masks import read_mask


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [command, *map(str, arguments)])


def segment(video: Path, weights: Path, out: Path, *arguments: str, masks: list[str]) -> Result:
    given = [part for mask in masks for part in ("--mask", mask)]
    return run("segment", video, "--weights", weights, "--out", out, *given, *arguments)


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result, *texts: str) -> None:
    assert result.exit_code == 2, result.output
    assert [text for text in texts if text not in result.output] == [], result.output


def masks_of(out: Path) -> dict[str, np.ndarray]:
    return {file.stem: read_mask(file) for file in sorted((out / "masks").iterdir())}


def levels_of(out: Path, number: int, name: str) -> np.ndarray:
    return cv2.imread(str(out / f"probabilities/{number}/{name}.png"), cv2.IMREAD_UNCHANGED)


def contents(out: Path) -> dict[str, bytes]:
    files = sorted(file for part in ("masks", "probabilities") for file in (out / part).rglob("*.png"))
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def interrupt_after(monkeypatch: pytest.MonkeyPatch, frames: int, how: Callable[[], None]) -> None:
    """Let something happen as soon as so many masks have been written."""
    plain, count = Output.write, 0

    def write(self: Output, result: Any) -> None:
        nonlocal count
        plain(self, result)
        count += 1
        if count == frames:
            how()

    monkeypatch.setattr(Output, "write", write)


def count_written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    plain, written = Output.write, []

    def write(self: Output, result: Any) -> None:
        written.append(result.frame)
        plain(self, result)

    monkeypatch.setattr(Output, "write", write)
    return written
