"""The help of `oneshot-vos`: its commands under the headings that people look for."""

from typing import Any

from typer.core import TyperGroup

# In this order. A command that is named nowhere stands under `MORE`.
GROUPS: dict[str, tuple[str, ...]] = {
    "Everyday": (
        *("segment", "segment-all", "adapt", "suggest", "label", "import-videos", "check-data"),
        *("report-videos", "score", "compare", "export", "fetch"),
    ),
    "Pipeline": (
        *("data", "labels", "init", "start", "pseudo", "pretrain", "train", "infer", "probe", "baseline", "evaluate"),
        *("tables", "figures", "report"),
    ),
}
MORE = "More"


class GroupedHelp(TyperGroup):
    """Lists its commands by `GROUPS`, one column for all."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the headings with their commands; hidden ones and those that are not there are left out."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: command for name, command in found.items() if command is not None and not command.hidden}
        width = max(map(len, shown), default=0)
        for heading, names in grouped(list(shown)).items():
            rows = [(f"{name:<{width}}", shown[name].get_short_help_str(formatter.width - 6 - width)) for name in names]
            with formatter.section(heading):
                formatter.write_dl(rows)


def grouped(names: list[str]) -> dict[str, list[str]]:
    """The names under their headings, in the order of `GROUPS`; others last. Headings of none are left out."""
    found = {heading: [name for name in group if name in names] for heading, group in GROUPS.items()}
    listed = {name for group in found.values() for name in group}
    found[MORE] = [name for name in names if name not in listed]
    return {heading: group for heading, group in found.items() if group}
