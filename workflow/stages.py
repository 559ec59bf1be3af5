"""The stages of dvc.yaml as Snakemake's rules need them: one rule per stage, its items as a wildcard.

Of DVC's templates this reads what dvc.yaml uses: `${dotted.name}`, `foreach` over a list or a mapping, and parameters
by file. tests/pipeline/test_stages.py compares the outcome with DVC's own resolver.
"""

import math
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_NAME = re.compile(r"\$\{([\w.]+)\}")
_FIELD = re.compile(r"\$\{item\.(\w+)\}")
_KINDS = ("outs", "metrics", "plots")


class Stage:
    """One stage: a command over files, for one item (`train` of a run, say) or alone."""

    def __init__(self, name: str, entry: Mapping[str, Any], scope: Mapping[str, Any], root: Path) -> None:
        self.name = name
        self._template = entry.get("do", entry)
        self._scope, self._root = scope, root
        items = fill(entry["foreach"], scope) if "foreach" in entry else {"": ""}
        self.items: dict[str, Any] = dict(items) if isinstance(items, Mapping) else {item: item for item in items}

    @property
    def single(self) -> bool:
        """Whether the stage has no items."""
        return list(self.items) == [""]

    @property
    def choices(self) -> dict[str, str]:
        """What may stand in the place of each wildcard, as regular expressions."""
        found = {"item": [*self.items]} | {name: [item[name] for item in self.items.values()] for name in self._fields}
        return {name: "|".join(re.escape(value) for value in dict.fromkeys(values)) for name, values in found.items()}

    @property
    def patterns(self) -> list[str]:
        """Paths of the outputs, `{item}` in the place of the item, and `{network}`, say, in that of its network."""
        wildcard = {"key": "{item}", "item": "{item}"}
        return [str(fill(_FIELD.sub(r"{\1}", out), self._scope | wildcard)) for out in self._templates]

    @property
    def log(self) -> str:
        """Path of the log, as a pattern with the wildcards of the outputs, as Snakemake wants it."""
        folder = f"logs/{self._scope['profile']}/{self.name}"
        wildcards = [] if self.single else [f"/{{{name}}}" for name in (*self._fields, "item")]
        return "".join([folder, *wildcards, ".log"])

    @property
    def _templates(self) -> list[str]:
        return [path_of(out) for kind in _KINDS for out in self._template.get(kind, [])]

    @property
    def _fields(self) -> list[str]:
        """Fields of an item that paths of outputs name."""
        return list(dict.fromkeys(field for out in self._templates for field in _FIELD.findall(out)))

    def declared(self, item: str = "") -> dict[str, Any]:
        """The stage's entry with everything filled in for an item."""
        return dict(fill(self._template, self._scope | {"key": item, "item": self.items[item]}))

    def command(self, item: str = "") -> str:
        """What to run."""
        return " ".join(self.declared(item)["cmd"].split())

    def outs(self, item: str = "") -> list[str]:
        """Paths of the outputs."""
        declared = self.declared(item)
        return [path_of(out) for kind in _KINDS for out in declared.get(kind, [])]

    def gpus(self, item: str = "") -> int:
        """How many cards a job asks for: none, one, or as many as its training has processes."""
        wanted = self._template.get("meta", {}).get("gpu", 0)
        if wanted != "processes":
            return int(wanted)
        entry = self.items[item]
        network = entry["network"] if isinstance(entry, Mapping) else entry
        profile = read_yaml(self._root / f"config/profiles/{self._scope['profile']}.yaml")
        processes = profile.get("processes") or read_yaml(self._root / f"config/recipes/{network}.yaml")["processes"]
        return visible_gpus() if processes == "auto" else int(processes)

    def values(self, item: str = "") -> dict[str, Any]:
        """The parameters that the stage depends on, by file and dotted place."""
        found = {}
        for entry in self.declared(item).get("params", []):
            for file, places in entry.items():
                content = read_yaml(self._root / file)
                found |= {f"{file}:{place}": lookup(content, place) for place in places}
        return found


class Pipeline:
    """All stages of the project at `root`, for the profile in force."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.scope = read_yaml(root / "params.yaml")
        declared = read_yaml(root / "dvc.yaml")["stages"]
        stages = [Stage(name, entry, self.scope, root) for name, entry in declared.items()]
        self.stages = [stage for stage in stages if stage.items]  # no rule for nothing: `starts` may be empty

    @cached_property
    def outs(self) -> list[str]:
        """Every output of every stage."""
        return [out for stage in self.stages for item in stage.items for out in stage.outs(item)]

    def inputs(self, stage: Stage) -> Callable[[Any], list[str]]:
        """What a rule reads, by the wildcards of a job: files of code, and outputs of other stages."""
        return lambda wildcards: [
            path for dep in stage.declared(item_of(wildcards))["deps"] for path in self._files(dep)
        ]

    def _files(self, dep: str) -> Iterator[str]:
        """A folder of code stands for its files, a folder above outputs for these."""
        below = [out for out in self.outs if out.startswith(f"{dep}/")]
        if below:
            yield from below
        elif dep.startswith("src/") and (self._root / dep).is_dir():
            files = sorted((self._root / dep).rglob("*"))
            yield from (
                file.relative_to(self._root).as_posix()
                for file in files
                if file.is_file() and "__pycache__" not in file.parts
            )
        else:
            yield dep


def visible_gpus() -> int:
    """The cards of this machine that may be used, and 1 if there are none: such a job takes the place of one."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen:
        return len(seen.split(","))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return 1
    return max(1, sum(line.startswith("GPU ") for line in listed.splitlines()))


def refused_partitions(wanted: Iterable[tuple[str | None, int]]) -> str:
    """Why jobs of so many minutes cannot go to these partitions of SLURM, and what to edit; empty if they can.

    Asked before the first job: what is sent to a partition that does not exist is refused again and again, what is to
    last longer than its partition lets it waits for ever, and the run does not end. None: the default partition.
    """
    edit = "in workflow/profiles/slurm/profile.v9+.yaml (default-resources and set-resources)"
    asking = ["sinfo", "--noheader", "--format=%R %l"]
    wanted = list(wanted)
    try:
        listed = subprocess.run(asking, capture_output=True, text=True, check=True).stdout.splitlines()
    except FileNotFoundError:
        return "sinfo: no such program; expected SLURM here. Start on a node from which sbatch works"
    except subprocess.CalledProcessError as error:
        return f"sinfo: {error.stderr.strip()}; expected the partitions of this cluster. Is its controller up?"
    known = {name: _minutes(limit) for name, _, limit in (line.strip().partition(" ") for line in listed)}
    missing = sorted({name for name, _ in wanted if name} - known.keys())
    if missing:
        others = ", ".join(sorted(known))
        return f"SLURM has no partition {', '.join(missing)}; expected one of {others}. Edit slurm_partition {edit}"
    for name, minutes in wanted:
        if name and minutes > known[name]:
            return (
                f"SLURM's partition {name}: a job of {minutes} min; expected at most {known[name]}. Edit runtime {edit}"
            )
    return ""


def _minutes(limit: str) -> float:
    """The longest time of a partition, which sinfo prints as `days-hours:minutes:seconds`, in minutes."""
    days, _, rest = limit.strip().rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in [days or "0", *parts]):
        return math.inf  # "infinite"
    hours, minutes = ([0, *map(int, parts)])[-3:-1] if len(parts) > 1 else (0, int(parts[0]))
    return 24 * 60 * int(days or 0) + 60 * hours + minutes


def item_of(wildcards: Any) -> str:
    """The item that a job is for; empty for a stage without items."""
    return str(wildcards.get("item", ""))


def path_of(out: str | Mapping[str, Any]) -> str:
    """The path of an output, which may carry options."""
    return out if isinstance(out, str) else next(iter(out))


def fill(value: Any, scope: Mapping[str, Any]) -> Any:
    """`value` with every `${dotted.name}` replaced from `scope`."""
    if isinstance(value, Mapping):
        return {fill(key, scope): fill(entry, scope) for key, entry in value.items()}
    if isinstance(value, list):
        return [fill(entry, scope) for entry in value]
    if not isinstance(value, str):
        return value
    whole = _NAME.fullmatch(value)
    return lookup(scope, whole[1]) if whole else _NAME.sub(lambda match: str(lookup(scope, match[1])), value)


def lookup(scope: Any, place: str) -> Any:
    """The value at a dotted place."""
    for part in place.split("."):
        scope = scope[part]
    return scope


def read_yaml(path: Path) -> Any:
    """What a YAML file holds."""
    return _parsed(path.read_text(encoding="utf-8"))


@cache  # every job asks for the same few files, and parsing one takes a tenth of a second
def _parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
