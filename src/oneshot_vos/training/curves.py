"""Training curves through DVCLive, rebuilt from the checkpoint after a restart so that no point stands twice."""

import shutil
from pathlib import Path

from dvclive import Live

from oneshot_vos.files import replacing_folder


class Curves:
    """Loss, learning rate and speed over iterations, as `dvc plots` reads them."""

    def __init__(self, folder: Path, rows: list[dict[str, float]]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._live = Live(dir=str(folder), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)
        self.rows: list[dict[str, float]] = []
        for row in rows:
            self.add(row)

    def add(self, row: dict[str, float]) -> None:
        """Log one row; `row["iteration"]` is the step, the rest are metrics."""
        self.rows.append(row)
        self._live.step = int(row["iteration"])
        for name, value in row.items():
            if name != "iteration":
                self._live.log_metric(f"train/{name}", value)
        self._live.make_summary()

    def finish(self, target: Path) -> None:
        """Close the log and put a copy at `target`, replacing what was there."""
        self._live.end()
        with replacing_folder(target) as folder:
            shutil.copytree(self._folder / "plots", folder / "plots")
