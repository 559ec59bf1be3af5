"""A page and all that it needs in one folder: it opens from disk, offline, and asks no other host for anything.

What scripts read stands in `data.js`, which a page may load from disk where it may not load JSON.
"""

import json
import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from oneshot_vos.files import write_text
from oneshot_vos.reporting.page.charts import Chart


def write_page(
    folder: Path, template: str, *, charts: Mapping[str, Chart], films: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Write `folder/index.html` from a template of this package, and scripts and styles beside it.

    charts: by the name that the template gives to a chart. films: what a slider moves through, likewise; see
    `page.js`. values: what the template shows, as text unless it is `Markup`.
    """
    environment = Environment(
        loader=PackageLoader("oneshot_vos.reporting.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(template).render(charts=charts, films=films, **values)
    write_text(folder / "index.html", html)
    data = json.dumps({"charts": charts, "films": films}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_text(folder / "data.js", f"window.report = {data};\n")
    for name in ("page.css", "page.js"):
        text = files("oneshot_vos.reporting.page").joinpath("templates", name).read_text(encoding="utf-8")
        write_text(folder / name, text)
    with as_file(files("plotly").joinpath("package_data/plotly.min.js")) as library:
        shutil.copyfile(library, folder / "plotly.min.js")
