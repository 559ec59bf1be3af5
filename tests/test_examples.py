"""The notebook runs from its first cell to its last, in a folder of its own."""

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("name", ["own_videos"])
def test_the_notebook_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    notebook = nbformat.read(repository / f"examples/{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)  # nothing that may be stale
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell.source, f"{name}, code cell {number}", "exec"), names)
    masks = sorted((tmp_path / "own_videos/masks").rglob("*.png"))
    assert len(masks) == 24
    given = tmp_path / "own_videos/drawn/Annotations/480p/val-0000/00000.png"
    assert np.array_equal(np.array(Image.open(masks[0])), np.array(Image.open(given)))
    assert "J&F-Mean" in capsys.readouterr().out
