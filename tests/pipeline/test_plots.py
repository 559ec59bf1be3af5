"""What `dvc plots show` draws: a few charts of all runs, which `make plots` writes so that they show offline."""

import re
from collections.abc import Callable
from typing import Any

from tests.browser import NewPage

Make = Callable[[str], Any]

TABLES = {
    "loss": "network,run,iteration,loss\nstcn,a,10,0.5\nstcn,a,20,0.4\nstcn,b,10,0.6\nstcn,b,20,0.5\nxmem,c,10,1\n",
    "scores": "network,run,iteration,JF\nstcn,a,10,50\nstcn,a,20,60\nstcn,first mask repeated,10,30\n",
    "takeoff": "network,run,references,iteration,J\nstcn,a,predicted,10,5\nstcn,a,true,10,6\nstcn,a,empty,10,1\n",
}


def test_charts_of_all_runs_show_offline(make_project: Make, new_page: NewPage) -> None:
    project = make_project("project")
    folder = project.root / "results/mini/report/plots"
    folder.mkdir(parents=True)
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    project.run("python", "workflow/scripts/plots.py", "charts")
    index = project.root / "charts/index.html"
    html = index.read_text(encoding="utf-8")
    assert re.findall(r'<div id ?= ?"(\w+)"', html) == list(TABLES)
    assert not re.search(r'src="https?:', html)
    with new_page() as page:
        page.set_default_timeout(120_000)
        page.goto(index.as_uri())
        for name in TABLES:
            page.wait_for_selector(f"#{name} :is(svg, canvas)")
