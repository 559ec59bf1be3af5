"""`dvc plots show` as a page that works offline.

DVC's page loads Vega from another host. Snakemake brings Vega along: its copies take the place of these addresses.
"""

import re
import shutil
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

_LIBRARIES = ("vega", "vega-lite", "vega-embed")


def main(out: Path) -> None:
    """Write `out/index.html` with the charts of dvc.yaml, and all it needs beside it."""
    subprocess.run(["dvc", "plots", "show", "--out", out], check=True)
    page = out / "index.html"
    html = page.read_text(encoding="utf-8")
    for name in _LIBRARIES:
        with as_file(files("snakemake").joinpath("assets/data", name, f"{name}.js")) as library:
            shutil.copyfile(library, out / f"{name}.js")
        html = re.sub(rf'src="https://[^"]*/{name}@[^"]*"', f'src="{name}.js"', html)
    page.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dvc_plots"))
